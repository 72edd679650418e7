"""Time as an object, so that tests drive it by hand."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Says what time it is. Never goes back by itself, but its source may."""

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""

    def monotonic_s(self) -> float:
        """Seconds that only grow, for durations."""


class SystemClock:
    """The machine's clock."""

    def now_us(self) -> int:
        return time.time_ns() // 1000

    def monotonic_s(self) -> float:
        return time.monotonic()
