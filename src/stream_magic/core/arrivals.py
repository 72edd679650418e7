"""The order of arrival: one counter numbers the rows of all sources as they enter the app."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from stream_magic.core.buffers import Int64s, int64s

Numbers = Int64s
_FIRST_ONES = np.arange(1 << 15)


class Arrivals:
    """Gives out arrival numbers, each once, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0

    @property
    def next(self) -> int:
        """The number of the next row. All rows with lower ones are where an epoch finds them."""
        with self._lock:
            return self._next

    @contextmanager
    def entering(self, rows: int) -> Iterator[int]:
        """The first of this many numbers. Inside, the rows are put where an epoch finds them: short, and without waiting."""
        with self._lock:
            yield self._next
            self._next += rows


def numbers_from(first: int, rows: int) -> Numbers:
    numbers = int64s(rows)
    for at in range(0, rows, len(_FIRST_ONES)):
        part = numbers[at : at + len(_FIRST_ONES)]
        np.add(_FIRST_ONES[: len(part)], first + at, out=part)
    return numbers
