"""The watermark of a source, kept row by row in order of arrival, so that epochs may be cut anywhere."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from stream_magic.core.buffers import Int64s as Micros
from stream_magic.core.buffers import int64s
from stream_magic.core.change import BEFORE_TIME, END_OF_TIME


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
        self, times_us: Micros, partitions: npt.NDArray[np.int32] | None, now_us: int
    ) -> tuple[Micros, Micros]:
        """The watermark that each row is judged by, and the source's after each row.

        A row is judged by its own partition's just before it, or by the source's if that is higher.
        Where it has no time, that is BEFORE_TIME.
        """
        n = len(times_us)
        present = _present(partitions, n)
        self.know(present, now_us)
        start = self.watermark_us
        if not n:
            return np.empty(0, np.int64), np.empty(0, np.int64)
        if len(self._highs) == len(present) == 1 and not self._idle and not self._ended:
            return self._judge_alone(present[0], times_us, start, now_us)
        own = np.empty(n, np.int64)
        lowest = np.full(n, END_OF_TIME, np.int64)
        for p, high in list(self._highs.items()):
            if p in present:
                # Of many partitions each sees its own rows; one alone sees them all, without a mask.
                mine = slice(None) if len(present) == 1 else np.asarray(partitions == p)
                own[mine] = self._before_each_row(p, times_us, mine, lowest)
                self._last_rows_us[p] = now_us
            elif p not in self._idle and p not in self._ended:
                np.minimum(lowest, self._less_delay(high), out=lowest)
        self._idle.difference_update(present)
        lowest[lowest == END_OF_TIME] = BEFORE_TIME  # nobody counts: it stays where it was
        source = np.maximum.accumulate(lowest, out=lowest)
        np.maximum(source, start, out=source)
        self._reached = int(source[-1])
        after = np.append(source[1:], self.watermark_us)
        return np.maximum(own, source, out=own), after

    def _judge_alone(self, p: int, times: Micros, start: int, now_us: int) -> tuple[Micros, Micros]:
        """There is one partition: its watermark is the source's."""
        rising = self._rising(p, times, start)
        self._last_rows_us[p] = now_us
        self._reached = int(rising[-1])
        return rising[:-1], rising[1:]

    def _rising(self, p: int, times: Micros, start: int) -> Micros:
        """A partition's watermark before each of these times and after the last one, but not below `start`."""
        rising = int64s(len(times) + 1)
        rising[0] = start
        np.maximum(times, BEFORE_TIME + self._delay_us, out=rising[1:])
        rising[1:] -= self._delay_us
        if (rising[1:] < rising[:-1]).any():  # to look is a tenth of the work
            np.maximum.accumulate(rising, out=rising)
        self._highs[p] = max(self._highs[p], int(times.max()))
        return rising

    def _before_each_row(
        self, p: int, times: Micros, mine: npt.NDArray[np.bool_] | slice, lowest: Micros
    ) -> Micros:
        """The partition's watermark before each of its rows; lowers `lowest` while it counts."""
        own = times if isinstance(mine, slice) else np.where(mine, times, BEFORE_TIME)
        before = self._rising(p, own, self._less_delay(self._highs[p]))[:-1]
        # An idle partition wakes with its first row, and holds nobody back before.
        awake = 0
        if p in self._idle:
            awake = 1 if isinstance(mine, slice) else int(np.argmax(mine)) + 1
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
        """Not below BEFORE_TIME: a time may be -infinity."""
        return max(high, BEFORE_TIME + self._delay_us) - self._delay_us


def _present(partitions: npt.NDArray[np.int32] | None, n: int) -> list[int]:
    """The partitions that these rows are of."""
    if partitions is None:
        return [0]
    if n and (partitions == partitions[0]).all():
        return [int(partitions[0])]
    return [int(p) for p in np.unique(partitions)]
