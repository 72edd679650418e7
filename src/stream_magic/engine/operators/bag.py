"""Kept rows: a plain bag in a DuckDB table, from which a changelog takes back exactly what it added.

Rows are equal as SQL's IS NOT DISTINCT FROM says: NULL and NaN are values, -0.0 is 0.0. Of equal
rows the one that came first is taken back first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import SEQ, WEIGHT, WEIGHT_FIELD
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.state import ArrowInput, Database
from stream_magic.language.binder import quote

_AT = pa.field("_sm_at", pa.int64())  # place of a row in its delta
_ROWS = pa.schema([("r", pa.int64())])


@dataclass(frozen=True)
class Change:
    """What an epoch does to a bag: netted, without what cannot be taken back.

    Attributes:
        rows: all of it, with `_weight` if there is any in the delta.
        added: rows to insert.
        taken: numbers of the table's rows to delete.
    """

    rows: pa.Table
    added: pa.Table
    taken: pa.Table

    def __bool__(self) -> bool:
        return bool(self.rows.num_rows)


class Bag:
    """Rows with these columns; a table of DuckDB with `_sm_seq` after them, if rows are kept by arrival.

    Attributes:
        table: reads the rows that there are.
        delta: reads the change of this epoch, with the same types and its weights.
        is_changelog: rows come with weights.
    """

    def __init__(
        self, database: Database, input_schema: pa.Schema, columns: Sequence[str], types: Sequence[str],
        *, by_arrival: bool = True,
    ) -> None:  # fmt: skip
        self._database = database
        self.is_changelog = WEIGHT in input_schema.names
        number = database.number()
        self._names = [*columns, *([SEQ] if by_arrival else [])]
        extra = [_AT, WEIGHT_FIELD] if self.is_changelog else []
        fields = [input_schema.field(n) for n in dict.fromkeys([*columns, SEQ])]
        self._input = ArrowInput(pa.schema([*fields, *extra]))
        self._taken = ArrowInput(_ROWS)
        self._inputs = [f"_in{number}", f"_rows{number}"]
        database.register(self._inputs[0], self._input)
        database.register(self._inputs[1], self._taken)
        self.table = f"b{number}"
        casts = [f"CAST({quote(c)} AS {t}) AS {quote(c)}" for c, t in zip(columns, types, strict=True)]  # fmt: skip
        self.delta = (
            f"(SELECT {', '.join([*casts, SEQ, *(f.name for f in extra)])} FROM {self._inputs[0]})"
        )
        self._statements = [f"{what}{number}" for what in ("add", "net", "find", "take")]
        self._prepare([quote(c) for c in columns], types)

    def _prepare(self, columns: list[str], types: Sequence[str]) -> None:
        add, net, find, take = self._statements
        run, table = self._database.execute, self.table
        names = ", ".join(quote(n) for n in self._names)
        kinds = [*types, "BIGINT"]
        declared = ", ".join(f"{quote(n)} {t}" for n, t in zip(self._names, kinds, strict=False))
        run(f"CREATE TABLE {table} ({declared})")
        run(f"PREPARE {add} AS INSERT INTO {table} SELECT {names} FROM {self.delta}")
        if not self.is_changelog:
            return
        group = f"GROUP BY {', '.join(columns)}" if columns else ""
        run(
            f"PREPARE {net} AS SELECT CASE WHEN sum({WEIGHT}) > 0 THEN max({_AT.name}) FILTER (WHERE {WEIGHT} > 0) "
            f"ELSE max({_AT.name}) FILTER (WHERE {WEIGHT} < 0) END AS place, sum({WEIGHT})::BIGINT AS n "
            f"FROM {self.delta} {group} HAVING sum({WEIGHT}) <> 0 ORDER BY place"
        )
        equal = " AND ".join(f"b.{c} IS NOT DISTINCT FROM d.{c}" for c in columns) or "true"
        first = f"ORDER BY b.{SEQ}" if SEQ in self._names else ""
        run(
            f"PREPARE {find} AS SELECT r, place FROM (SELECT b.rowid AS r, d.{_AT.name} AS place, d.{WEIGHT} AS w, "
            f"row_number() OVER (PARTITION BY d.{_AT.name} {first}) AS n FROM {table} AS b JOIN {self.delta} AS d ON {equal}) "
            "WHERE n <= -w"
        )
        run(
            f"PREPARE {take} AS DELETE FROM {table} WHERE rowid IN (SELECT r FROM {self._inputs[1]})"
        )

    def change(self, delta: pa.Table, turn: Turn) -> Change:
        """What a delta does, seen before it is done; what was never there becomes an error."""
        rows = self._shaped(delta)
        if not self.is_changelog:
            return Change(rows, rows, _ROWS.empty_table())
        weights = _weights(rows)
        if (weights < 0).any() and len(weights) > 1:
            rows = self._net(rows)
            weights = _weights(rows)
        taken = _ROWS.empty_table()
        if (weights < 0).any():
            rows, taken = self._find(rows, weights, turn)
            weights = _weights(rows)
        return Change(rows, _repeated(rows, weights), taken)

    def apply(self, change: Change) -> None:
        """Does it; `delta` then reads the change."""
        self._taken.table = change.taken
        if change.taken.num_rows:
            self._database.execute(f"EXECUTE {self._statements[3]}")
        if change.added.num_rows:
            self._input.table = change.added
            self._database.execute(f"EXECUTE {self._statements[0]}")
        self.show(change)

    def show(self, change: Change | None) -> None:
        """Makes `delta` read this change; None is no change."""
        self._input.table = self._input.table.slice(0, 0) if change is None else change.rows

    def delete(self, condition: str) -> None:
        """Forgets rows."""
        self._database.execute(f"DELETE FROM {self.table} WHERE {condition}")

    def count(self) -> int:
        return int(self._database.arrow(f"SELECT count(*) AS n FROM {self.table}")["n"][0].as_py())

    def close(self) -> None:
        for statement in self._statements if self.is_changelog else self._statements[:1]:
            self._database.execute(f"DEALLOCATE {statement}")
        self._database.execute(f"DROP TABLE {self.table}")
        for name in self._inputs:
            self._database.unregister(name)

    def _shaped(self, delta: pa.Table) -> pa.Table:
        schema = self._input.table.schema
        if _AT.name not in schema.names:
            return delta.select(schema.names)
        places = pa.array(np.arange(delta.num_rows, dtype=np.int64))
        return delta.append_column(_AT, places).select(schema.names)

    def _net(self, rows: pa.Table) -> pa.Table:
        """Each row once, with the sum of its weights."""
        self._input.table = rows
        netted = self._database.arrow(f"EXECUTE {self._statements[1]}")
        kept = rows.take(netted.column("place"))
        return kept.set_column(kept.num_columns - 1, WEIGHT_FIELD, netted.column("n"))

    def _find(
        self, rows: pa.Table, weights: npt.NDArray[np.int64], turn: Turn
    ) -> tuple[pa.Table, pa.Table]:
        """The change that is possible, and the table's rows that it takes."""
        gone = rows.filter(pa.array(weights < 0))
        self._input.table = gone
        found = self._database.arrow(f"EXECUTE {self._statements[2]}")
        places = rows.column(_AT.name).to_numpy()
        counts = np.bincount(found.column("place").to_numpy(), minlength=int(places.max()) + 1)
        possible = np.where(weights < 0, -counts[places], weights)
        missing = np.flatnonzero(possible != weights)
        if len(missing):
            numbers = rows.column(SEQ).to_numpy()[missing]
            never = np.repeat(numbers, (possible - weights)[missing]).tolist()
            turn.errors.add(never, "SM5004", "taken back, but it was never there")
            rows = rows.set_column(rows.num_columns - 1, WEIGHT_FIELD, pa.array(possible))
            rows = rows.filter(pc.not_equal(rows.column(WEIGHT), 0))
        return rows, found.select(["r"])


def _weights(rows: pa.Table) -> npt.NDArray[np.int64]:
    weights: npt.NDArray[np.int64] = rows.column(WEIGHT).to_numpy()
    return weights


def _repeated(rows: pa.Table, weights: npt.NDArray[np.int64]) -> pa.Table:
    """The rows with positive weights, each as often as it says."""
    counts = np.maximum(weights, 0)
    if len(counts) and counts.max() == 1 == counts.min():
        return rows
    return rows.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
