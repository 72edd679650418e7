"""The sides of one FROM clause, joined in one statement; the rows of all sides are kept.

One changed side after the other is worked in. Sides that did not change cost no statement.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from stream_magic.core.change import (
    BEFORE_TIME,
    END_OF_TIME,
    LATE_BY,
    LATE_FIELD,
    SEQ,
    WEIGHT,
    in_order,
)
from stream_magic.engine.operators.bag import Bag, Change
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.held import Held
from stream_magic.engine.operators.late import LateRows
from stream_magic.engine.operators.output import one_by_one
from stream_magic.engine.operators.template import fill, with_condition
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.engine.timeline import Timeline
from stream_magic.language.binder import quote
from stream_magic.planner.nodes import DELTA, Join, Side

# State is forgotten in bulk, when as many rows came since as were left the last time: a delete in
# every epoch costs as much as the join itself (121,000 against 173,000 rows/s at 5,000 rows an epoch).
_FORGET_ROWS = 20_000


class JoinOperator(Operator):
    """Keeps the rows of all sides."""

    def __init__(self, plan: Join, inputs: Sequence[pa.Schema], database: Database) -> None:
        self.schema = plan.schema
        self._database = database
        self._has_watermark = LATE_BY in plan.schema.names
        self._is_changelog = WEIGHT in plan.schema.names
        self._bags = [
            (Held if _is_held(side, schema) else Bag)(database, schema, side.columns, side.types)
            for side, schema in zip(plan.sides, inputs, strict=True)
        ]
        self._late = [
            LateRows(side.late_us, side.columns, side.types, schema, database)
            if side.late_us
            else None
            for side, schema in zip(plan.sides, inputs, strict=True)
        ]
        makers = [
            _Linear(plan, i, self._bags, database)
            if side.is_linear
            else _Compared(plan, i, self._bags, database)
            for i, side in enumerate(plan.sides)
        ]
        # An outer join's other side first: a match of the same epoch is not shown without its partner before.
        self._order = sorted(range(len(makers)), key=lambda i: plan.sides[i].is_linear)
        self._makers = makers
        self._all_sql = f"SELECT {_items(plan)}, 1::BIGINT AS {WEIGHT} FROM {fill(plan.from_sql, [b.rows for b in self._bags])}"
        self._memory = _Memory(plan.sides, self._bags, inputs, database)

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        found = [self.schema.empty_table()]
        for i in self._order:
            delta, late = deltas[i], self._late[i]
            if not delta.num_rows:
                continue
            rows = late.without(delta, turn) if late is not None else delta
            change = self._bags[i].change(rows, turn) if rows.num_rows else None
            if change:
                found.append(self._finished(self._makers[i].run(change), turn))
                self._memory.rows += change.added.num_rows
        self._memory.forget(turn.timelines)
        return in_order(pa.concat_tables(found))

    def state_size(self) -> StateSize:
        return StateSize.total(bag.size() for bag in self._bags)

    @property
    def can_retell(self) -> bool:
        return not self._memory.has_forgotten

    def retell(self, turn: Turn) -> pa.Table:
        return in_order(self._finished(self._database.arrow(self._all_sql), turn))

    def close(self) -> None:
        for part in (*self._makers, *self._late, *self._bags):
            if part is not None:
                part.close()

    def _finished(self, rows: pa.Table, turn: Turn) -> pa.Table:
        """The output's columns: weights as rows where nothing is taken back, and the watermark of each."""
        if not rows.num_rows:
            return self.schema.empty_table()
        if self._has_watermark:
            judged = pa.nulls(rows.num_rows, LATE_FIELD.type)  # nothing that is taken back is late
            if turn.timeline is not None and not self._is_changelog:
                judged = pa.array(turn.timeline.before(rows.column(SEQ).to_numpy()))
            rows = rows.append_column(LATE_FIELD, judged)
        rows = one_by_one(rows)
        return rows.select(self.schema.names).cast(self.schema)


class _Linear:
    """A side whose changed rows alone are joined."""

    def __init__(self, plan: Join, at: int, bags: Sequence[Bag | Held], database: Database) -> None:
        self._bag = bags[at]
        tables = [bag.rows for bag in bags]
        tables[at] = bags[at].delta
        weight = f"t{at}.{WEIGHT}" if self._bag.is_changelog else "1::BIGINT"
        select = f"SELECT {_items(plan)}, {weight} AS {WEIGHT} FROM {fill(plan.from_sql, tables)}"
        self._joined = database.select(select)

    def run(self, change: Change) -> pa.Table:
        self._bag.apply(change)
        return self._joined.run()

    def close(self) -> None:
        """Nothing is left of it."""


