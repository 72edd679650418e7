"""GROUP BY whose groups come whole: all rows of a group in one epoch, and no other. Nothing is kept."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import is_hidden
from stream_magic.engine.operators.aggregate import GroupTables
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.output import numbered
from stream_magic.engine.state import Database, StateSize
from stream_magic.planner.nodes import Aggregate


class WholeOperator(Operator):
    """Each group once."""

    is_stateless = True

    def __init__(self, plan: Aggregate, input_schema: pa.Schema, database: Database) -> None:
        self.schema = plan.schema
        self._t = t = GroupTables(plan, input_schema, database)
        shown = ", ".join(n for n in plan.schema.names if not is_hidden(n))
        items = ", ".join([*t.keys, *(f"{c.sql} AS {c.name}" for c in plan.calls)])
        self._groups = database.select(f"SELECT {shown} FROM (SELECT {items} FROM {t.source} {t.group_by}) ORDER BY ALL")  # fmt: skip

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        (rows,) = deltas
        if not rows.num_rows:
            return self.schema.empty_table()
        self._t.input.table = rows
        return numbered(self._groups.run(), turn.last_seq, self.schema)

    def state_size(self) -> StateSize:
        return StateSize()

    def close(self) -> None:
        self._t.close()
