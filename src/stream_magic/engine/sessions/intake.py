"""New rows of a SESSION window: late ones become errors, the others are put into their sessions."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import BEFORE_TIME, LATE_BY, SEQ
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.operators.late import CLOSED
from stream_magic.engine.sessions.arrays import Ints
from stream_magic.engine.sessions.spans import Spans
from stream_magic.engine.sessions.table import NOTHING, Merge, Rows, SessionTable
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.language.binder import quote
from stream_magic.planner.nodes import SESSION, WINDOW_END, Sessions

_SESSION_FIELD = pa.field(SESSION, pa.int64())


class SessionIntake:
    """Runs once an epoch, and undoes what it did if the epoch is rolled back.

    Attributes:
        merge: what the rows of the epoch did.
        told: the sessions that closed in it.
    """

    def __init__(self, plan: Sessions, schema: pa.Schema, database: Database) -> None:
        self.merge: Merge = NOTHING
        self.told: Spans = NOTHING.now
        self._database = database
        self._table = SessionTable(plan.bounds.gap_us, plan.lateness_us)
        self._keys = ArrowInput(pa.schema([schema.field(k) for k in plan.keys]))
        self._number = number = database.number()
        if plan.keys:
            kinds = dict(zip(plan.columns, plan.types, strict=True))
            items = ", ".join(f"{_comparable(k, kinds[k])}, 'ASC NULLS LAST'" for k in plan.keys)
            database.register(f"_keys{number}", self._keys)
            database.execute(
                f"PREPARE key{number} AS SELECT create_sort_key({items}) AS k FROM _keys{number}"
            )

    def take(self, rows: pa.Table, turn: Turn) -> pa.Table:
        """The rows that are in time, with the number of their session as the last column."""
        self._table.begin()
        self._database.on_rollback(self._table.undo)
        self.merge, self.told = NOTHING, NOTHING.now
        if rows.num_rows:
            self.merge = self._table.merge(self._rows(rows, turn))
            rows = self._in_time(rows, turn)
        if turn.has_moved:
            self.told = self._table.told(turn.watermark_us)
        return rows.append_column(_SESSION_FIELD, pa.array(self.merge.session))

    def state_size(self) -> StateSize:
        """Of the sessions that are remembered."""
        return self._table.size()

    def close(self) -> None:
        if self._keys.table.num_columns:
            self._database.execute(f"DEALLOCATE key{self._number}")
            self._database.unregister(f"_keys{self._number}")

    def _rows(self, rows: pa.Table, turn: Turn) -> Rows:
        numbers = rows.column(SEQ).to_numpy()
        closed_by = np.full(len(numbers), BEFORE_TIME)
        if turn.timeline is not None:
            closed_by = turn.timeline.before(numbers)
        mark = pc.fill_null(rows.column(LATE_BY), BEFORE_TIME).to_numpy()
        key, keys = self._keys_of(rows)
        return Rows(key, keys, rows.column(WINDOW_END).to_numpy(), mark, closed_by)

    def _keys_of(self, rows: pa.Table) -> tuple[Ints, list[bytes]]:
        """For each row the number of its key, and the keys as bytes that are equal when the keys are."""
        names = self._keys.table.column_names
        if not names:
            return np.zeros(rows.num_rows, np.int64), [b""]
        self._keys.table = rows.select(names)
        encoded = self._database.arrow(f"EXECUTE key{self._number}").column("k").combine_chunks()
        found = encoded.dictionary_encode()
        return found.indices.to_numpy().astype(np.int64), found.dictionary.to_pylist()

    def _in_time(self, rows: pa.Table, turn: Turn) -> pa.Table:
        is_late = self.merge.is_late
        if not is_late.any():
            return rows
        turn.errors.add(rows.filter(pa.array(is_late)).column(SEQ).to_pylist(), "SM5003", CLOSED)
        return rows.filter(pa.array(~is_late))


def _comparable(key: str, kind: str) -> str:
    """A key as a value whose sort keys are equal when GROUP BY says so: 30 days are a month."""
    typed = f"CAST({quote(key)} AS {kind})"
    return f"normalized_interval({typed})" if kind == "INTERVAL" else typed


def spans_table(spans: Spans) -> pa.Table:
    """For a statement: `id`, `first` and `last` of sessions."""
    return pa.table([pa.array(c) for c in spans], schema=SPANS)


def moved_table(merge: Merge, *, has_grown: bool) -> pa.Table:
    """The same of sessions that became others: with another id, or (`has_grown`) another first or last event; and that id."""
    now = merge.now.at(merge.becomes)
    moved = merge.before.key != now.key
    if has_grown:
        moved |= (merge.before.first != now.first) | (merge.before.last != now.last)
    columns = [*merge.before.at(moved), now.key[moved]]
    return pa.table([pa.array(c) for c in columns], schema=MOVED)


SPANS = pa.schema([("id", pa.int64()), ("first", pa.int64()), ("last", pa.int64())])
MOVED = SPANS.append(pa.field("becomes", pa.int64()))
