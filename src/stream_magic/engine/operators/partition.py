"""Any SELECT over partitions of kept rows: the touched ones are computed again.

It costs the size of the touched partitions, and a scan for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import pyarrow as pa

from stream_magic.core.change import SEQ, is_hidden
from stream_magic.engine.operators.bag import Bag
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.guard import Guard, Keys
from stream_magic.engine.operators.late import closed_until
from stream_magic.engine.operators.output import at_close, micros, numbered
from stream_magic.engine.operators.results import Results
from stream_magic.engine.operators.template import fill
from stream_magic.engine.state import Database, StateSize
from stream_magic.language.binder import quote
from stream_magic.planner.nodes import PARTITION, WINDOW_END, Part, Partition

_TOUCHED = "_sm_touched"


class PartitionOperator(Operator):
    """Keeps the rows of its inputs, and of each partition the result that was given last; or gives it once, on close."""

    def __init__(self, plan: Partition, inputs: Sequence[pa.Schema], database: Database) -> None:
        self.schema = plan.schema
        self.lag_us = plan.lateness_us
        self._plan, self._database = plan, database
        self._is_whole = not plan.key_types
        self._bags = [_bag(p, s, database) for p, s in zip(plan.parts, inputs, strict=True)]
        keys = [f"{PARTITION}{i}" for i in range(len(plan.key_types))]
        shown = [n for n in plan.schema.names if not is_hidden(n)]
        self._columns = [*keys, *shown]
        sql, touched = partial(self._sql, plan, keys), self._touched(plan, keys)
        self._results = None if plan.emit == "close" else Results(
            database, sql([bag.rows for bag in self._bags], touched), self._columns, [*plan.key_types, *plan.types],
            keys=keys, shown=shown, touched=touched,
        )  # fmt: skip
        named = Keys(keys, plan.key_types, plan.shown_keys, [part.keys for part in plan.parts])
        is_one = len(plan.parts) == 1
        self._guard = Guard(sql, touched, self._bags, named, database, judges_rows=is_one)

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        has_changed = turn.is_first and self._is_whole  # no rows are a partition, too
        for bag, delta in zip(self._bags, deltas, strict=True):
            rows = self._guard.without_bad(delta, turn)
            change = bag.change(rows, turn) if rows.num_rows else None
            if change:
                bag.apply(change)
                has_changed = True
            else:
                bag.show(None)
        if self._results is None:
            return self._close(turn)
        out = self.schema.empty_table()
        if has_changed:
            changes = self._results.update(self._guard.computed(turn))
            out = numbered(changes, turn.last_seq, self.schema)
        until = _closed_by(self._plan, turn)
        if until is not None:
            _forget(self._plan, self._bags, until)
            self._results.delete(f"epoch_us({PARTITION}{self._plan.end}) <= {until}")
        return out

    def take_care(self, error: BaseException | None) -> bool:
        return self._guard.take_care(error)

    def state_size(self) -> StateSize:
        kept = [] if self._results is None else [self._results.size()]
        return StateSize.total([*kept, *(bag.size() for bag in self._bags)])

    @property
    def can_retell(self) -> bool:
        return self._results is not None and self._results.is_whole

    def retell(self, turn: Turn) -> pa.Table:
        rows = self._results.all() if self._results is not None else self.schema.empty_table()
        return numbered(rows, turn.last_seq, self.schema)

    def close(self) -> None:
        self._guard.close()
        if self._results is not None:
            self._results.close()
        for bag in self._bags:
            bag.close()

    def _close(self, turn: Turn) -> pa.Table:
        """The answers for windows that have closed; their rows are let go."""
        plan, until = self._plan, _closed_by(self._plan, turn)
        if until is None:
            return self.schema.empty_table()
        keys = self._columns[: len(plan.key_types)]
        ended = " UNION ".join(
            f"SELECT {', '.join(f'{quote(k)} AS {p}' for k, p in zip(part.keys, keys, strict=True))} "
            f"FROM {bag.rows} WHERE {_is_closed(plan, part, until)}"
            for bag, part in zip(self._bags, plan.parts, strict=True)
        )
        out = self._guard.computed(turn, f"({ended})")
        if out is None:
            tables = [bag.rows for bag in self._bags]
            out = self._database.arrow(self._sql(plan, keys, tables, f"({ended})"))
        _forget(plan, self._bags, until)
        out = out.rename_columns(self._columns)
        ends = micros(out.column(keys[plan.end or 0]))
        rows = out.append_column(WINDOW_END, ends).sort_by(WINDOW_END)
        return at_close(rows, turn, plan.lateness_us, self.schema)

    def _touched(self, plan: Partition, keys: Sequence[str]) -> str:
        """The partitions of the changed rows of all parts."""
        if self._is_whole:
            return ""
        selects = []
        for bag, part in zip(self._bags, plan.parts, strict=True):
            items = ", ".join(f"{quote(k)} AS {p}" for k, p in zip(part.keys, keys, strict=True))
            selects.append(f"SELECT {items} FROM {bag.delta}")
        return f"({' UNION '.join(selects)})"

    def _sql(
        self, plan: Partition, keys: Sequence[str], tables: Sequence[str], touched: str
    ) -> str:
        """Over these tables of rows, what the touched partitions give."""
        if self._is_whole:
            return fill(plan.sql, tables)
        rows = []
        for table, part in zip(tables, plan.parts, strict=True):
            pairs = zip(part.keys, keys, strict=True)
            equal = " AND ".join(f"r.{quote(k)} IS NOT DISTINCT FROM x.{p}" for k, p in pairs)
            rows.append(f"(SELECT r.* FROM {table} AS r SEMI JOIN {_TOUCHED} AS x ON {equal})")
        return f"WITH {_TOUCHED} AS MATERIALIZED {touched} SELECT * FROM ({fill(plan.sql, rows)})"


def _closed_by(plan: Partition, turn: Turn) -> int | None:
    """Up to where windows have closed; None if none can have in this epoch."""
    if plan.end is None or not turn.has_moved:
        return None
    return closed_until(turn.watermark_us, plan.lateness_us)


def _forget(plan: Partition, bags: Sequence[Bag], until: int) -> None:
    for bag, part in zip(bags, plan.parts, strict=True):
        bag.delete(_is_closed(plan, part, until))


def _is_closed(plan: Partition, part: Part, until: int) -> str:
    return f"epoch_us({quote(part.keys[plan.end or 0])}) <= {until}"


def _bag(part: Part, schema: pa.Schema, database: Database) -> Bag:
    kinds = dict(zip(part.columns, part.types, strict=True))
    by_arrival = kinds.pop(SEQ, None) is not None
    return Bag(database, schema, list(kinds), list(kinds.values()), by_arrival=by_arrival)
