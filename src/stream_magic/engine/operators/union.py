"""UNION ALL: linear, without state."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import WEIGHT, in_order, is_hidden
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import StateSize
from stream_magic.planner.nodes import Union


class UnionOperator(Operator):
    """The rows of all inputs in order of arrival."""

    is_stateless = True

    def __init__(self, plan: Union) -> None:
        self.schema = plan.schema

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        del turn
        return in_order(pa.concat_tables([self._as_own(d) for d in deltas]))

    def state_size(self) -> StateSize:
        return StateSize()

    def _as_own(self, delta: pa.Table) -> pa.Table:
        """Visible columns by position, the engine's by name; a row without weight counts +1."""
        shown = iter(n for n in delta.column_names if not is_hidden(n))
        columns = []
        for f in self.schema:
            if f.name == WEIGHT and WEIGHT not in delta.column_names:
                columns.append(pa.chunked_array([pa.repeat(pa.scalar(1, f.type), delta.num_rows)]))
            else:
                name = f.name if is_hidden(f.name) else next(shown)
                columns.append(delta.column(name).cast(f.type))
        return pa.table(columns, schema=self.schema)
