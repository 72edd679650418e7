"""How many rows a paced source may give now, by the app's clock."""

from __future__ import annotations

import threading

from stream_magic.core.clock import Clock, SystemClock

_NAP_S = 0.02  # between two looks at the clock, which may be moved by hand


class Pace:
    """`rate` rows a second, from the moment it is made."""

    def __init__(self, clock: Clock, rate: float) -> None:
        self._clock = clock
        self._rate = rate
        self._start_s = clock.monotonic_s()
        self._given = 0

    def take(self, most: int, timeout_s: float) -> int:
        """Rows that are due, at most `most`; waits for the first one, if it comes in time."""
        patience = SystemClock()  # real time, also if the app's clock stands still
        until = patience.monotonic_s() + timeout_s
        while True:
            passed_s = self._clock.monotonic_s() - self._start_s
            due = max(int(passed_s * self._rate) - self._given, 0)
            left_s = until - patience.monotonic_s()
            if due or left_s <= 0:
                taken = min(due, most)
                self._given += taken
                return taken
            threading.Event().wait(min(_NAP_S, left_s))
