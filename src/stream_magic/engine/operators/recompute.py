"""GROUP BY where partials cannot be merged: the rows are kept and touched groups computed again.

This is so over changelogs (a minimum may be taken back), for DISTINCT, and for aggregates that go
by arrival. It costs the size of the touched groups, and a scan for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pyarrow as pa

from stream_magic.core.change import LATE_BY, SEQ, SEQ_FIELD, is_hidden
from stream_magic.engine.operators.bag import Bag
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.guard import Guard, Keys
from stream_magic.engine.operators.late import closed_until, without_late
from stream_magic.engine.operators.output import at_close, numbered
from stream_magic.engine.operators.results import Results
from stream_magic.engine.state import Database, StateSize
from stream_magic.planner.nodes import WINDOW_END, Aggregate, Read


class RecomputeOperator(Operator):
    """Keeps the rows of open groups; with EMIT CHANGES also the result that each group was given last."""

    def __init__(self, plan: Aggregate, input_schema: pa.Schema, database: Database) -> None:
        self.schema = plan.schema
        self._plan, self._database = plan, database
        kinds = _kinds(plan)
        self._bag = Bag(database, input_schema, list(kinds), list(kinds.values()))
        self._has_lateness = plan.is_windowed and LATE_BY in input_schema.names
        keys = Keys(plan.keys, [kinds[k] for k in plan.keys], plan.shown_keys, [plan.keys])
        touched = (
            f"(SELECT DISTINCT {', '.join(plan.keys)} FROM {self._bag.delta})" if plan.keys else ""
        )
        self._guard = Guard(partial(_sql, plan), touched, [self._bag], keys, database)
        self._results = (
            _results(plan, self._bag, touched, database) if plan.emit == "changes" else None
        )
        self._arrived = 0
        self.lag_us = plan.lateness_us

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        (rows,) = deltas
        if self._has_lateness:
            rows = without_late(rows, self._plan.lateness_us, turn)
        change = self._bag.change(self._in_sequence(rows), turn) if rows.num_rows else None
        if change:
            self._bag.apply(change)
        if self._results is None:
            return self._close(turn)
        out = self.schema.empty_table()
        if change or (turn.is_first and not self._plan.keys):  # no rows are one group, too
            out = numbered(
                self._results.update(self._guard.computed(turn)), turn.last_seq, self.schema
            )
        until = self._closed_until(turn)
        if until is not None:
            self._bag.delete(f"{WINDOW_END} <= {until}")
            self._results.delete(f"{WINDOW_END} <= {until}")
        return out

    def take_care(self, error: BaseException | None) -> bool:
        return self._guard.take_care(error)

    def state_size(self) -> StateSize:
        kept = [self._bag.size(), *([self._results.size()] if self._results is not None else [])]
        return StateSize.total(kept)

    @property
    def can_retell(self) -> bool:
        return self._results is not None and self._results.is_whole

    def retell(self, turn: Turn) -> pa.Table:
        rows = self._results.all() if self._results is not None else self.schema.empty_table()
        return numbered(rows, turn.last_seq, self.schema)

    def close(self) -> None:
        if self._results is not None:
            self._results.close()
        self._guard.close()
        self._bag.close()

    def _in_sequence(self, rows: pa.Table) -> pa.Table:
        """Each row a number of its own: rows made from one by UNNEST came with the same."""
        if self._bag.is_changelog:
            return rows
        first, self._arrived = self._arrived, self._arrived + rows.num_rows
        numbers = pa.array(np.arange(first, self._arrived, dtype=np.int64))
        return rows.set_column(rows.column_names.index(SEQ), SEQ_FIELD, numbers)

    def _close(self, turn: Turn) -> pa.Table:
        """The results of windows that have closed; their rows are let go."""
        until = self._closed_until(turn)
        if until is None:
            return self.schema.empty_table()
        closed = f"{WINDOW_END} <= {until}"
        keys = ", ".join(self._plan.keys)
        ended = f"(SELECT DISTINCT {keys} FROM {self._bag.rows} WHERE {closed})"
        out = self._guard.computed(turn, ended)
        if out is None:
            rows = f"(SELECT * FROM {self._bag.rows} WHERE {closed})"
            out = self._database.arrow(_select(self._plan, rows))
        self._bag.delete(closed)
        named = out.rename_columns([*self._plan.keys, *(c.name for c in self._plan.calls)])
        return at_close(named.sort_by(WINDOW_END), turn, self._plan.lateness_us, self.schema)

    def _closed_until(self, turn: Turn) -> int | None:
        """None if no window can have closed in this epoch."""
        if not self._plan.is_windowed or not turn.has_moved:
            return None
        return closed_until(turn.watermark_us, self._plan.lateness_us)


def _kinds(plan: Aggregate) -> dict[str, str]:
    """The input's columns that are kept, with their DuckDB types."""
    node = plan.input
    types = node.relation.types if isinstance(node, Read) else node.types
    names = [n for n in node.schema.names if not is_hidden(n)]
    windows = {WINDOW_END: "BIGINT"} if WINDOW_END in node.schema.names else {}
    return dict(zip(names, types, strict=True)) | windows


def _results(plan: Aggregate, bag: Bag, touched: str, database: Database) -> Results:
    shown = [n for n in plan.schema.names if not is_hidden(n)]
    kinds = dict(zip(shown, plan.types, strict=True)) | {WINDOW_END: "BIGINT"}
    columns = [*plan.keys, *(c.name for c in plan.calls)]
    return Results(
        database, _sql(plan, [bag.rows], touched), columns, [kinds[c] for c in columns],
        keys=plan.keys, shown=shown, touched=touched,
    )  # fmt: skip


def _sql(plan: Aggregate, tables: Sequence[str], touched: str) -> str:
    """Over a table of rows, what the touched groups give."""
    (rows,) = tables
    if plan.keys:
        equal = " AND ".join(f"r.{k} IS NOT DISTINCT FROM x.{k}" for k in plan.keys)
        rows = f"(SELECT r.* FROM {rows} AS r SEMI JOIN {touched} AS x ON {equal})"
    return _select(plan, rows)


def _select(plan: Aggregate, rows: str) -> str:
    items = ", ".join([*plan.keys, *(f"{c.sql} AS {c.name}" for c in plan.calls)])
    group = f" GROUP BY {', '.join(plan.keys)}" if plan.keys else ""
    return f"SELECT {items} FROM {rows}{group}"
