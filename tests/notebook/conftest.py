"""A real kernel, by nbclient: no server is needed."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

TIMEOUT_S = 90


class Kernel:
    """Runs cells one after the other in one kernel, as a notebook would."""

    def __init__(self, folder: Path) -> None:
        self.notebook = nbformat.v4.new_notebook()
        self.client = NotebookClient(
            self.notebook, timeout=TIMEOUT_S, kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )  # fmt: skip

    def run(self, source: str) -> list[Any]:
        """The outputs of a cell.

        Raises:
            AssertionError: the cell failed; with what the notebook shows.
        """
        cell = nbformat.v4.new_code_cell(source)
        self.notebook.cells.append(cell)
        try:
            self.client.execute_cell(cell, len(self.notebook.cells) - 1)
        except CellExecutionError:
            raise AssertionError(_error(cell)) from None
        return list(cell.outputs)

    def fails(self, source: str) -> str:
        """What the notebook shows in place of a traceback."""
        cell = nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]})
        self.notebook.cells.append(cell)
        self.client.execute_cell(cell, len(self.notebook.cells) - 1)
        return _error(cell)

    def value(self, expression: str) -> str:
        """The text of a Python expression."""
        outputs = self.run(expression)
        return str(outputs[-1]["data"]["text/plain"])

    def until(self, expression: str) -> None:
        """Waits until a Python expression is true."""
        deadline = time.monotonic() + TIMEOUT_S
        while self.value(f"bool({expression})") != "True":
            assert time.monotonic() < deadline, f"never true: {expression}"

    @contextmanager
    def interrupted_when(self, is_due: Callable[[], bool]) -> Iterator[None]:
        """The stop button, pressed as soon as `is_due`."""
        pid = self.client.km.provisioner.pid  # type: ignore[union-attr]
        done = threading.Event()

        def press() -> None:
            while not is_due():
                if done.wait(0.01):
                    return
            os.kill(pid, signal.SIGINT)

        thread = threading.Thread(target=press, daemon=True)
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()


def _error(cell: Any) -> str:
    return "\n".join("\n".join(o.traceback) for o in cell.outputs if o.output_type == "error")


@contextmanager
def started(folder: Path) -> Iterator[Kernel]:
    kernel = Kernel(folder)
    with kernel.client.setup_kernel():
        kernel.run("%load_ext stream_magic")
        yield kernel


@pytest.fixture
def kernel(tmp_path: Path) -> Iterator[Kernel]:
    with started(tmp_path) as made:
        yield made


def texts(outputs: list[Any]) -> str:
    """All outputs as a terminal would show them."""
    parts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join(parts)
