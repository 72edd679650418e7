"""The slots of groups, by their keys."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.engine.keyed.index import Hashes, HashIndex, Slots

_SUITED = (
    pa.types.is_integer, pa.types.is_boolean, pa.types.is_date, pa.types.is_time, pa.types.is_timestamp,
    pa.types.is_decimal, pa.types.is_string, pa.types.is_large_string, pa.types.is_binary,
)  # fmt: skip


class Groups:
    """Keys are equal as GROUP BY sees them: NULL is a value.

    A hash may be that of another key: the keys themselves are compared too, and those that share a
    hash with an earlier one (its twins) are looked up one by one.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._index = HashIndex()
        self._chunks = [schema.empty_table()]
        self._twins: dict[tuple[Any, ...], int] = {}

    @staticmethod
    def suits(schema: pa.Schema) -> bool:
        """Keys of these types are equal for Arrow exactly where they are for DuckDB."""
        return all(any(is_kind(f.type) for is_kind in _SUITED) for f in schema)

    @property
    def size(self) -> int:
        return self._index.size

    @property
    def nbytes(self) -> int:
        return int(self._index.nbytes + sum(c.nbytes for c in self._chunks))

    def keys(self) -> pa.Table:
        """Of all slots."""
        return pa.concat_tables(self._chunks)

    def slots(self, keys: pa.Table, hashes: Hashes) -> Slots:
        """Of keys that differ from each other. New ones get the next slots."""
        slots = self._index.find(hashes)
        for i in np.flatnonzero(slots >= 0)[self._are_others(keys, slots)]:
            slots[i] = self._twins.get(_key(keys, i), -1)
        new = np.flatnonzero(slots < 0)
        if new.size:
            slots[new] = np.arange(self.size, self.size + new.size)
            self._add(keys.take(pa.array(new)) if new.size < len(slots) else keys, hashes[new])
        return slots

    def cut(self, size: int) -> None:
        """Takes back the slots from `size` on."""
        keys = self.keys().slice(0, size)
        self._chunks = [keys.combine_chunks()]
        self._twins = {key: slot for key, slot in self._twins.items() if slot < size}
        self._index.cut(size)

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Only these slots, numbered anew."""
        keys = self.keys().filter(pa.array(kept)).combine_chunks()
        hashes = self._index.hashes()[kept]
        self._index, self._chunks, self._twins = HashIndex(), [keys.slice(0, 0)], {}
        self._add(keys, hashes)

    def _add(self, keys: pa.Table, hashes: Hashes) -> None:
        first = self.size
        self._index.add(hashes)
        places = np.arange(first, self.size)
        for i in np.flatnonzero(self._index.find(hashes) != places):
            self._twins[_key(keys, i)] = first + int(i)
        self._chunks.append(keys.combine_chunks())
        while len(self._chunks) > 1 and len(self._chunks[-2]) <= 2 * len(self._chunks[-1]):
            last, before = self._chunks.pop(), self._chunks.pop()
            self._chunks.append(pa.concat_tables([before, last]).combine_chunks())

    def _are_others(self, keys: pa.Table, slots: Slots) -> npt.NDArray[np.bool_]:
        """For each slot that was found: its key is another one. Chunk by chunk: Arrow joins them all else."""
        found = np.flatnonzero(slots >= 0)
        is_other = np.zeros(len(found), bool)
        starts = list(itertools.accumulate((len(c) for c in self._chunks), initial=0))
        chunk_of = np.searchsorted(starts, slots[found], side="right") - 1
        for number, chunk in enumerate(self._chunks):
            here = np.flatnonzero(chunk_of == number)
            own = chunk.take(pa.array(slots[found[here]] - starts[number]))
            is_other[here] = ~_are_equal(own, keys.take(pa.array(found[here])))
        return is_other


def _are_equal(left: pa.Table, right: pa.Table) -> npt.NDArray[np.bool_]:
    same = np.ones(len(left), bool)
    for a, b in zip(left.columns, right.columns, strict=True):
        equal = pc.equal(a, b)
        if equal.null_count:
            equal = pc.if_else(pc.is_null(equal), pc.and_(pc.is_null(a), pc.is_null(b)), equal)
        same &= equal.to_numpy()
    return same


def _key(keys: pa.Table, row: np.int64) -> tuple[Any, ...]:
    return tuple(column[int(row)].as_py() for column in keys.columns)
