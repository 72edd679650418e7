"""Late rows of sessions, judged one by one in order of arrival (docs/decisions/0008-sessions.md)."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import NamedTuple


class Event(NamedTuple):
    """A row's time, the watermark that it is judged by, and the one that had closed sessions just before it."""

    time: int
    mark: int
    closed_by: int


class Judge:
    """The sessions of one key, in order of time.

    A row is late
    - if it touches a session that has closed (its end plus the lateness is not above `closed_by`),
    - if the session that it would be in has ended for its watermark, or
    - if it would be the first event of that session, and is not above the session's floor: what had ended when the
      session's first row came.

    Args:
        sessions: first and last event of each, and its floor.
        gap_us: of the sessions.
        lateness_us: allowed.
    """

    def __init__(
        self, sessions: Sequence[tuple[int, int, int]], gap_us: int, lateness_us: int
    ) -> None:
        ordered = sorted(sessions)
        self._firsts = [first for first, _, _ in ordered]
        self._lasts = [last for _, last, _ in ordered]
        self._floors = [floor for _, _, floor in ordered]
        self._gap_us = gap_us
        self._reach_us = gap_us + lateness_us

    def admits(self, row: Event) -> bool:
        """False if the row is late; else it is in its session now."""
        time, reach = row.time, self._reach_us
        low = bisect_left(self._lasts, time - self._gap_us)
        high = bisect_right(self._firsts, time + self._gap_us)
        first, last, floor = time, time, row.closed_by - reach
        if low < high:
            first, last = min(time, self._firsts[low]), max(time, self._lasts[high - 1])
            floor = min(self._floors[low:high])
            touches_closed = self._lasts[low] + reach <= row.closed_by
            if touches_closed or (first < self._firsts[low] and first <= floor):
                return False
        if last + reach <= row.mark:
            return False
        self._firsts[low:high], self._lasts[low:high] = [first], [last]
        self._floors[low:high] = [floor]
        return True

    def sessions(self) -> list[tuple[int, int]]:
        """First and last event of each, in order of time."""
        return list(zip(self._firsts, self._lasts, strict=True))