class _Compared:
    """A side of which the touched part of the join is compared before and after."""

    def __init__(self, plan: Join, at: int, bags: Sequence[Bag | Held], database: Database) -> None:
        self._bag, self._database = bags[at], database
        self._old = f"_old{database.number()}"
        joined = fill(with_condition(plan.from_sql, plan.sides[at].touched), [b.rows for b in bags])
        delta = f"WITH {DELTA} AS (SELECT * FROM {self._bag.delta}) "
        select = f"SELECT {_items(plan)} FROM {joined}"
        self._before = database.select(f"{delta}{select}")
        self._input = ArrowInput(self._before.run().schema)
        database.register(self._old, self._input)
        pairs = zip(plan.shown, plan.types, strict=True)
        casts = ", ".join([*(f"CAST({quote(n)} AS {t}) AS {quote(n)}" for n, t in pairs), SEQ])
        names = [quote(n) for n in plan.shown]
        group = f"GROUP BY {', '.join(names)}" if names else ""
        self._after = database.select(
            f"{delta}SELECT {', '.join([*names, f'max({SEQ}) AS {SEQ}'])}, "
            f"sum(_w)::BIGINT AS {WEIGHT} FROM (SELECT *, 1 AS _w FROM ({select}) "
            f"UNION ALL SELECT {casts}, -1 AS _w FROM {self._old}) {group} HAVING sum(_w) <> 0 ORDER BY {WEIGHT}"
        )

    def run(self, change: Change) -> pa.Table:
        """The difference arrives with the first changed row, if not later."""
        self._bag.show(change)
        self._input.table = self._before.run()
        self._bag.apply(change)
        rows = self._after.run()
        self._input.table = self._input.table.slice(0, 0)
        first = change.rows.column(SEQ).to_numpy().min()
        numbers = np.maximum(rows.column(SEQ).to_numpy(), first)
        return rows.set_column(rows.column_names.index(SEQ), SEQ, pa.array(numbers, pa.int64()))

    def close(self) -> None:
        self._database.unregister(self._old)


class _Memory:
    """Lets go of rows that no row to come can be joined with.

    Rows of a changelog are kept until they would be late themselves: before, they may be taken back.
    """

    def __init__(
        self, sides: Sequence[Side], bags: Sequence[Bag | Held], inputs: Sequence[pa.Schema], database: Database
    ) -> None:  # fmt: skip
        self._sides, self._bags, self._inputs = sides, bags, inputs
        self._database = database
        self._forgets = [bool(s.forget_us) for s in sides]
        self.rows = 0  # that came since
        self._left = 0
        self.has_forgotten = False
        self._has_ended = False

    def forget(self, timelines: Sequence[Timeline | None]) -> None:
        if not any(self._forgets):
            return
        ends = [None if t is None else t.end_us for t in timelines]
        has_ended = all(e == END_OF_TIME for e in ends if e is not None)
        if self.rows < max(self._left, _FORGET_ROWS) and not (has_ended and not self._has_ended):
            return
        for i, bag in enumerate(self._bags):
            condition = self._condition(i, ends)
            if condition and bag.delete(condition):
                self.has_forgotten = True
        self.rows, self._has_ended = 0, has_ended
        self._left = sum(bag.count() for bag in self._bags)

    def _condition(self, at: int, ends: Sequence[int | None]) -> str:
        """What of a side can go; '' is nothing."""
        side, schema = self._sides[at], self._inputs[at]
        others = [
            e for i, e in enumerate(ends) if e is not None and (i != at or not side.is_linear)
        ]
        until = min(others, default=BEFORE_TIME)
        if not side.forget_us or until == BEFORE_TIME:
            return ""
        own = ends[at]
        bag = self._bags[at]
        if isinstance(bag, Bag) and _looks_around(side):
            return bag.chosen(side.forget_us, until)
        if WEIGHT not in schema.names:
            return f"({side.forget_us}) <= {until}"
        if not side.late_us or own is None:
            return ""
        return f"({side.forget_us}) <= {until} AND ({side.late_us}) <= {own}"


def _is_held(side: Side, schema: pa.Schema) -> bool:
    """Its rows are only added, and forgotten as they are."""
    return bool(side.forget_us) and WEIGHT not in schema.names and not _looks_around(side)


def _looks_around(side: Side) -> bool:
    """Whether a row is forgotten depends on others."""
    return " OVER (" in side.forget_us


def _items(plan: Join) -> str:
    """The result's columns and its arrival: that of the last row it is made from."""
    numbers = [f"t{i}.{SEQ}" for i in plan.seq_sides]
    last = numbers[0] if len(numbers) == 1 else f"greatest({', '.join(numbers)})"
    return ", ".join([*(quote(n) for n in plan.shown), f"{last} AS {SEQ}"])
