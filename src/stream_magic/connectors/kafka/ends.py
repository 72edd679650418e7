"""Where the partitions of a bounded source end for it, and which have come there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np


class Ends:
    """The ends as they were when the source was opened; what is behind them is not read."""

    def __init__(self) -> None:
        self._ends: dict[int, int] = {}
        self._unfinished: set[int] = set()
        self._reached: list[int] = []

    def look_up(self, marks: Mapping[int, tuple[int, int]], following: Mapping[int, int]) -> None:
        """Notes where each partition ends now, and which of them have nothing more for us.

        Args:
            marks: the first offset of each partition, and the one behind its last.
            following: the offset of the next message, where it is known.
        """
        self._unfinished = set()
        for p, (low, high) in marks.items():
            self._ends[p] = high
            if high > max(low, following.get(p, low)):
                self._unfinished.add(p)
            else:
                self._reached.append(p)

    @property
    def are_reached(self) -> bool:
        return not self._unfinished

    def add_empty(self, partitions: Iterable[int]) -> None:
        """They were not there when the ends were looked up."""
        self._reached += partitions

    def come_to(self, partition: int, offset: int) -> int:
        """All before this offset was delivered; the offset that is next for us."""
        offset = min(offset, self._ends.get(partition, offset))
        if offset >= self._ends.get(partition, offset + 1):
            self._finish(partition)
        return offset

    def within(self, partitions: np.ndarray, offsets: np.ndarray) -> np.ndarray:
        """Which messages came before the end; notes which partitions have reached it."""
        is_within = np.ones(len(offsets), dtype=bool)
        for p in np.unique(partitions).tolist():
            end = self._ends.get(p, 0)
            is_of_p = partitions == p
            is_within &= ~is_of_p | (offsets < end)
            if offsets[is_of_p].max() >= end - 1:
                self._finish(p)
        return is_within

    def take_reached(self) -> list[int]:
        """The partitions that have come to their end since this was asked."""
        reached, self._reached = self._reached, []
        return reached

    def _finish(self, partition: int) -> None:
        if partition in self._unfinished:
            self._unfinished.remove(partition)
            self._reached.append(partition)
