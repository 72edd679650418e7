"""Rows that a query states itself."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import SEQ_FIELD
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import Database, StateSize
from stream_magic.planner.nodes import Constant

_BEFORE_ALL = pa.scalar(-1, pa.int64())


class ConstantOperator(Operator):
    """Gives its rows once, numbered before all that arrives."""

    is_stateless = True

    def __init__(self, plan: Constant, database: Database) -> None:
        self._sql = plan.sql
        self._database = database
        self.schema = plan.schema

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        del deltas
        if not turn.is_first:
            return self.schema.empty_table()
        rows = self._database.arrow(self._sql)
        numbers = pa.chunked_array([pa.repeat(_BEFORE_ALL, rows.num_rows)])
        rows = rows.append_column(SEQ_FIELD, numbers)
        return rows.rename_columns(self.schema.names).cast(self.schema)

    def state_size(self) -> StateSize:
        return StateSize()
