"""Arrays that belong to an epoch's transaction: what it wrote to them can be undone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_FIRST_SIZE = 1024


class Arrays:
    """Columns of whole numbers, equally long, that grow at their end.

    Attributes:
        size: how many places are in use.
    """

    def __init__(self, **defaults: int) -> None:
        self.size = 0
        self._defaults = defaults
        self._columns = {n: np.full(_FIRST_SIZE, d, np.int64) for n, d in defaults.items()}
        self._old: list[Callable[[], None]] = []

    def __getitem__(self, name: str) -> Ints:
        """The places in use; to be read only."""
        return self._columns[name][: self.size]

    @property
    def bytes(self) -> int:
        return sum(c.nbytes for c in self._columns.values())

    def put(self, name: str, at: Ints, values: Ints | int) -> None:
        """Writes to these places, each of them once."""
        before = self._columns[name][at]

        def undo() -> None:
            self._columns[name][at] = before

        self._old.append(undo)
        self._columns[name][at] = values

    def add(self, count: int) -> Ints:
        """New places, with the defaults in them."""
        first, self.size = self.size, self.size + count

        def undo() -> None:
            for name, default in self._defaults.items():
                self._columns[name][first : first + count] = default
            self.size = first

        self._old.append(undo)
        room = len(self._columns[next(iter(self._columns))])
        if self.size > room:
            more = max(room, self.size - room)
            for name, default in self._defaults.items():
                rest = np.full(more, default, np.int64)
                self._columns[name] = np.concatenate((self._columns[name], rest))
        return np.arange(first, self.size, dtype=np.int64)

    def keep(self) -> None:
        """What was written is there to stay."""
        self._old.clear()

    def undo(self) -> None:
        """As it was when `keep` was called last."""
        for step in reversed(self._old):
            step()
        self._old.clear()
