"""Pieces of results by the id of a session: merged as sessions are, undone with the epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_magic.engine.keyed.columns import Kind, Number, Slots, ValueColumn, Values
from stream_magic.engine.keyed.index import HashIndex

_FORGET = 4_096  # places of sessions that are gone are let go when they are so many, and more than the others

Ids = npt.NDArray[np.int64]


class Pieces(NamedTuple):
    """Of some sessions: their keys, their first and last events, and the values of each piece."""

    keys: pa.Table
    first: Ids
    last: Ids
    values: list[Values]

    def at(self, places: npt.NDArray[np.int64]) -> Pieces:
        values = [v.at(places) for v in self.values]
        keys = self.keys.take(pa.array(places))
        return Pieces(keys, self.first[places], self.last[places], values)


class SessionPieces:
    """Keys, bounds and pieces of sessions by their ids, which are given once and never again.

    Args:
        keys: schema of the keys, at least one column.
        kinds: of the pieces.
    """

    def __init__(self, keys: pa.Schema, kinds: Sequence[Kind]) -> None:
        self._index = HashIndex()  # an id is its own hash
        self._chunks = [keys.empty_table()]
        bound = Number(pa.int64(), "max")
        self._columns = [ValueColumn(kind) for kind in (bound, bound, *kinds)]
        self._alive = np.empty(0, np.bool_)

    @property
    def size(self) -> int:
        return int(self._alive.sum())

    @property
    def nbytes(self) -> int:
        parts = (*self._columns, *self._chunks, self._index, self._alive)
        return sum(p.nbytes for p in parts)

    def slots(self, ids: Ids) -> Slots:
        """The place of each, or -1."""
        slots = self._index.find(ids.astype(np.uint64))
        if len(self._alive):
            slots[~self._alive[slots]] = -1
        return slots

    def at(self, slots: Slots) -> Pieces:
        """What is kept there."""
        first, last, *values = (c.at(slots) for c in self._columns)
        keys = pa.concat_tables(self._chunks).take(pa.array(slots))
        return Pieces(keys, first.words[0], last.words[0], values)

    def all(self) -> Pieces:
        """Of all sessions that there are."""
        return self.at(np.flatnonzero(self._alive))

    def merged(self, old: Sequence[Values], new: Sequence[Values]) -> list[Values]:
        """Values of each piece with others."""
        pairs = zip(self._columns[2:], old, new, strict=True)
        return [column.merge(was, came) for column, was, came in pairs]

    def put(self, ids: Ids, pieces: Pieces) -> Callable[[], None]:
        """These sessions are so now. What takes it back."""
        before, slots = self._index.size, self.slots(ids)
        is_new = slots < 0
        old_slots = slots[~is_new]
        old = [c.at(old_slots) for c in self._columns]
        chunks = self._chunks
        slots[is_new] = np.arange(before, before + int(is_new.sum()))
        self._index.add(ids[is_new].astype(np.uint64))
        self._alive = np.concatenate([self._alive, np.ones(int(is_new.sum()), np.bool_)])
        self._chunks = _longer(chunks, pieces.keys.filter(pa.array(is_new)))
        known = np.ones(len(ids), np.bool_)
        bounds = [Values((bound,), known) for bound in (pieces.first, pieces.last)]
        for column, given in zip(self._columns, (*bounds, *pieces.values), strict=True):
            column.make_room(self._index.size)
            column.put(slots, given)

        def undo() -> None:
            for column, was in zip(self._columns, old, strict=True):
                column.put(old_slots, was)
            self._index.cut(before)
            self._alive, self._chunks = self._alive[:before], chunks

        return undo

    def drop(self, slots: Slots) -> Callable[[], None]:
        """They are gone. What takes it back."""
        slots = slots[slots >= 0]
        self._alive[slots] = False

        def undo() -> None:
            self._alive[slots] = True

        return undo

    def tidy(self) -> None:
        """Lets go of places of sessions that are gone, once they are many. Between two epochs."""
        gone = len(self._alive) - self.size
        if gone < max(_FORGET, self.size):
            return
        kept, ids = self._alive, self._index.hashes()[self._alive]
        self._chunks = [pa.concat_tables(self._chunks).filter(pa.array(kept)).combine_chunks()]
        self._index = HashIndex()
        self._index.add(ids)
        for column in self._columns:
            column.keep(kept)
        self._alive = np.ones(len(ids), np.bool_)


def _longer(chunks: list[pa.Table], more: pa.Table) -> list[pa.Table]:
    """With more at the end; the last ones become one while they are not much longer than what follows."""
    chunks = [*chunks, more]
    while len(chunks) > 1 and len(chunks[-2]) <= 2 * len(chunks[-1]):
        chunks[-2:] = [pa.concat_tables(chunks[-2:]).combine_chunks()]
    return chunks
