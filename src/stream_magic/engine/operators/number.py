"""Rows counted by arrival, for each key: what row windows are made of."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.planner.arrival_nodes import Number

_PLACE = "_sm_at"  # of a row in its delta


class NumberOperator(Operator):
    """Keeps how many rows of each key there were."""

    def __init__(self, plan: Number, input_schema: pa.Schema, database: Database) -> None:
        self.schema = plan.schema
        self._name = plan.name
        self._counts = _Counts(plan, input_schema, database) if plan.keys else _Count(database)

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        del turn
        (delta,) = deltas
        if not delta.num_rows:
            return self.schema.empty_table()
        numbers = self._counts.take(delta)
        return delta.append_column(self._name, numbers).select(self.schema.names)

    def state_size(self) -> StateSize:
        return self._counts.size()

    def close(self) -> None:
        self._counts.close()


class _Count:
    """Of all rows."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._total = 0

    def take(self, delta: pa.Table) -> pa.Array:
        """The numbers of these rows, in their order."""
        first, self._total = self._total, self._total + delta.num_rows

        def undo() -> None:
            self._total = first

        self._database.on_rollback(undo)
        return pa.array(np.arange(first, self._total, dtype=np.int64))

    def size(self) -> StateSize:
        return StateSize(1, 8)

    def close(self) -> None:
        """There is nothing to drop."""


class _Counts:
    """Of the rows of each key, in a table."""

    def __init__(self, plan: Number, input_schema: pa.Schema, database: Database) -> None:
        self._database = database
        self._keys = list(plan.keys)
        self._number = number = database.number()
        self._input = ArrowInput(
            pa.schema([*(input_schema.field(k) for k in plan.keys), pa.field(_PLACE, pa.int64())])
        )
        database.register(f"_in{number}", self._input)
        kinds = dict(zip(_visible(plan), plan.types, strict=True))
        declared = ", ".join(f"{k} {kinds[k]}" for k in plan.keys)
        database.execute(f"CREATE TABLE n{number} ({declared}, total BIGINT)")
        keys = ", ".join(plan.keys)
        typed = ", ".join(f"CAST({k} AS {kinds[k]}) AS {k}" for k in plan.keys)
        rows = f"(SELECT {typed}, {_PLACE} FROM _in{number})"
        equal = " AND ".join(f"c.{k} IS NOT DISTINCT FROM r.{k}" for k in plan.keys)
        added = f"(SELECT {keys}, count(*) AS added FROM {rows} GROUP BY {keys})"
        self._numbers = database.select(
            f"SELECT coalesce(c.total, 0) + row_number() OVER (PARTITION BY {', '.join(f'r.{k}' for k in plan.keys)} "
            f"ORDER BY r.{_PLACE}) - 1 AS number FROM {rows} AS r LEFT JOIN n{number} AS c ON {equal} ORDER BY r.{_PLACE}"
        )
        database.execute(
            f"PREPARE raise{number} AS UPDATE n{number} AS c SET total = total + added FROM {added} AS r WHERE {equal}"
        )
        database.execute(
            f"PREPARE begin{number} AS INSERT INTO n{number} SELECT {keys}, added FROM {added} AS r ANTI JOIN n{number} AS c ON {equal}"
        )

    def take(self, delta: pa.Table) -> pa.ChunkedArray:
        places = pa.array(np.arange(delta.num_rows, dtype=np.int64))
        self._input.table = delta.select(self._keys).append_column(_PLACE, places)
        numbers = self._numbers.run().column("number")
        self._database.execute(f"EXECUTE raise{self._number}")
        self._database.execute(f"EXECUTE begin{self._number}")
        return numbers

    def size(self) -> StateSize:
        return self._database.size(f"n{self._number}")

    def close(self) -> None:
        for statement in ("raise", "begin"):
            self._database.execute(f"DEALLOCATE {statement}{self._number}")
        self._database.execute(f"DROP TABLE n{self._number}")
        self._database.unregister(f"_in{self._number}")


def _visible(plan: Number) -> list[str]:
    return list(plan.schema.names[: len(plan.types)])
