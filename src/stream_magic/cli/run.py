"""`stream-magic run FILE`: the statements of a file or a notebook, without a notebook."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stream_magic.app.app import App
from stream_magic.cli.notebook import Cell, Notebook
from stream_magic.cli.text import status_text
from stream_magic.errors import ConfigError

_LOOK_S = 0.2
_PRINT_S = 5.0


def run_file(path: Path, seconds: float | None, *, is_quiet: bool) -> int:
    """Runs until all sources have ended, `seconds` have passed, or a signal comes; then stops in order.

    Returns:
        1 if a node failed, else 0.
    """
    apps: dict[str, App] = {}
    for cell in _cells(path):
        if cell.app not in apps:
            apps[cell.app] = App(cell.app)
        app = apps[cell.app]
        if cell.query:
            app.create_query(cell.query, cell.text)
        else:
            app.execute(cell.text)
    with _stop_signals() as stop:
        for app in apps.values():
            app.start()
        _wait(list(apps.values()), stop, seconds, is_quiet=is_quiet)
    failed = False
    for app in apps.values():
        app.stop()
        status = app.status()
        failed |= any(s["state"] == "failed" for s in status.values())
        if not is_quiet or failed:
            print(status_text(status), flush=True)
        app.close()
    return 1 if failed else 0


@contextmanager
def _stop_signals() -> Iterator[threading.Event]:
    """Set by Ctrl-C and by SIGTERM, while it is open."""
    stop = threading.Event()
    before = {n: signal.signal(n, lambda *_: stop.set()) for n in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(apps: list[App], stop: threading.Event, seconds: float | None, *, is_quiet: bool) -> None:
    deadline = None if seconds is None else time.monotonic() + seconds
    next_print = time.monotonic() + _PRINT_S
    while not stop.wait(_LOOK_S):
        now = time.monotonic()
        if deadline is not None and now >= deadline:
            return
        if all(_has_ended(app) for app in apps):
            for app in apps:
                app.drain()
            return
        if not is_quiet and now >= next_print:
            print(*(status_text(app.status()) for app in apps), sep="\n", end="\n\n", flush=True)
            next_print = now + _PRINT_S


def _has_ended(app: App) -> bool:
    sources = [s for s in app.status().values() if s["kind"] == "source"]
    return all(s["state"] in ("complete", "failed") for s in sources)


def _cells(path: Path) -> Iterator[Cell]:
    if not path.is_file():
        raise ConfigError(
            "SM7050", f"there is no file {path}", hint="give the path of a .sql file or a notebook"
        )
    if path.suffix == ".sql":
        yield Cell(path.read_text(encoding="utf-8"), path.stem)
        return
    if path.suffix != ".ipynb":
        raise ConfigError(
            "SM7051",
            f"{path.name} is neither .sql nor .ipynb",
            hint="give a .sql file or a notebook",
        )
    has_any = False
    for cell in Notebook(path).cells():
        has_any = True
        yield cell
    if not has_any:
        print(f"{path.name} has no %%stream or %%cq cell", file=sys.stderr)
