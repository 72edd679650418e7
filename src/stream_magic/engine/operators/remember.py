"""What each row of a changelog found or drew, kept until the row is taken back.

The rows are kept in a `Bag`; each has a number, by which what was made from it stands in a second
table. A row that comes is computed once; one that is taken back costs no computing.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from stream_magic.core.change import LATE_BY, SEQ, SEQ_FIELD, WEIGHT, WEIGHT_FIELD, is_hidden
from stream_magic.engine.operators.bag import Bag, Change
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.language.binder import quote
from stream_magic.planner.nodes import ROW, Remember

_ROW_FIELD = pa.field(ROW, pa.int64())


class RememberOperator(Operator):
    """Computes each row once, and takes back what it gave.

    Args:
        inner: what is computed of the rows that came, one after the other; it has no state.
    """

    def __init__(
        self, plan: Remember, input_schema: pa.Schema, database: Database, inner: Sequence[Operator]
    ) -> None:
        self.schema = plan.schema
        self._inner = inner
        self._fresh = plan.fresh
        self._database = database
        names = [n for n in input_schema.names if not is_hidden(n)]
        self._bag = Bag(database, input_schema, names, plan.types)
        self._given = _Given(plan, database)
        self._next = 0

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        (delta,) = deltas
        change = self._bag.change(delta, turn) if delta.num_rows else None
        if not change:
            return self.schema.empty_table()
        found = [self._given.take(self._gone(change, delta)), self._came(change, delta, turn)]
        return pa.concat_tables(found)

    def state_size(self) -> StateSize:
        return StateSize.total([self._bag.size(), self._given.size()])

    def close(self) -> None:
        for operator in self._inner:
            operator.close()
        self._given.close()
        self._bag.close()

    def _gone(self, change: Change, delta: pa.Table) -> pa.Table:
        """Numbers of the rows that are taken back, with the engine's columns of what takes them back."""
        numbers = self._bag.numbers(change)
        behind = delta.take(numbers.column("place"))
        names = [n for n in (SEQ, LATE_BY) if n in delta.column_names]
        return behind.select(names).append_column(_ROW_FIELD, numbers.column("number"))

    def _came(self, change: Change, delta: pa.Table, turn: Turn) -> pa.Table:
        """Numbers the rows that came, and computes them."""
        numbers = pa.array(np.arange(self._next, self._next + change.added.num_rows), pa.int64())
        self._next += len(numbers)
        rows = delta.take(change.added.column("_sm_at"))
        rows = rows.append_column(_ROW_FIELD, numbers).select(self._fresh.schema.names)
        added = change.added
        added = added.set_column(added.column_names.index(SEQ), SEQ_FIELD, numbers)
        self._bag.apply(Change(change.rows, added, change.taken))
        if not len(numbers):
            return self.schema.empty_table()
        made = rows
        for operator in self._inner:
            made = operator.run([made], turn)
        self._given.keep(made)
        weights = pa.repeat(pa.scalar(1, pa.int64()), made.num_rows)
        return made.append_column(WEIGHT_FIELD, weights).select(self.schema.names)


class _Given:
    """What was given for each row, by the row's number."""

    def __init__(self, plan: Remember, database: Database) -> None:
        self._database, self._schema = database, plan.schema
        number = database.number()
        self._table, self._fresh, self._gone = f"g{number}", f"_given{number}", f"_gone{number}"
        columns = dict(zip(plan.inner.visible, plan.inner.types, strict=True))
        declared = ", ".join(f"{quote(n)} {t}" for n, t in columns.items())
        casts = ", ".join(f"CAST({quote(n)} AS {t}) AS {quote(n)}" for n, t in columns.items())
        database.execute(f"CREATE TABLE {self._table} ({declared}, {ROW} BIGINT)")
        shown = [plan.inner.schema.field(n) for n in columns]
        self._made = ArrowInput(pa.schema([*shown, _ROW_FIELD]))
        engine = [f for f in plan.schema if f.name in (SEQ, LATE_BY)]
        self._taken = ArrowInput(pa.schema([*engine, _ROW_FIELD]))
        database.register(self._fresh, self._made)
        database.register(self._gone, self._taken)
        names = ", ".join([*(f"g.{quote(n)}" for n in columns), *(f"x.{f.name}" for f in engine)])
        self._statements = [f"{what}{number}" for what in ("keep", "show", "drop")]
        keep, show, drop = self._statements
        database.execute(
            f"PREPARE {keep} AS INSERT INTO {self._table} SELECT {casts}, {ROW} FROM {self._fresh}"
        )
        database.execute(
            f"PREPARE {show} AS SELECT {names}, -1::BIGINT AS {WEIGHT} "
            f"FROM {self._table} AS g JOIN {self._gone} AS x ON g.{ROW} = x.{ROW}"
        )
        database.execute(
            f"PREPARE {drop} AS DELETE FROM {self._table} WHERE {ROW} IN (SELECT {ROW} FROM {self._gone})"
        )

    def keep(self, made: pa.Table) -> None:
        """Notes what was made from the rows that came."""
        self._made.table = made.select(self._made.table.column_names)
        self._database.execute(f"EXECUTE {self._statements[0]}")
        self._made.table = self._made.table.slice(0, 0)

    def take(self, rows: pa.Table) -> pa.Table:
        """What was made from these rows, taken back."""
        if not rows.num_rows:
            return self._schema.empty_table()
        self._taken.table = rows
        taken = self._database.arrow(f"EXECUTE {self._statements[1]}")
        self._database.execute(f"EXECUTE {self._statements[2]}")
        return taken.select(self._schema.names).cast(self._schema)

    def size(self) -> StateSize:
        return self._database.size(self._table)

    def close(self) -> None:
        for statement in self._statements:
            self._database.execute(f"DEALLOCATE {statement}")
        self._database.execute(f"DROP TABLE {self._table}")
        self._database.unregister(self._fresh)
        self._database.unregister(self._gone)
