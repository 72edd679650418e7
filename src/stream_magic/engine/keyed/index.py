"""From 64-bit hashes to dense slots: open addressing in one NumPy array, for a whole batch at once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Hashes = npt.NDArray[np.uint64]
Slots = npt.NDArray[np.int64]

_FIRST = 1 << 10  # places to begin with


class HashIndex:
    """The slots 0, 1, 2 ... by their hashes. At most half of the places are taken.

    Two slots may have the same hash: the first of them is found.
    """

    def __init__(self) -> None:
        self._places = np.full(_FIRST, -1, np.int32)
        self._hashes = np.zeros(_FIRST // 2 + 1, np.uint64)
        self.size = 0

    @property
    def nbytes(self) -> int:
        return int(self._places.nbytes + self._hashes.nbytes)

    def hashes(self) -> Hashes:
        """Of all slots."""
        return self._hashes[: self.size]

    def find(self, hashes: Hashes) -> Slots:
        """The slot of each, or -1."""
        mask = np.uint64(len(self._places) - 1)
        place = (hashes & mask).astype(np.int64)
        slots = self._places[place].astype(np.int64)
        left = np.flatnonzero((slots >= 0) & (self._hashes[slots] != hashes))
        while left.size:  # the next place, for those that met another
            place[left] = (place[left] + 1) & int(mask)
            there = self._places[place[left]]
            slots[left] = there
            left = left[(there >= 0) & (self._hashes[there] != hashes[left])]
        return slots

    def add(self, hashes: Hashes) -> None:
        """Gives them the next slots, in this order."""
        first, self.size = self.size, self.size + len(hashes)
        if 2 * self.size > len(self._places):
            self._grow(first)
        self._hashes[first : self.size] = hashes
        self._place(np.arange(first, self.size, dtype=np.int32))

    def cut(self, size: int) -> None:
        """Takes back the slots from `size` on."""
        self.size = size
        self._places.fill(-1)
        self._place(np.arange(size, dtype=np.int32))

    def _grow(self, kept: int) -> None:
        places = len(self._places)
        while places < 2 * self.size:
            places *= 2
        self._places = np.full(places, -1, np.int32)
        self._hashes = np.concatenate(
            [self._hashes[:kept], np.zeros(places // 2 + 1 - kept, np.uint64)]
        )
        self._place(np.arange(kept, dtype=np.int32))

    def _place(self, slots: npt.NDArray[np.int32]) -> None:
        """Each claims a place that is free, the lowest gets it; who reads back another moves on."""
        mask = len(self._places) - 1
        place = (self._hashes[slots] & np.uint64(mask)).astype(np.int64)
        while slots.size:
            free = np.flatnonzero(self._places[place] < 0)[::-1]  # the last one written stays
            self._places[place[free]] = slots[free]
            lost = self._places[place] != slots
            slots, place = slots[lost], (place[lost] + 1) & mask
