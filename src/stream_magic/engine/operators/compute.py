"""Stateless chains: one prepared DuckDB statement over the delta.

Fast path: the statement over all rows. If a row makes it fail, the batch is halved until the row
is found; it goes to the errors, the others go on. The statement runs outside the epoch's
transaction, which any error would abort.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import SEQ, in_order
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import ArrowInput, Database
from stream_magic.language.binder import INPUT
from stream_magic.planner.nodes import WINDOW_END, Compute

# What DuckDB raises when a value does not fit; anything else is a failure of the node.
_DATA_ERRORS = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.TypeMismatchException,
)
# A single chunk is scanned by one thread: two chunks use both cores (measured: 83 -> 45 ms per 100k rows).
_CHUNK_ROWS = 32_768


class ComputeOperator(Operator):
    """Filter, project, assign windows, look up caches."""

    def __init__(self, plan: Compute, input_schema: pa.Schema, database: Database) -> None:
        self._plan = plan
        self._input = ArrowInput(input_schema)
        self._cursor = database.cursor()
        self._cursor.register(INPUT, self._input)
        self._cursor.execute(f"PREPARE q AS {plan.sql}")
        self._names = [*plan.visible, *plan.hidden]
        self.schema = self._execute(input_schema.empty_table()).schema

    def run(self, delta: pa.Table, turn: Turn) -> pa.Table:
        if delta.num_rows == 0:
            return self.schema.empty_table()
        try:
            out = self._execute(delta)
        except _DATA_ERRORS:
            out = self._execute_guarded(delta, turn)
        out = in_order(out)
        return self._without_null_times(out, turn) if self._plan.is_windowed else out

    def close(self) -> None:
        self._cursor.close()

    def _execute(self, rows: pa.Table) -> pa.Table:
        self._input.table = _in_chunks(rows)
        return self._cursor.sql("EXECUTE q").to_arrow_table().rename_columns(self._names)

    def _execute_guarded(self, rows: pa.Table, turn: Turn) -> pa.Table:
        """Halves the batch around the rows that fail."""
        done: list[pa.Table] = []
        todo = [rows]
        while todo:
            part = todo.pop()
            try:
                done.append(self._execute(part))
            except _DATA_ERRORS as e:
                if part.num_rows == 1:
                    turn.errors.add(part.column(SEQ).to_pylist(), "SM5001", _reason(e))
                    continue
                half = part.num_rows // 2
                todo += [part.slice(half), part.slice(0, half)]
        return pa.concat_tables([self.schema.empty_table(), *done])

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


def _in_chunks(rows: pa.Table) -> pa.Table:
    if rows.num_rows <= _CHUNK_ROWS:
        return rows
    return pa.Table.from_batches(rows.to_batches(max_chunksize=_CHUNK_ROWS), rows.schema)


def _reason(error: duckdb.Error) -> str:
    return str(error).split("\n\nLINE ", 1)[0].strip().replace("\n", " ")
