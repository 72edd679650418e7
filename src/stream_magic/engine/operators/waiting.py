"""OVER with EMIT ON WINDOW CLOSE: rows are kept until the watermark has passed them, and as long as frames read them.

It costs a scan of what is kept, which frames bound.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME, is_hidden
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.late import PASSED, without_late
from stream_magic.engine.operators.output import numbered
from stream_magic.engine.operators.template import fill
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.language.binder import quote
from stream_magic.planner.nodes import WINDOW_END, Waiting

_FORGET_ROWS = 20_000  # fewer are not worth a statement that forgets


class WaitingOperator(Operator):
    """Gives each row once, with what its frames hold."""

    def __init__(self, plan: Waiting, schema: pa.Schema, database: Database) -> None:
        self.schema = plan.schema
        self._plan, self._database = plan, database
        number = database.number()
        self._table, self._name, self._add = f"k{number}", f"_new{number}", f"add{number}"
        self._new = ArrowInput(pa.schema([schema.field(c) for c in (*plan.columns, WINDOW_END)]))
        database.register(self._name, self._new)
        kinds = dict(zip(map(quote, plan.columns), plan.kept_types, strict=True))
        kinds[WINDOW_END] = "BIGINT"
        database.execute(f"CREATE TABLE {self._table} ({', '.join(f'{c} {t}' for c, t in kinds.items())})")  # fmt: skip
        typed = ", ".join(f"CAST({c} AS {t}) AS {c}" for c, t in kinds.items())
        database.execute(f"PREPARE {self._add} AS INSERT INTO {self._table} SELECT {typed} FROM {self._name}")  # fmt: skip
        self._came = self._left = 0

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        rows = without_late(deltas[0], 1, turn, PASSED)  # at the watermark itself a row is in time
        if rows.num_rows:
            self._new.table = rows.select(self._new.table.schema.names)
            self._database.execute(f"EXECUTE {self._add}")
            self._came += rows.num_rows
        if not turn.has_moved or turn.timeline is None:
            return self.schema.empty_table()
        first, until = (self._told_at(us) for us in (turn.timeline.start_us, turn.watermark_us))
        out = self._told(first, until, turn.watermark_us)
        if self._came >= max(_FORGET_ROWS, self._left):
            self._forget(until)
        return numbered(out, turn.last_seq, self.schema)

    def state_size(self) -> StateSize:
        return self._database.size(self._table)

    def close(self) -> None:
        self._database.execute(f"DEALLOCATE {self._add}")
        self._database.execute(f"DROP TABLE {self._table}")
        self._database.unregister(self._name)

    def _told_at(self, watermark_us: int) -> int:
        """Rows before this time have been told when the watermark is there."""
        is_plain = watermark_us not in (BEFORE_TIME, END_OF_TIME)
        return watermark_us - self._plan.ahead_us if is_plain else watermark_us

    def _told(self, first: int, until: int, watermark: int) -> pa.Table:
        passed = f"(SELECT * FROM {self._table} WHERE {WINDOW_END} < {max(watermark, until)})"
        shown = ", ".join(n for n in self.schema.names if not is_hidden(n))
        return self._database.arrow(
            f"SELECT {shown} FROM ({fill(self._plan.sql, [passed])}) "
            f"WHERE {WINDOW_END} >= {first} AND {WINDOW_END} < {until} ORDER BY ALL"
        )

    def _forget(self, until: int) -> None:
        """What no frame of a later row reads."""
        plan, table = self._plan, self._table
        self._came = 0
        if plan.behind_us is None:
            return
        numbers = "".join(f", {r.number_sql} AS n{i}" for i, r in enumerate(plan.last_rows))
        lasts = [f"max(n{i}) OVER ({r.by}) - n{i} < {r.count}" for i, r in enumerate(plan.last_rows)]  # fmt: skip
        told = f"(SELECT *, rowid AS r{numbers} FROM {table} WHERE {WINDOW_END} < {until})"
        reach = max(until - plan.behind_us, BEFORE_TIME)
        needed = " OR ".join([f"{WINDOW_END} >= {reach}", *lasts])
        self._database.execute(
            f"DELETE FROM {table} WHERE {WINDOW_END} < {until} "
            f"AND rowid NOT IN (SELECT r FROM (SELECT r, {needed} AS is_needed FROM {told}) WHERE is_needed)"
        )
        self._left = self._database.count(table)
