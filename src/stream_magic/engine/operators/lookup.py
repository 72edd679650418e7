"""Lookups by the KEY of a cache, before the statement: places from its index, rows by Arrow."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.engine.key_index import KeyIndex
from stream_magic.engine.state import ArrowInput, Database
from stream_magic.planner.lookup import FOUND
from stream_magic.planner.parts import Lookup


def make_lookups(
    plans: Sequence[Lookup], database: Database, cursor: duckdb.DuckDBPyConnection
) -> Lookups | None:
    """None if there are none, or a cache has no index."""
    indexes = [database.indexes[plan.cache] for plan in plans]
    found = []
    for number, (plan, index) in enumerate(zip(plans, indexes, strict=True)):
        if index is None:
            return None
        found.append(ArrowInput(index.rows.select(plan.columns).schema))
        if plan.columns:
            cursor.register(f"{FOUND}{number}", found[-1])
    return Lookups(plans, found, database) if plans else None


class Lookups:
    """What the rows of a statement find in caches: a table for each lookup, one row for each of theirs."""

    def __init__(
        self, plans: Sequence[Lookup], found: Sequence[ArrowInput], database: Database
    ) -> None:
        self._plans = plans
        self._found = found
        self._database = database

    def match(self, rows: pa.Table) -> pa.Table | None:
        """The rows that are not left out, with what they found laid beside them; None if an index is missing."""
        indexes: list[KeyIndex] = []
        for plan in self._plans:
            index = self._database.indexes[plan.cache]
            if index is None:
                return None
            indexes.append(index)
        keep = np.ones(rows.num_rows, bool)
        places = []
        for plan, index in zip(self._plans, indexes, strict=True):
            place = index.find([_column(rows, path) for path in plan.keys])
            places.append(place)
            if plan.is_inner:
                keep &= place >= 0
        if not keep.all():
            rows = rows.filter(pa.array(keep))
            places = [place[keep] for place in places]
        for plan, index, place, found in zip(
            self._plans, indexes, places, self._found, strict=True
        ):
            found.table = index.rows.select(plan.columns).take(pa.array(place, mask=place < 0))
        return rows


def _column(rows: pa.Table, path: tuple[str, ...]) -> pa.ChunkedArray:
    """A column, or a field in it: NULL where the struct is."""
    column = rows.column(path[0])
    return pc.struct_field(column, list(path[1:])) if len(path) > 1 else column
