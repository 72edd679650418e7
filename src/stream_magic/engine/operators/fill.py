"""Full windows of rows: the rows of a window wait until the last of them has come, then all are told."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import SEQ
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.language.binder import quote
from stream_magic.planner.arrival_nodes import Fill


class FillOperator(Operator):
    """Keeps the rows of open windows in a table.

    A window is full when the row with the number before its end is there. The row is in that window, so
    it comes in the delta that fills it.
    """

    def __init__(self, plan: Fill, input_schema: pa.Schema, database: Database) -> None:
        self.schema = plan.schema
        self._database, number = database, database.number()
        self._table, self._name, self._add = f"f{number}", f"_in{number}", f"wait{number}"
        names = [n for n in input_schema.names if n not in (SEQ,)][: len(plan.kept_types)]
        kinds = dict(zip(names, plan.kept_types, strict=True))
        self._input = ArrowInput(pa.schema([input_schema.field(n) for n in (*names, SEQ)]))
        database.register(self._name, self._input)
        declared = ", ".join(f"{quote(n)} {t}" for n, t in kinds.items())
        database.execute(f"CREATE TABLE {self._table} ({declared}, {SEQ} BIGINT)")
        typed = ", ".join(f"CAST({quote(n)} AS {t}) AS {quote(n)}" for n, t in kinds.items())
        database.execute(f"PREPARE {self._add} AS INSERT INTO {self._table} SELECT {typed}, {SEQ} FROM {self._name}")  # fmt: skip
        last = f"{plan.number} = {plan.end} - 1"
        by = [*plan.keys, plan.end]
        full = f"(SELECT {', '.join(by)} FROM {self._table} WHERE {last})"
        equal = " AND ".join(f"r.{c} IS NOT DISTINCT FROM x.{c}" for c in by)
        shown = ", ".join(f"r.{quote(n)}" for n in plan.schema.names)
        self._full = database.select(
            f"SELECT {shown} FROM {self._table} AS r SEMI JOIN {full} AS x ON {equal} ORDER BY r.{SEQ}"
        )
        self._forget = (
            f"rowid IN (SELECT r.rowid FROM {self._table} AS r SEMI JOIN {full} AS x ON {equal})"
        )

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        del turn
        (delta,) = deltas
        if not delta.num_rows:
            return self.schema.empty_table()
        self._input.table = delta.select(self._input.table.schema.names)
        self._database.execute(f"EXECUTE {self._add}")
        out = self._full.run()
        if out.num_rows:
            self._database.delete(self._table, self._forget)
        return out.cast(self.schema)

    def state_size(self) -> StateSize:
        return self._database.size(self._table)

    def close(self) -> None:
        self._database.execute(f"DEALLOCATE {self._add}")
        self._database.execute(f"DROP TABLE {self._table}")
        self._database.unregister(self._name)
