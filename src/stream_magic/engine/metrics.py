"""What a node counts."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

_WINDOW_S = 5.0


@dataclass
class Rate:
    """Events a second over the last seconds."""

    _marks: deque[tuple[float, int]] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)  # the engine adds, views read

    def add(self, count: int, now_s: float) -> None:
        with self._lock:
            if count:
                self._marks.append((now_s, count))
            self._drop(now_s)

    def per_second(self, now_s: float) -> float:
        with self._lock:
            self._drop(now_s)
            if not self._marks:
                return 0.0
            span = max(now_s - self._marks[0][0], 1.0)
            return sum(c for _, c in self._marks) / span

    def _drop(self, now_s: float) -> None:
        while self._marks and now_s - self._marks[0][0] > _WINDOW_S:
            self._marks.popleft()


@dataclass
class Metrics:
    """Counters of one node.

    Attributes:
        rows_in: rows that came in.
        rows_out: rows that went out.
        errors: rows in `errors.NAME`.
        newest_us: highest event time seen, or None.
        rate: of rows out (a target: of rows in).
    """

    rows_in: int = 0
    rows_out: int = 0
    errors: int = 0
    newest_us: int | None = None
    rate: Rate = field(default_factory=Rate)
