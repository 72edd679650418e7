"""The filters of many queries over the same rows, asked in one statement.

It only finds the rows that a query's own statement will let through: that statement runs over them
as ever, and asks its filter again. If a filter fails on a row, all rows go to all statements.
"""

from __future__ import annotations

from collections.abc import Hashable

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_magic.engine.state import ArrowInput, Database, Select, in_chunks
from stream_magic.language.binder import INPUT

Places = npt.NDArray[np.int64]


class Sieve:
    """Filters over the rows of one place.

    Args:
        schema: of the rows.
        rows_sql: an item of FROM that reads them as `_in`, with their DuckDB types.
    """

    def __init__(self, schema: pa.Schema, rows_sql: str, database: Database) -> None:
        self._rows_sql = rows_sql
        self._cursor = database.cursor()
        self._input = ArrowInput(schema)
        self._cursor.register(INPUT, self._input)
        self._conditions: dict[Hashable, str] = {}
        self._select: Select | None = None

    def __len__(self) -> int:
        return len(self._conditions)

    def add(self, user: Hashable, condition: str) -> None:
        self._conditions[user] = condition
        self._select = None

    def remove(self, user: Hashable) -> None:
        del self._conditions[user]
        self._select = None
        if not self._conditions:
            self._cursor.close()

    def places(self, rows: pa.Table) -> dict[Hashable, Places]:
        """For each user where the rows are that its filter lets through; of no user if that cannot be told."""
        self._input.table = in_chunks(rows)
        try:
            found = self._asked().run()
        except duckdb.Error:
            return {}
        return dict(zip(self._conditions, map(_places, found.columns), strict=True))

    def _asked(self) -> Select:
        if self._select is None:
            items = [
                f"CAST(CAST({condition} AS BOOLEAN) AS UTINYINT) AS m{i}"
                for i, condition in enumerate(self._conditions.values())
            ]
            self._select = Select(self._cursor, f"SELECT {', '.join(items)} FROM {self._rows_sql}")
        return self._select


def _places(passes: pa.ChunkedArray) -> Places:
    """Where it is 1, and neither 0 nor NULL."""
    known = passes.fill_null(0) if passes.null_count else passes
    return np.flatnonzero(known.to_numpy().view(np.bool_))
