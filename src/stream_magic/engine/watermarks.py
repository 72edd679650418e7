"""The watermark of a source, kept row by row in order of arrival, so that epochs may be cut anywhere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME

Micros = npt.NDArray[np.int64]


class WatermarkTracker:
    """Watermarks of a source's partitions.

    A partition's watermark is its highest time so far less the delay; the source's is the lowest of
    its partitions that are neither idle nor ended (DESIGN 3.4).
    """

    def __init__(self, delay_us: int, idle_timeout_us: int | None) -> None:
        self._delay_us = delay_us
        self._idle_timeout_us = idle_timeout_us
        self._highs: dict[int, int] = {}
        self._last_rows_us: dict[int, int] = {}
        self._idle: set[int] = set()
        self._ended: set[int] = set()
        self._is_ended = False
        self._reached = BEFORE_TIME

    @property
    def watermark_us(self) -> int:
        """Never goes back, also when a slow partition appears or wakes."""
        self._reached = max(self._reached, self._lowest())
        return self._reached

    def know(self, partitions: Iterable[int], now_us: int) -> None:
        """These partitions exist: one without rows holds back the watermark until it idles or ends."""
        for p in partitions:
            self._highs.setdefault(p, BEFORE_TIME)
            self._last_rows_us.setdefault(p, now_us)

    def mark_idle(self, now_us: int) -> None:
        """Partitions that have been silent for `idle_timeout` no longer count."""
        if self._idle_timeout_us is None:
            return
        for p, last in self._last_rows_us.items():
            if now_us - last >= self._idle_timeout_us:
                self._idle.add(p)

    def end(self, partitions: Iterable[int] | None = None) -> None:
        """No row comes any more: from these partitions, or at all."""
        if partitions is None:
            self._is_ended = True
        else:
            self._ended.update(partitions)

    def judge(
        self,
        times_us: Micros,
        is_null: npt.NDArray[np.bool_],
        partitions: npt.NDArray[np.int32] | None,
        now_us: int,
    ) -> tuple[Micros, Micros]:
        """The watermark that each row is judged by, and the source's after each row.

        A row is judged by its own partition's just before it, or by the source's if that is higher.
        """
        n = len(times_us)
        parts = np.zeros(n, np.int32) if partitions is None else partitions
        present = [int(p) for p in np.unique(parts)] if partitions is not None else [0]
        self.know(present, now_us)
        start = self.watermark_us
        own = np.empty(n, np.int64)
        lowest = np.full(n, END_OF_TIME, np.int64)
        for p, high in list(self._highs.items()):
            if p in present and n:
                before = self._before_each_row(p, high, times_us, (parts == p), is_null, lowest)
                own[parts == p] = before
                self._last_rows_us[p] = now_us
            elif p not in self._idle and p not in self._ended:
                np.minimum(lowest, self._less_delay(high), out=lowest)
        self._idle.difference_update(present if n else ())
        lowest[lowest == END_OF_TIME] = BEFORE_TIME  # nobody counts: it stays where it was
        source = np.maximum(np.maximum.accumulate(lowest), start)
        self._reached = int(source[-1]) if n else start
        after = np.append(source[1:], self.watermark_us) if n else source
        return np.maximum(own, source), after

    def _before_each_row(
        self, p: int, high: int, times_us: Micros, mine: npt.NDArray[np.bool_],
        is_null: npt.NDArray[np.bool_], lowest: Micros,
    ) -> Micros:  # fmt: skip
        """The partition's watermark before each of its rows; lowers `lowest` while it counts."""
        seen = np.where(mine & ~is_null, times_us, BEFORE_TIME)
        running = np.maximum.accumulate(np.concatenate(([high], seen)))
        self._highs[p] = int(running[-1])
        before = np.where(running[:-1] == BEFORE_TIME, BEFORE_TIME, running[:-1] - self._delay_us)
        # An idle partition wakes with its first row, and holds nobody back before.
        awake = int(np.argmax(mine)) + 1 if p in self._idle else 0
        np.minimum(lowest[awake:], before[awake:], out=lowest[awake:])
        return before[mine]

    def _lowest(self) -> int:
        if self._is_ended:
            return END_OF_TIME
        if self._highs and self._ended.issuperset(self._highs):
            return END_OF_TIME
        live = [h for p, h in self._highs.items() if p not in self._idle and p not in self._ended]
        return min((self._less_delay(h) for h in live), default=BEFORE_TIME)

    def _less_delay(self, high: int) -> int:
        return high if high == BEFORE_TIME else high - self._delay_us
