"""One thread a kernel feeds all views, at the rate a page can draw.

Stock widgets queue every message in the browser and fall seconds behind above some twenty
a second (measured in the design's front-end notes), so conflation happens here: a tick takes
only the latest snapshot, only of what changed, and no view may use more than a tenth of a core.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from typing import Protocol

TABLE_S = 0.1  # 10 frames a second
CHART_S = 0.2
FLOW_S = 0.5
STATUS_S = 1.0  # a reconnecting source commits no epoch, so the figures are read this often anyway
SHARE = 0.1  # of a core, at most, for the refreshes of one view


class View(Protocol):
    """What the pump refreshes. All methods but `version` are called from the pump's thread only."""

    interval_s: float

    def version(self) -> int:
        """Grows when `refresh` has something to show; cheap."""

    def refresh(self, *, rows: bool) -> None:
        """Shows the latest state; without `rows` only the figures of the bar."""

    def fail(self, error: Exception) -> None:
        """Shows that a refresh failed."""


class _Entry:
    """A view's place in the schedule."""

    def __init__(self, view: View) -> None:
        self.view = view
        self.version: int | None = None
        self.due = 0.0
        self.status_due = 0.0
        self.is_failed = False


class Pump:
    """Refreshes views until they are dropped; its thread lives only while there is a view."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._entries: dict[int, _Entry] = {}
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def add(self, view: View, *, start: bool = True) -> None:
        """Refreshes the view from now on; adding it again refreshes it at once.

        Args:
            view: what to refresh.
            start: False leaves the ticking to the caller (tests).
        """
        with self._changed:
            entry = self._entries.setdefault(id(view), _Entry(view))
            entry.version = None
            entry.due = 0.0
            if start and self._thread is None:
                self._thread = threading.Thread(
                    target=self._run, name="stream_magic-pump", daemon=True
                )
                self._thread.start()
            self._changed.notify_all()

    def drop(self, view: View) -> None:
        """Forgets the view; nothing happens if it is not known."""
        with self._changed:
            self._entries.pop(id(view), None)
            self._changed.notify_all()

    @property
    def views(self) -> int:
        """How many views are refreshed."""
        return len(self._entries)

    @property
    def is_running(self) -> bool:
        """True while the thread lives."""
        return self._thread is not None

    def tick(self) -> None:
        """Refreshes every view that is due."""
        with self._changed:
            entries = list(self._entries.values())
        for entry in entries:
            if self._monotonic() >= entry.due and self._entries.get(id(entry.view)) is entry:
                self._serve(entry)

    def _serve(self, entry: _Entry) -> None:
        started = self._monotonic()
        entry.due = started + entry.view.interval_s
        try:
            version = entry.view.version()
            is_new = version != entry.version
            if is_new or started >= entry.status_due:
                entry.status_due = started + STATUS_S
                entry.version = version
                entry.view.refresh(rows=is_new or entry.is_failed)
                entry.is_failed = False
        except Exception as error:  # noqa: BLE001 - a failing view must not end the others
            self._fail(entry, error)
        spent = self._monotonic() - started
        entry.due = started + max(entry.view.interval_s, spent / SHARE)

    def _fail(self, entry: _Entry, error: Exception) -> None:
        entry.is_failed = True
        try:
            entry.view.fail(error)
        except Exception:  # noqa: BLE001 - its widget cannot even show the error
            self.drop(entry.view)

    def _run(self) -> None:
        while True:
            self.tick()
            with self._changed:
                if not self._entries:
                    self._thread = None
                    return
                wait_s = min(e.due for e in self._entries.values()) - self._monotonic()
                if wait_s > 0:
                    self._changed.wait(wait_s)


@cache
def pump() -> Pump:
    """The kernel's pump, made on first use."""
    return Pump()
