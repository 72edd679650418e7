"""GROUP BY with EMIT CHANGES in memory: an epoch costs the groups that it touches, however many there are.

For aggregates that are made of pieces (counts, exact sums, minima, maxima, means); DuckDB merges the states of
all others (`aggregate.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_magic.core.change import SEQ, WEIGHT
from stream_magic.engine.keyed.columns import Kind, ValueColumn, Values, kind_of
from stream_magic.engine.keyed.groups import Groups
from stream_magic.engine.keyed.index import Slots
from stream_magic.engine.keyed.results import Result
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.late import closed_until
from stream_magic.engine.operators.partials import HASH, Partials
from stream_magic.engine.row_errors import NO_RESULT, RowError, as_texts, no_result
from stream_magic.engine.state import Database, StateSize
from stream_magic.planner.nodes import WINDOW_END, Aggregate

_FORGET = 1_024  # closed groups are let go when they are so many, and more than the others


class RunningOperator(Operator):
    """Keeps the pieces of every group; the old result is taken back, the new one given."""

    def __init__(self, plan: Aggregate, partials: Partials, database: Database) -> None:
        self._plan, self._partials, self._database = plan, partials, database
        self._keys = list(plan.keys) or [HASH]  # one group of all rows has a key, too
        self._groups = Groups(pa.schema([partials.schema.field(k) for k in self._keys]))
        self._columns = [ValueColumn(kind) for kind in kinds_of(plan, partials)]
        self._results = results_of(plan, [c.kind for c in self._columns], partials)
        self._ends = np.empty(0, np.int64)  # of windows, by slot
        self._until: int | None = None
        self._has_forgotten = False
        self.schema = plan.schema
        self.lag_us = plan.lateness_us

    @staticmethod
    def suits(plan: Aggregate) -> bool:
        """Keys and results have types that can be kept here."""
        keys = pa.schema([plan.input.schema.field(k) for k in plan.keys])
        return Groups.suits(keys) and suits_values(plan)

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        (delta,) = deltas
        self._forget()
        out = self.schema.empty_table()
        if delta.num_rows or (turn.is_first and not self._plan.keys):  # no input is one row, too
            parts = [p for p in self._partials.of(delta, turn) if p.num_rows]
            out = self._merge(parts, turn) if parts else out
        if self._plan.is_windowed and turn.has_moved:
            self._close_until(closed_until(turn.watermark_us, self._plan.lateness_us))
        return out

    @property
    def can_retell(self) -> bool:
        return not self._has_forgotten

    def retell(self, turn: Turn) -> pa.Table:
        slots = np.arange(self._groups.size)
        nothing = np.zeros(len(slots), bool)
        values = [column.at(slots) for column in self._columns]
        return self._changes(self._groups.keys(), nothing, values, values, turn)

    def state_size(self) -> StateSize:
        size = self._groups.nbytes + sum(c.nbytes for c in self._columns)
        return StateSize(self._groups.size, size)

    def close(self) -> None:
        self._partials.close()

    def _merge(self, parts: Sequence[pa.Table], turn: Turn) -> pa.Table:
        """Works in partial results; a group is in each of the parts once at most."""
        before = self._groups.size
        keys = pa.concat_tables([p.select(self._keys) for p in parts])
        places = [self._groups.slots(p.select(self._keys), p.column(HASH).to_numpy()) for p in parts]  # fmt: skip
        slots = places[0]
        if len(parts) > 1:
            slots, first = np.unique(np.concatenate(places), return_index=True)
            keys = keys.take(pa.array(first))
        for column in self._columns:
            column.make_room(self._groups.size)
        old = [column.at(slots) for column in self._columns]
        self._database.on_rollback(lambda: self._undo(before, slots, old))
        for part, at in zip(parts, places, strict=True):
            was = old if at is slots else [column.at(at) for column in self._columns]
            new = self._put(part, at, was)
        if len(parts) > 1:
            new = [column.at(slots) for column in self._columns]
        if self._plan.is_windowed:
            ends = keys.column(WINDOW_END).to_numpy()[slots >= before]
            self._ends = np.concatenate([self._ends, ends])
        return self._changes(keys, slots < before, old, new, turn)

    def _put(self, part: pa.Table, slots: Slots, old: Sequence[Values]) -> list[Values]:
        new = [
            column.merge(was, column.kind.read(part.column(name)))
            for column, was, name in zip(self._columns, old, self._partials.names, strict=True)
        ]
        for column, values in zip(self._columns, new, strict=True):
            column.put(slots, values)
        return new

    def _close_until(self, until: int | None) -> None:
        """Windows that end here are closed, and let go in an epoch after this one."""
        before, self._until = self._until, until

        def undo() -> None:
            self._until = before

        self._database.on_rollback(undo)

    def _undo(self, size: int, slots: Slots, old: Sequence[Values]) -> None:
        for column, values in zip(self._columns, old, strict=True):
            column.put(slots, values)
        self._groups.cut(size)
        self._ends = self._ends[:size]

    def _changes(
        self, keys: pa.Table, was_there: npt.NDArray[np.bool_], old: list[Values], new: list[Values], turn: Turn
    ) -> pa.Table:  # fmt: skip
        """Old results with -1, new ones with +1, of groups whose result changed."""
        results = [(r.of(old), r.of(new)) for r in self._results]
        had_result, has_result = self._fit(old, was_there), self._fit(new, np.ones_like(was_there))
        has_changed = had_result != has_result
        for before, after in results:
            has_changed |= before.differ(after)
        begins_to_fail = ~has_result & (had_result | ~was_there)
        if begins_to_fail.any():
            self._tell(keys.filter(pa.array(begins_to_fail)), turn)
        taken, given = (
            np.flatnonzero(had_result & has_changed),
            np.flatnonzero(has_result & has_changed),
        )
        rows = pa.array(np.concatenate([taken, given]))
        columns = [keys.column(k).take(rows) for k in self._plan.keys if k != WINDOW_END]
        for result, (before, after) in zip(self._results, results, strict=True):
            kind = self.schema.field(len(columns)).type
            columns.append(result.write(before.at(taken).then(after.at(given)), kind))
        hidden = {
            SEQ: np.full(len(rows), turn.last_seq, np.int64),
            WEIGHT: np.repeat(np.array([-1, 1], np.int64), [len(taken), len(given)]),
        }
        nothing = pa.nulls(len(rows), pa.int64())
        columns += [
            pa.array(hidden[n]) if n in hidden else nothing
            for n in self.schema.names[len(columns) :]
        ]
        return pa.table(columns, schema=self.schema)

    def _fit(
        self, values: Sequence[Values], groups: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Those of the groups whose sums do not overflow."""
        for column, given in zip(self._columns, values, strict=True):
            groups = groups & column.kind.fit(given)
        return groups

    def _tell(self, groups: pa.Table, turn: Turn) -> None:
        labels = list(self._plan.shown_keys)
        shown = groups.select(self._keys[: len(labels)]).rename_columns(labels)
        for raw in as_texts(shown) if labels else [b"{}"] * len(groups):
            reason = no_result("a sum does not fit 128 bits")
            turn.errors.rows.append(RowError(NO_RESULT, reason, raw, seq=turn.last_seq))

    def _forget(self) -> None:
        """Drops the groups of closed windows, once they are many; their rows stay in the result."""
        if self._until is None:
            return
        kept = self._ends > self._until
        closed = len(kept) - int(kept.sum())
        if closed >= _FORGET and 2 * closed >= len(kept):
            self._has_forgotten = True
            self._groups.keep(kept)
            self._ends = self._ends[kept]
            for column in self._columns:
                column.keep(kept)


def suits_values(plan: Aggregate) -> bool:
    """Results of these types are made of values that can be kept in memory."""
    return all(kind_of(plan.schema.field(c.name).type, c.pieces[0].how) for c in plan.calls)


def kinds_of(plan: Aggregate, partials: Partials) -> list[Kind]:
    """How each piece is kept."""
    pieces = [p for call in plan.calls for p in call.pieces]
    kinds = []
    for name, piece in zip(partials.names, pieces, strict=True):
        kind = kind_of(partials.schema.field(name).type, piece.how)
        if kind is None:
            raise TypeError(f"no column for {piece.sql}")
        kinds.append(kind)
    return kinds


def results_of(plan: Aggregate, kinds: Sequence[Kind], partials: Partials) -> list[Result]:
    results, first = [], 0
    for call in plan.calls:
        kind = partials.schema.field(partials.names[first]).type
        scale = kind.scale if pa.types.is_decimal(kind) else 0
        last = first + len(call.pieces)
        results.append(Result(tuple(kinds[first:last]), first, scale))
        first = last
    return results
