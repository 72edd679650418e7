"""Tools to test a plugin or a pipeline without sleeping: a clock moved by hand.

Example:
    >>> clock = ManualClock("2026-01-01 00:00:00")
    >>> clock.advance(5)
    >>> clock.now_us()
    1767225605000000
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime


class ManualClock:
    """A clock that moves only when told.

    Args:
        start: a datetime (naive is UTC), an ISO text, or seconds since the Unix epoch.
    """

    def __init__(self, start: datetime | str | float = 0.0) -> None:
        if isinstance(start, str):
            start = datetime.fromisoformat(start)
        if isinstance(start, datetime):
            if start.tzinfo is None:
                start = start.replace(tzinfo=UTC)
            start = start.timestamp()
        self._now_us = round(start * 1_000_000)
        self._elapsed_us = 0
        self._lock = threading.Lock()

    def now_us(self) -> int:
        return self._now_us

    def monotonic_s(self) -> float:
        return self._elapsed_us / 1e6

    def advance(self, seconds: float) -> None:
        """Moves forward; seconds may be a fraction.

        Raises:
            ValueError: seconds are negative (see `set_back`).
        """
        if seconds < 0:
            raise ValueError("advance goes forward; use set_back for a clock that is put back")
        with self._lock:
            self._now_us += round(seconds * 1_000_000)
            self._elapsed_us += round(seconds * 1_000_000)

    def set_back(self, seconds: float) -> None:
        """Puts the wall clock back, as an administrator may; durations go on."""
        with self._lock:
            self._now_us -= round(seconds * 1_000_000)
