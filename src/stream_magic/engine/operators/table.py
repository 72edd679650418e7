"""A table that change events describe: its rows are kept, so that what was never there is not taken back."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import is_hidden
from stream_magic.engine.operators.bag import Bag
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.output import numbered, one_by_one
from stream_magic.engine.operators.union import UnionOperator
from stream_magic.engine.state import Database, StateSize
from stream_magic.planner.nodes import Union


class TableOperator(Operator):
    """The changes that are possible; a row that is taken back, and is not there, becomes an error."""

    def __init__(self, plan: Union, database: Database) -> None:
        self.schema = plan.schema
        self._union = UnionOperator(plan)
        names = [n for n in plan.schema.names if not is_hidden(n)]
        self._bag = Bag(database, plan.schema, names, plan.types, by_arrival=False)

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        changes = self._union.run(deltas, turn)
        change = self._bag.change(changes, turn) if changes.num_rows else None
        if not change:
            return self.schema.empty_table()
        self._bag.apply(change)
        return one_by_one(change.rows.select(self.schema.names))

    @property
    def can_retell(self) -> bool:
        return True

    def retell(self, turn: Turn) -> pa.Table:
        return numbered(self._bag.all(), turn.last_seq, self.schema)

    def state_size(self) -> StateSize:
        return self._bag.size()

    def close(self) -> None:
        self._bag.close()
