"""The rows of an epoch, grouped: one row of partial results for each group that they touch.

The statement that makes the rows (filter, columns, windows, lookups) and the grouping are one, if
nobody else reads the rows: they are never handed to Arrow. Should one of them be bad or late, the
rows are made by themselves, judged, and grouped after that.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import LATE_BY
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.operators.compute import ComputeOperator
from stream_magic.engine.operators.late import without_late
from stream_magic.engine.state import ArrowInput, Database, Select
from stream_magic.engine.values import VALUE_ERRORS
from stream_magic.language.binder import INPUT
from stream_magic.planner.follows import followers
from stream_magic.planner.nodes import WINDOW_END, Aggregate

HASH = "_sm_h"  # of the keys
_IN_NONE = "_sm_none"  # a row of the group has no window


class Partials:
    """Keys, then the pieces of all calls (`names`), then a hash of the keys.

    Args:
        chain: makes the rows; None if they are given.
        rows: their schema.
    """

    def __init__(
        self, plan: Aggregate, chain: ComputeOperator | None, rows: pa.Schema, database: Database
    ) -> None:
        pieces = [p for call in plan.calls for p in call.pieces]
        self.names = [f"p{i}" for i in range(len(pieces))]
        self._plan, self._chain = plan, chain
        self._input = ArrowInput(rows)
        self._cursor = database.cursor()
        self._cursor.register(INPUT, self._input)
        keys = list(plan.keys)
        named = [f"{p.sql} AS {n}" for p, n in zip(pieces, self.names, strict=True)]
        hashed = f"hash({', '.join(keys)})" if keys else "0::UBIGINT"
        items = ", ".join([*keys, *named, f"{hashed} AS {HASH}"])
        group = f"GROUP BY {', '.join(keys)}" if keys else ""
        self._grouped = Select(self._cursor, f"SELECT {items} FROM {plan.input_sql} {group}")
        if chain is not None:
            follow = followers(chain.follows, keys)
            roots = [k for k in keys if k not in follow]
            judged = [*roots, *named]
            if plan.is_windowed:
                judged.append(f"max({LATE_BY}) AS {LATE_BY}")
            last = ["*", f"{hashed} AS {HASH}"]
            if chain.is_windowed:
                is_key = WINDOW_END in keys
                is_none = f"{WINDOW_END} IS NULL" if is_key else f"bool_or({WINDOW_END} IS NULL)"
                (last if is_key else judged).append(f"{is_none} AS {_IN_NONE}")
            made = ", ".join(["*", *(f"{sql} AS {k}" for k, sql in follow.items())])
            head = f"SELECT {', '.join(last)} FROM (SELECT {made} FROM (SELECT {', '.join(judged)} FROM"
            tail = f"GROUP BY {', '.join(roots)}))" if keys else "))"
            self._chained = chain.above(head, tail)
        self.schema: pa.Schema = self._grouped.run().schema

    def of(self, delta: pa.Table, turn: Turn) -> list[pa.Table]:
        """Of the rows that are good and in time. Without keys there is always one group.

        One table; several, with groups that come again, if a sum of all rows would overflow.
        """
        if self._chain is None:
            return self._of_rows(delta, turn)
        if delta.num_rows:
            groups = self._chain.run_above(self._chained, delta, turn)
            if groups is not None and self._are_in_time(groups):
                return [groups.select(self.schema.names)]
        return self._of_rows(self._chain.run([delta], turn), turn)

    def close(self) -> None:
        self._cursor.close()
        if self._chain is not None:
            self._chain.close()

    def _of_rows(self, rows: pa.Table, turn: Turn) -> list[pa.Table]:
        if self._plan.is_windowed:
            rows = without_late(rows, self._plan.lateness_us, turn)
        if self._plan.keys and not rows.num_rows:
            return []
        return self._halved(rows)

    def _halved(self, rows: pa.Table) -> list[pa.Table]:
        self._input.table = rows
        try:
            return [self._grouped.run()]
        except VALUE_ERRORS:
            half = rows.num_rows // 2
            if not half:
                raise
        return [*self._halved(rows.slice(0, half)), *self._halved(rows.slice(half))]

    def _are_in_time(self, groups: pa.Table) -> bool:
        """No row is in a window that had closed before it, or in none."""
        if _IN_NONE in groups.column_names and pc.any(groups.column(_IN_NONE)).as_py():
            return False
        if not self._plan.is_windowed:
            return True
        lateness = pa.scalar(self._plan.lateness_us, pa.int64())
        closes = pc.add(groups.column(WINDOW_END), lateness)
        is_late = pc.greater_equal(groups.column(LATE_BY), closes)
        return not pc.any(is_late).as_py()
