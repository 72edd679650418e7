"""Rows by the app's clock: it is the watermark of what comes after, and no row is late for it."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import LATE_BY, LATE_FIELD
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import StateSize
from stream_magic.planner.arrival_nodes import Clocked


class ClockedOperator(Operator):
    """Gives its input; runs whenever the clock has moved."""

    def __init__(self, plan: Clocked) -> None:
        self.schema = plan.schema

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        del turn
        rows = deltas[0]
        marks = pa.nulls(rows.num_rows, LATE_FIELD.type)
        at = self.schema.get_field_index(LATE_BY)
        return rows.add_column(at, LATE_FIELD, marks).cast(self.schema)

    def state_size(self) -> StateSize:
        return StateSize()
