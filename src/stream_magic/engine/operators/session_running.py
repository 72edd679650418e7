"""GROUP BY over sessions in memory: the pieces of each session are kept by its id, and merged as sessions are.

For aggregates that are made of pieces, grouped by exactly the key of the sessions; `session_group.py` does all others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_magic.core.change import WEIGHT
from stream_magic.engine.keyed.columns import Kind, Values
from stream_magic.engine.keyed.groups import Groups
from stream_magic.engine.keyed.sessions import Pieces, SessionPieces
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.output import at_close, numbered
from stream_magic.engine.operators.partials import Partials
from stream_magic.engine.operators.running import kinds_of, results_of, suits_values
from stream_magic.engine.row_errors import NO_RESULT, RowError, as_texts, no_result
from stream_magic.engine.sessions.arrays import Ints
from stream_magic.engine.sessions.intake import SessionIntake
from stream_magic.engine.sessions.spans import Spans
from stream_magic.engine.sessions.table import Merge
from stream_magic.engine.state import Database, StateSize
from stream_magic.planner.nodes import SESSION, WINDOW_END, SessionGroup


class SessionRunningOperator(Operator):
    """One result for each session: its changes, or once, when the session closes."""

    def __init__(
        self, plan: SessionGroup, schema: pa.Schema, intake: SessionIntake, database: Database
    ) -> None:
        self.schema = plan.schema
        group = plan.group
        self.lag_us = plan.sessions.lateness_us
        self._plan, self._intake, self._database = plan, intake, database
        self._kept = [SESSION, *_own_keys(plan)]
        by_session = replace(group, keys=tuple(self._kept), is_windowed=False)
        self._partials = Partials(by_session, None, schema, database)
        kinds = kinds_of(group, self._partials)
        self._results = results_of(group, kinds, self._partials)
        keys = pa.schema([self._partials.schema.field(k) for k in self._kept])
        self._kinds, self._pieces = kinds, SessionPieces(keys, kinds)
        self._has_forgotten = False

    @staticmethod
    def suits(plan: SessionGroup, schema: pa.Schema) -> bool:
        """A session has one result, of keys and values that can be kept here."""
        keys = _own_keys(plan)
        bounds = plan.sessions.bounds
        ends = [f.type for f in plan.schema if f.name in (bounds.start, bounds.end)]
        return (
            plan.group.is_pieced
            and set(keys) == set(plan.sessions.keys)
            and all(pa.types.is_timestamp(t) and t.unit == "us" for t in ends)
            and Groups.suits(pa.schema([schema.field(k) for k in keys]))
            and suits_values(plan.group)
        )

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        self._pieces.tidy()
        merge, told = self._intake.merge, self._intake.told
        out = self.schema.empty_table()
        is_closing = self._plan.group.emit == "close"
        if len(merge.now.key):
            changes = self._merge(merge, deltas[0], turn)
            out = out if is_closing else changes
        if len(told.key):
            slots = self._pieces.slots(told.key)
            if is_closing:
                out = self._closed(told, slots, turn)
            self._database.on_rollback(self._pieces.drop(slots))
            self._has_forgotten = True
        return out

    @property
    def can_retell(self) -> bool:
        return self._plan.group.emit == "changes" and not self._has_forgotten

    def retell(self, turn: Turn) -> pa.Table:
        pieces = self._pieces.all()
        return self._weighted([(self._rows(pieces.at(np.flatnonzero(self._fit(pieces)))), 1)], turn)

    def state_size(self) -> StateSize:
        return StateSize(self._pieces.size, self._pieces.nbytes)

    def close(self) -> None:
        self._partials.close()

    def _merge(self, merge: Merge, rows: pa.Table, turn: Turn) -> pa.Table:
        """Old results with -1, new ones with +1, of sessions whose result changed."""
        slots = self._pieces.slots(merge.before.key)
        was = np.flatnonzero(slots >= 0)
        old, of = self._pieces.at(slots[was]), merge.becomes[was]
        places, new = self._new(merge, old, of, rows, turn)
        goes = merge.before.key[was] != merge.now.key[of]
        self._database.on_rollback(self._pieces.drop(slots[was[goes]]))
        self._database.on_rollback(self._pieces.put(merge.now.key[places], new))
        return self._changes(old, new, np.searchsorted(places, of), turn)

    def _new(
        self, merge: Merge, old: Pieces, of: Ints, rows: pa.Table, turn: Turn
    ) -> tuple[Ints, Pieces]:
        """What sessions hold now: what those that they were made of held, and the rows. Before it their places in `now`."""
        order = np.argsort(merge.now.key)
        parts = [p for p in self._partials.of(rows, turn) if p.num_rows]
        came = [self._places(order, merge, p) for p in parts]
        places, first = np.unique(np.concatenate([*came, of]), return_index=True)
        total = [_nothing(kind, len(places)) for kind in self._kinds]
        read = [self._read(p) for p in parts]
        for at, given in (*zip(came, read, strict=True), *_one_each(of, old.values)):
            self._add(total, np.searchsorted(places, at), given)
        keys = pa.concat_tables([*(p.select(self._kept) for p in parts), old.keys])
        first_keys = keys.take(pa.array(first))
        return places, Pieces(first_keys, merge.now.first[places], merge.now.last[places], total)

    def _places(self, order: Ints, merge: Merge, part: pa.Table) -> Ints:
        """Of partial results in `now`, whose ids have this order."""
        found: Ints = order[np.searchsorted(merge.now.key[order], part.column(SESSION).to_numpy())]
        return found

    def _read(self, part: pa.Table) -> list[Values]:
        columns = (part.column(n) for n in self._partials.names)
        return [kind.read(c) for kind, c in zip(self._kinds, columns, strict=True)]

    def _add(self, total: list[Values], at: Ints, given: Sequence[Values]) -> None:
        """Each of the values to another place."""
        merged = self._pieces.merged([t.at(at) for t in total], given)
        for whole, part in zip(total, merged, strict=True):
            for word, own in zip(whole.words, part.words, strict=True):
                word[at] = own
            whole.valid[at] = part.valid

    def _changes(self, old: Pieces, new: Pieces, of: Ints, turn: Turn) -> pa.Table:
        """`of` says for each old result which new one it became a part of."""
        is_same = np.bincount(of, minlength=len(new.first))[of] == 1
        is_same &= (old.first == new.first[of]) & (old.last == new.last[of])
        for result in self._results:
            is_same &= ~result.of(old.values).differ(result.of([v.at(of) for v in new.values]))
        had, has = self._fit(old), self._fit(new)
        is_told = np.ones(len(new.first), np.bool_)
        is_told[of[is_same & (had == has[of])]] = False
        failed = np.zeros(len(new.first), np.bool_)
        failed[of[~had]] = True
        self._tell(new.at(np.flatnonzero(~has & ~failed)), turn)
        is_taken = had & ~(is_same & has[of])
        taken, told = old.at(np.flatnonzero(is_taken)), new.at(np.flatnonzero(is_told & has))
        return self._weighted([(self._rows(taken), -1), (self._rows(told), 1)], turn)

    def _weighted(self, parts: Sequence[tuple[pa.Table, int]], turn: Turn) -> pa.Table:
        weights = np.concatenate([np.full(len(rows), weight, np.int64) for rows, weight in parts])
        rows = pa.concat_tables([rows for rows, _ in parts])
        return numbered(rows.append_column(WEIGHT, pa.array(weights)), turn.last_seq, self.schema)

    def _closed(self, told: Spans, slots: Ints, turn: Turn) -> pa.Table:
        """Those that have any rows, in the order of their ends."""
        there = np.flatnonzero(slots >= 0)
        pieces = self._pieces.at(slots[there[np.argsort(told.last[there], kind="stable")]])
        fits = self._fit(pieces)
        self._tell(pieces.at(np.flatnonzero(~fits)), turn)
        pieces = pieces.at(np.flatnonzero(fits))
        ends = pa.array(pieces.last + self._plan.sessions.bounds.gap_us)
        rows = self._rows(pieces).append_column(WINDOW_END, ends)
        return at_close(rows, turn, self._plan.sessions.lateness_us, self.schema)

    def _fit(self, given: Pieces) -> npt.NDArray[np.bool_]:
        """Those whose sums do not overflow."""
        fits = np.ones(len(given.first), np.bool_)
        for kind, values in zip(self._kinds, given.values, strict=True):
            fits &= kind.fit(values)
        return fits

    def _tell(self, failed: Pieces, turn: Turn) -> None:
        """Sessions that have no result, by what users know of them."""
        if not len(failed.first):
            return
        keys = self._rows(failed).select(list(self._plan.group.keys))
        for raw in as_texts(keys.rename_columns(list(self._plan.shown_keys))):
            reason = no_result("a sum does not fit 128 bits")
            turn.errors.rows.append(RowError(NO_RESULT, reason, raw, seq=turn.last_seq))

    def _rows(self, given: Pieces) -> pa.Table:
        """Keys, bounds and results as the schema has them."""
        group, bounds = self._plan.group, self._plan.sessions.bounds
        times = {bounds.start: given.first, bounds.end: given.last + bounds.gap_us}
        columns: dict[str, pa.Array | pa.ChunkedArray] = {}
        for key in group.keys:
            kind = self.schema.field(key).type
            columns[key] = (
                pa.array(times[key]).view(kind) if key in times else given.keys.column(key)
            )
        for call, result in zip(group.calls, self._results, strict=True):
            kind = self.schema.field(call.name).type
            columns[call.name] = result.write(result.of(given.values), kind)
        return pa.table(columns)


def _own_keys(plan: SessionGroup) -> tuple[str, ...]:
    bounds = plan.sessions.bounds
    return tuple(k for k in plan.group.keys if k not in (bounds.start, bounds.end))


def _nothing(kind: Kind, count: int) -> Values:
    words = tuple(np.zeros(count, d) for d in kind.dtypes)
    return Values(words, np.zeros(count, np.bool_))


def _one_each(of: Ints, values: Sequence[Values]) -> list[tuple[Ints, list[Values]]]:
    """In rounds, so that in none of them two go to one place."""
    order = np.argsort(of, kind="stable")
    sorted_of = of[order]
    begins = np.searchsorted(sorted_of, sorted_of)
    turn = np.arange(len(of)) - begins
    rounds = []
    for number in range(int(turn.max(initial=-1)) + 1):
        chosen = order[turn == number]
        rounds.append((of[chosen], [v.at(chosen) for v in values]))
    return rounds
