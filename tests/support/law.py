"""The law (DESIGN 3.3) as a helper: what a query emitted, what its table holds, what DuckDB says.

A `Trial` runs queries over pushes that are cut into epochs. After every epoch the sum of the
emitted deltas must equal the table, and the table what plain DuckDB answers for the twin, the same
SELECT over all input so far. In a twin's text `_n` is the arrival number of a row.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import pyarrow as pa

import stream_magic
from stream_magic.contracts.testkit import ManualClock

Row = dict[str, Any]


@functools.cache
def oracle() -> duckdb.DuckDBPyConnection:
    """The one connection of all twins: a new one for each example costs 50 ms."""
    return duckdb.connect()


@dataclass(frozen=True)
class Query:
    """A continuous query and the plain SQL that means the same.

    Attributes:
        sql: what the app runs.
        twin: what DuckDB runs over the tables of all input; the same text without it.
        rows: gives the input rows that count (late and failed ones do not); all without it.
    """

    sql: str
    twin: str = ""
    rows: Callable[[Source], list[Row]] | None = None


@dataclass
class Source:
    """A memory source and all that was pushed into it and taken by an epoch."""

    name: str
    columns: str
    options: str = ""
    taken: list[tuple[Row, int, int]] = field(default_factory=list)  # row, weight, partition
    waiting: list[tuple[Row, int, int]] = field(default_factory=list)
    schema: pa.Schema | None = None

    @property
    def is_changelog(self) -> bool:
        return "changelog = true" in self.options

    @property
    def create(self) -> str:
        more = f", {self.options}" if self.options else ""
        return f"CREATE SOURCE {self.name} ({self.columns}) WITH (connector = 'memory'{more})"

    def net(self) -> list[Row]:
        """The rows that are there, in order of arrival."""
        counts: Counter[Any] = Counter()
        for row, weight, _ in self.taken:
            counts[canonical(row)] += weight
        left: list[Row] = []
        for row, _, _ in self.taken:
            if counts[canonical(row)] > 0:
                counts[canonical(row)] -= 1
                left.append(row)
        return left


class Trial:
    """One app with its sources and queries, beside the oracle."""

    def __init__(
        self, sources: Iterable[Source], queries: Sequence[Query], setup: Sequence[str] = (),
        tables: dict[str, pa.Table] | None = None,
    ) -> None:  # fmt: skip
        self.clock = ManualClock("2026-01-01 00:00:00")
        self.app = stream_magic.App("law", clock=self.clock)
        self.sources = {s.name: s for s in sources}
        self.queries = list(queries)
        self.tables = tables or {}
        self.deltas: list[list[pa.Table]] = [[] for _ in queries]
        for s in self.sources.values():
            self.app.execute(s.create)
            s.schema = self.app[s.name].schema
        for statement in setup:
            self.app.execute(statement)
        for i, q in enumerate(self.queries):
            self.app.execute(f"CREATE TABLE r{i} AS {q.sql}")
            self.app[f"r{i}"].subscribe(self._collect(i))

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self._agree()
        self.app.close()

    def _agree(self) -> None:
        """The snapshot says the same as the handle."""
        for i, q in enumerate(self.queries):
            same(self.result(i), self.app[f"r{i}"].preview(1_000_000), q.sql)

    def push(
        self, rows: Sequence[Row], weights: Sequence[int] | None = None, partition: int = 0,
        source: str = "s",
    ) -> None:  # fmt: skip
        s = self.sources[source]
        assert s.schema is not None
        if not rows:
            return
        self.app.push(source, pa.Table.from_pylist(list(rows), schema=s.schema), weights, partition)
        signs = [1] * len(rows) if weights is None else list(weights)
        full = [{n: row.get(n) for n in s.schema.names} for row in rows]
        s.waiting += [(r, w, partition) for r, w in zip(full, signs, strict=True)]

    def step(self, *, check: bool = True) -> None:
        self.app.step()
        for s in self.sources.values():
            s.taken += s.waiting
            s.waiting = []
        if check:
            self.check()

    def check(self) -> None:
        states = self.app.status()
        self._load()
        for i, q in enumerate(self.queries):
            status = states[f"r{i}"]
            assert status["state"] != "failed", f"{q.sql}\n{status['message']}"
            table = self.app[f"r{i}"].preview(1_000_000)
            expected = self.expected(q)
            same(table, expected, q.sql, self._scale())
            same_deltas(self.deltas[i], table, q.sql)

    def result(self, i: int = 0) -> pa.Table:
        return self.app.sql(f"SELECT * FROM r{i}").to_arrow_table()

    def errors(self, i: int = 0) -> list[Row]:
        rows: list[Row] = self.app.sql(f"SELECT * FROM errors.r{i}").to_arrow_table().to_pylist()
        return rows

    def expected(self, q: Query) -> pa.Table:
        if q.rows is not None:
            self._load(q.rows)
        answer = oracle().sql(q.twin or q.sql).to_arrow_table()
        if q.rows is not None:
            self._load()
        return answer

    def _load(self, choose: Callable[[Source], list[Row]] = Source.net) -> None:
        con = oracle()
        for s in self.sources.values():
            load(con, s.name, s.columns, choose(s), s.schema)
        for name, table in self.tables.items():
            con.register("_table", table)
            con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM _table")

    def _collect(self, i: int) -> Callable[[int, pa.Table], None]:
        return lambda _epoch, delta: self.deltas[i].append(delta)

    def _scale(self) -> float:
        numbers = [
            abs(float(v))
            for s in self.sources.values()
            for row, _, _ in s.taken
            for v in row.values()
            if isinstance(v, int | float) and math.isfinite(v)
        ]
        return max(sum(numbers), 1.0)


def load(
    con: duckdb.DuckDBPyConnection, name: str, columns: str, rows: list[Row],
    schema: pa.Schema | None,
) -> None:  # fmt: skip
    """`name` as a table with its declared types, and `name_n` with the arrival number `_n` too."""
    assert schema is not None
    declared = columns.split(", WATERMARK", maxsplit=1)[0]
    con.register("_rows", pa.Table.from_pylist(rows, schema=schema))
    con.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({declared})")
    con.execute(f"INSERT INTO {name} FROM _rows")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE {name}_n AS SELECT *, row_number() OVER () AS _n FROM {name}"
    )
    con.unregister("_rows")


def canonical(value: Any) -> Any:
    """Hashable, and equal for what SQL calls the same row."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, dict):
        return tuple((k, canonical(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return tuple(canonical(v) for v in value)
    return value


def bag(table: pa.Table) -> Counter[Any]:
    return Counter(canonical(row) for row in table.to_pylist())


def same(actual: pa.Table, expected: pa.Table, about: str = "", scale: float = 1.0) -> None:
    """Names, Arrow types and rows as a multiset; floats within 1e-9 of `scale`."""
    assert shape(actual.schema) == shape(expected.schema), about
    left, right = bag(actual), bag(expected)
    if left == right:
        return
    more, fewer = list((left - right).elements()), list((right - left).elements())
    assert len(more) == len(fewer), _difference(about, more, fewer)
    for a, b in zip(sorted(more, key=_by_value), sorted(fewer, key=_by_value), strict=True):
        assert _close(a, b, 1e-9 * scale), _difference(about, more, fewer)


def same_deltas(deltas: Sequence[pa.Table], table: pa.Table, about: str = "") -> None:
    """The sum of the deltas is the table, exactly."""
    total: Counter[Any] = Counter()
    for delta in deltas:
        for row in delta.to_pylist():
            weight = row.pop("_weight")
            total[canonical(row)] += weight
    left = {k: v for k, v in total.items() if v}
    right = dict(bag(table))
    assert left == right, f"{about}\nsum of deltas: {left}\ntable:         {right}"


def shape(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(f.name, str(f.type)) for f in schema]


def _by_value(row: Any) -> str:
    return repr(_rounded(row))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else str(value)
    return tuple(_rounded(v) for v in value) if isinstance(value, tuple) else value


def _close(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= max(tolerance, 1e-9 * max(abs(a), abs(b)))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_close(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _difference(about: str, more: list[Any], fewer: list[Any]) -> str:
    return f"{about}\nonly in the table: {more}\nonly in DuckDB:    {fewer}"
