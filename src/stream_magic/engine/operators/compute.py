"""Stateless chains: one DuckDB statement over the delta.

Lookups by the KEY of a cache are done before it, where the cache has an index (`Lookups`).

Fast path: the statement over all rows. If a row makes it fail, the rows at fault are found (by a
statement that tries each row, else by halving); they go to the errors, the others go on. The
statements run outside the epoch's transaction, which any error would abort.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import SEQ, WEIGHT, in_order
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.lookup import make_lookups
from stream_magic.engine.sieve import Places
from stream_magic.engine.state import ArrowInput, Database, Select, StateSize, in_chunks
from stream_magic.engine.values import VALUE_ERRORS, reason_of
from stream_magic.language.binder import INPUT
from stream_magic.planner.clock import CLOCK
from stream_magic.planner.nodes import WINDOW_END, Compute

_CLOCK_SCHEMA = pa.schema([("now", pa.timestamp("us", "UTC"))])


class Above(NamedTuple):
    """A statement over the input: as it is, and over what lookups found."""

    plain: Select
    found: Select | None


class ComputeOperator(Operator):
    """Filter, project, assign windows, look up caches."""

    is_stateless = True

    def __init__(self, plan: Compute, input_schema: pa.Schema, database: Database) -> None:
        self._plan = plan
        self.is_windowed, self.follows = plan.is_windowed, plan.follows
        self._names = [*plan.visible, *plan.hidden]
        self._input = ArrowInput(input_schema)
        self._clock = ArrowInput(_CLOCK_SCHEMA)
        self._cursor = database.cursor()
        self._cursor.register(INPUT, self._input)
        if plan.reads_clock:
            self._cursor.register(CLOCK, self._clock)
        self._lookups = make_lookups(plan.lookups, database, self._cursor)
        found = Select(self._cursor, plan.lookup_sql) if self._lookups is not None else None
        self._own = Above(Select(self._cursor, plan.sql), found)
        self._made = Select(self._cursor, plan.made_sql) if plan.made_sql else None
        self._is_bad = self._probing(plan.probe_sql) if plan.probe_sql else None
        self.schema = self._execute(input_schema.empty_table()).schema

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        (delta,) = deltas
        if delta.num_rows == 0:
            return self.schema.empty_table()
        self._tell_time(turn)
        try:
            out = self._execute(delta)
        except VALUE_ERRORS:
            out = self._execute_guarded(delta, turn)
        out = in_order(out)
        return self._without_null_times(out, turn) if self._plan.is_windowed else out

    def run_sifted(self, rows: pa.Table, places: Places, turn: Turn) -> pa.Table:
        """Over the rows at these places only: the others do not pass the filter."""
        picked = self._plan.sifted.picked if self._plan.sifted is not None else ()
        if not len(places):
            return self.schema.empty_table()
        if not picked:
            return self.run([rows.take(places)], turn)
        return in_order(rows.select(picked).take(places).rename_columns(self._names))

    def above(self, head: str, tail: str) -> Above:
        """A statement of which this one is a part: `SELECT ... FROM`, then what follows it."""

        def select(sql: str) -> Select:
            return Select(self._cursor, f"{head} ({sql}) AS {INPUT} {tail}")

        found = select(self._plan.lookup_sql) if self._lookups is not None else None
        return Above(select(self._plan.sql), found)

    def run_above(self, statement: Above, rows: pa.Table, turn: Turn) -> pa.Table | None:
        """None if one of the rows cannot be computed."""
        self._tell_time(turn)
        try:
            return self._ask(statement, rows)
        except VALUE_ERRORS:
            return None

    def state_size(self) -> StateSize:
        return StateSize()

    def close(self) -> None:
        self._cursor.close()

    def _probing(self, sql: str) -> Select | None:
        """None if DuckDB cannot try this statement row by row (an alias in WHERE, a subquery)."""
        try:
            return Select(self._cursor, sql)
        except duckdb.Error:
            return None

    def _tell_time(self, turn: Turn) -> None:
        if self._plan.reads_clock:
            self._clock.table = pa.table([[turn.now_us]], schema=_CLOCK_SCHEMA)

    def _execute(self, rows: pa.Table) -> pa.Table:
        if not self._plan.picked:
            return self._ask(self._own, rows).rename_columns(self._names)
        made = pa.table({})
        if self._made is not None:
            self._input.table = in_chunks(rows)
            made = self._made.run()
        places = iter(range(made.num_columns))
        parts = [(rows, name) if name else (made, next(places)) for name in self._plan.picked]
        fields = [t.schema.field(at).with_name(n) for (t, at), n in zip(parts, self._names, strict=True)]  # fmt: skip
        return pa.table([t.column(at) for t, at in parts], schema=pa.schema(fields))

    def _ask(self, statement: Above, rows: pa.Table) -> pa.Table:
        matched = self._lookups.match(rows) if self._lookups is not None else None
        if matched is None or statement.found is None:
            self._input.table = in_chunks(rows)
            return statement.plain.run()
        self._input.table = in_chunks(matched)
        return statement.found.run()

    def _execute_guarded(self, rows: pa.Table, turn: Turn) -> pa.Table:
        """The rows that can be computed; the others become errors."""
        is_bad = self._probe(rows)
        if is_bad is None:
            return self._execute_halving(rows, turn)
        good = self._execute_halving(rows.filter(pa.array(~is_bad)), turn)
        return pa.concat_tables([good, self._execute_single(rows.filter(pa.array(is_bad)), turn)])

    def _probe(self, rows: pa.Table) -> np.ndarray | None:
        """Which rows fail, or None if that cannot be told."""
        if self._is_bad is None:
            return None
        self._input.table = rows
        try:
            found = self._is_bad.run().column(0)
        except duckdb.Error:
            return None
        return found.to_numpy() if len(found) == rows.num_rows else None

    def _execute_halving(self, rows: pa.Table, turn: Turn) -> pa.Table:
        """Halves the batch around the rows that fail."""
        done: list[pa.Table] = []
        todo = [rows]
        while todo:
            part = todo.pop()
            if part.num_rows == 0:
                continue
            if part.num_rows == 1:
                done.append(self._execute_single(part, turn))
                continue
            try:
                done.append(self._execute(part))
            except VALUE_ERRORS:
                half = part.num_rows // 2
                todo += [part.slice(half), part.slice(0, half)]
        return pa.concat_tables([self.schema.empty_table(), *done])

    def _execute_single(self, rows: pa.Table, turn: Turn) -> pa.Table:
        """One by one, for the reason that each of them gives."""
        done = [self.schema.empty_table()]
        for i in range(rows.num_rows):
            row = rows.slice(i, 1)
            try:
                done.append(self._execute(row))
            except VALUE_ERRORS as e:
                # What is taken back now was an error when it came.
                if WEIGHT not in row.column_names or row.column(WEIGHT)[0].as_py() > 0:
                    turn.errors.add_rows(row, "SM5001", reason_of(e), self._plan.labels)
        return pa.concat_tables(done)

    def _without_null_times(self, out: pa.Table, turn: Turn) -> pa.Table:
        is_null = pc.is_null(out.column(WINDOW_END))
        if not pc.any(is_null).as_py():
            return out
        turn.errors.add(
            out.filter(is_null).column(SEQ).to_pylist(),
            "SM5002",
            "the time is NULL: the row is in no window",
        )
        return out.filter(pc.invert(is_null))
