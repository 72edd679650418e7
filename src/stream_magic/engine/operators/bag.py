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
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.language.binder import quote

_AT = pa.field("_sm_at", pa.int64())  # place of a row in its delta
_HASH = "_sm_h"  # of all columns: finding rows by it first is 4 times faster (decision 0006)
TAKEN = pa.schema([("r", pa.int64()), ("place", pa.int64())])


@dataclass(frozen=True)
class Change:
    """What an epoch does to a bag: netted, without what cannot be taken back.

    Attributes:
        rows: all of it, with `_weight` if there is any in the delta.
        added: rows to insert.
        taken: numbers of the table's rows to delete, and the place in the delta of what deletes them.
    """

    rows: pa.Table
    added: pa.Table
    taken: pa.Table

    def __bool__(self) -> bool:
        return bool(self.rows.num_rows)


class Bag:
    """Rows with these columns, and `_sm_seq` after them if they are kept by arrival.

    Attributes:
        rows: reads the rows that there are.
        delta: reads the change of this epoch, with the same types and its weights.
        is_changelog: rows come with weights.
    """

    def __init__(
        self, database: Database, input_schema: pa.Schema, columns: Sequence[str], types: Sequence[str],
        *, by_arrival: bool = True,
    ) -> None:  # fmt: skip
        self.is_changelog = WEIGHT in input_schema.names
        self._database = database
        self._number = number = database.number()
        extra = [_AT, WEIGHT_FIELD] if self.is_changelog else []
        fields = [input_schema.field(n) for n in dict.fromkeys([*columns, SEQ])]
        self._input = ArrowInput(pa.schema([*fields, *extra]))
        self._taken = ArrowInput(TAKEN)
        database.register(f"_in{number}", self._input)
        database.register(f"_rows{number}", self._taken)
        names = [quote(c) for c in columns]
        typed = [f"CAST({c} AS {t}) AS {c}" for c, t in zip(names, types, strict=True)]
        shown = ", ".join([*typed, SEQ, *(f.name for f in extra)])
        self.delta = f"(SELECT {shown} FROM _in{number})"
        kept = {**dict(zip(names, types, strict=True)), **({SEQ: "BIGINT"} if by_arrival else {})}
        self.rows = f"(SELECT {', '.join(kept)} FROM b{number})"
        self._kept = kept
        self._create(kept, f"hash({', '.join(names) or '0'})")
        if self.is_changelog:
            self._prepare_taking(names, by_arrival=by_arrival)

    def _create(self, kept: dict[str, str], hashed: str) -> None:
        kinds = kept | ({_HASH: "UBIGINT"} if self.is_changelog else {})
        declared = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
        items = ", ".join([*kept, *([f"{hashed} AS {_HASH}"] if self.is_changelog else [])])
        self._database.execute(f"CREATE TABLE b{self._number} ({declared})")
        self._prepare("add", f"INSERT INTO b{self._number} SELECT {items} FROM {self.delta}")

    def _prepare_taking(self, names: list[str], *, by_arrival: bool) -> None:
        group = f"GROUP BY {', '.join(names)}" if names else ""
        at, total = _AT.name, f"sum({WEIGHT})"
        self._net_rows = self._database.select(
            f"SELECT CASE WHEN {total} > 0 THEN max({at}) FILTER (WHERE {WEIGHT} > 0) "
            f"ELSE max({at}) FILTER (WHERE {WEIGHT} < 0) END AS place, {total}::BIGINT AS n "
            f"FROM {self.delta} {group} HAVING {total} <> 0 ORDER BY place",
        )  # fmt: skip
        equal = " AND ".join(f"b.{c} IS NOT DISTINCT FROM d.{c}" for c in names) or "true"
        oldest = f"ORDER BY b.{SEQ}" if by_arrival else ""
        hashed = f"hash({', '.join(names) or '0'})"
        self._find_rows = self._database.select(
            f"WITH c AS MATERIALIZED (SELECT rowid AS r, * FROM b{self._number} "
            f"WHERE {_HASH} IN (SELECT {hashed} FROM {self.delta})) "
            f"SELECT r, place FROM (SELECT b.r, d.{at} AS place, d.{WEIGHT} AS w, "
            f"row_number() OVER (PARTITION BY d.{at} {oldest}) AS n FROM c AS b JOIN {self.delta} AS d ON {equal}) "
            "WHERE n <= -w",
        )  # fmt: skip
        self._prepare(
            "take", f"DELETE FROM b{self._number} WHERE rowid IN (SELECT r FROM _rows{self._number})"
        )  # fmt: skip

    def change(self, delta: pa.Table, turn: Turn) -> Change:
        """What a delta does, seen before it is done; what was never there becomes an error."""
        rows = self._shaped(delta)
        if not self.is_changelog:
            return Change(rows, rows, TAKEN.empty_table())
        weights = _weights(rows)
        if (weights < 0).any() and len(weights) > 1:
            rows = self._net(rows)
            weights = _weights(rows)
        taken = TAKEN.empty_table()
        if (weights < 0).any():
            rows, taken = self._find(rows, weights, turn)
            weights = _weights(rows)
        return Change(rows, _repeated(rows, weights), taken)

    def apply(self, change: Change) -> None:
        """Does it; `delta` then reads the change."""
        self._taken.table = change.taken
        if change.taken.num_rows:
            self._database.execute(f"EXECUTE take{self._number}")
        if change.added.num_rows:
            self._input.table = change.added
            self._database.execute(f"EXECUTE add{self._number}")
        self.show(change)

    def show(self, change: Change | None) -> None:
        """Makes `delta` read this change; None is no change."""
        self._input.table = self._input.table.slice(0, 0) if change is None else change.rows

    def numbers(self, change: Change) -> pa.Table:
        """Of the rows that a change will take: `number`, their arrival, and `place`, what takes them."""
        self._taken.table = change.taken
        if not change.taken.num_rows:
            return change.taken.rename_columns(["number", "place"])
        return self._database.arrow(
            f"SELECT b.{SEQ} AS number, x.place FROM b{self._number} AS b "
            f"JOIN _rows{self._number} AS x ON b.rowid = x.r"
        )

    def all(self) -> pa.Table:
        """The rows that there are, each with the weight 1."""
        return self._database.arrow(f"SELECT *, 1::BIGINT AS {WEIGHT} FROM {self.rows}")

    def chosen(self, value: str, until: int) -> str:
        """The condition that a window function over all rows is not above this."""
        rows = f"SELECT rowid AS r, {value} AS v FROM b{self._number}"
        return f"rowid IN (SELECT r FROM ({rows}) WHERE v <= {until})"

    def typed(self, copy: str) -> str:
        """Reads a copy of rows that Arrow carried, with the types that they had."""
        casts = ", ".join(f"CAST({name} AS {kind}) AS {name}" for name, kind in self._kept.items())
        return f"(SELECT {casts} FROM {copy})"

    def delete(self, condition: str) -> int:
        """Forgets rows; how many there were."""
        return self._database.delete(f"b{self._number}", condition)

    def count(self) -> int:
        return self._database.count(f"b{self._number}")

    def size(self) -> StateSize:
        return self._database.size(f"b{self._number}")

    def close(self) -> None:
        for statement in ("add", "take") if self.is_changelog else ("add",):
            self._database.execute(f"DEALLOCATE {statement}{self._number}")
        self._database.execute(f"DROP TABLE b{self._number}")
        self._database.unregister(f"_in{self._number}")
        self._database.unregister(f"_rows{self._number}")

    def _prepare(self, what: str, sql: str) -> None:
        self._database.execute(f"PREPARE {what}{self._number} AS {sql}")

    def _shaped(self, delta: pa.Table) -> pa.Table:
        schema = self._input.table.schema
        if _AT.name not in schema.names:
            return delta.select(schema.names)
        places = pa.array(np.arange(delta.num_rows, dtype=np.int64))
        return delta.append_column(_AT, places).select(schema.names)

    def _net(self, rows: pa.Table) -> pa.Table:
        """Each row once, with the sum of its weights."""
        self._input.table = rows
        netted = self._net_rows.run()
        kept = rows.take(netted.column("place"))
        return kept.set_column(kept.num_columns - 1, WEIGHT_FIELD, netted.column("n"))

    def _find(
        self, rows: pa.Table, weights: npt.NDArray[np.int64], turn: Turn
    ) -> tuple[pa.Table, pa.Table]:
        """The change that is possible, and the table's rows that it takes."""
        gone = rows.filter(pa.array(weights < 0))
        self._input.table = gone
        found = self._find_rows.run()
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
        return rows, found


def _weights(rows: pa.Table) -> npt.NDArray[np.int64]:
    weights: npt.NDArray[np.int64] = rows.column(WEIGHT).to_numpy()
    return weights


def _repeated(rows: pa.Table, weights: npt.NDArray[np.int64]) -> pa.Table:
    """The rows with positive weights, each as often as it says."""
    counts = np.maximum(weights, 0)
    if len(counts) and counts.max() == 1 == counts.min():
        return rows
    return rows.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
