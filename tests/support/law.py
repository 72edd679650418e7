"""The law (DESIGN 3.3) as a helper: what a query emitted, what its table holds, what DuckDB says.

A `Trial` runs queries over pushes that are cut into epochs. After every epoch the sum of the
emitted deltas must equal the table, and the table what plain DuckDB answers for the twin, the same
SELECT over all input so far (`support.sources` says which tables a twin may read).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

import stream_magic
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import StreamMagicError
from support.compare import same, same_deltas
from support.events import Row
from support.joined import Joined
from support.sources import CLOCK_START, Source, oracle

IDLE_S = 60  # the idle_timeout of all timed sources
_ROWS = 1_000_000
_EXACT = 2.0**53  # larger numbers are not summed as floats by any twin


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


class Batch:
    """All input so far, and what DuckDB says of it: the twin's side, without an app.

    Args:
        tables: what the twins read besides the sources.
        joins: gives streams that are made of two sources, and that twins read like a source.
    """

    def __init__(
        self, sources: Iterable[Source], tables: dict[str, pa.Table] | None = None,
        joins: Callable[[dict[str, Source]], list[Joined]] | None = None,
    ) -> None:  # fmt: skip
        self.sources = {s.name: s for s in sources}
        self.joined = joins(self.sources) if joins else []
        self.tables = tables or {}
        self.now_s = 0.0
        self.arrived = 0  # rows of all sources
        self._heard: dict[tuple[str, int], float] = {}  # when a partition last gave rows
        for s in (*self.sources.values(), *self.joined):
            declared = s.columns.split(", WATERMARK", maxsplit=1)[0]
            oracle().execute(f"CREATE OR REPLACE TEMP TABLE {s.name} ({declared})")
            s.schema = oracle().sql(f"FROM {s.name}").to_arrow_table().schema
        self.load()

    def push(
        self, rows: Sequence[Row], weights: Sequence[int] | None = None, partition: int = 0,
        source: str = "s",
    ) -> None:  # fmt: skip
        if rows:
            numbers = itertools.count(self.arrived + 1)
            self.sources[source].push(rows, weights, partition, numbers)
            self.arrived += len(rows)

    def step(self) -> None:
        for s in self.sources.values():
            for _, _, partition, _ in s.waiting:
                self._heard[s.name, partition] = self.now_s
            s.step(self.now_s)
            s.note_mark(self.arrived)
        for j in self.joined:
            j.step(self.now_s)
        self.load()

    def idle(self, seconds: float) -> None:
        """Nothing comes for so long: partitions that were silent for IDLE_S are idle now."""
        self.now_s += seconds
        for s in self.sources.values():
            if s.judge is not None:
                s.judge.fall_idle(*(p for p in range(s.judge.partitions) if self._is_idle(s, p)))
        self.step()

    def _is_idle(self, s: Source, partition: int) -> bool:
        return self.now_s - self._heard.get((s.name, partition), 0.0) >= IDLE_S

    def end(self, source: str) -> None:
        """No more rows come from this one."""
        judge = self.sources[source].judge
        if judge is not None:
            judge.end()
        self.step()

    def load(self, choose: Callable[[Source], list[Row]] | None = None) -> None:
        """The tables of the twins, as they are now."""
        for s in (*self.sources.values(), *self.joined):
            s.load(choose)
        now = f"TIMESTAMP '{CLOCK_START}' + to_microseconds({round(self.now_s * 1e6)})"
        oracle().execute(f"CREATE OR REPLACE TEMP TABLE clock_w AS SELECT {now} AS w")
        for name, table in self.tables.items():
            oracle().register("_table", table)
            oracle().execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM _table")

    def expected(self, q: Query) -> pa.Table:
        if q.rows is not None:
            self.load(q.rows)
        answer = oracle().sql(q.twin or q.sql).to_arrow_table()
        if q.rows is not None:
            self.load()
        return answer

    def scale(self) -> float:
        """The sum of absolute values that floats may have been made of (DESIGN 3.3 e)."""
        numbers = [
            abs(float(v))
            for s in self.sources.values()
            for taken in s.taken
            for v in taken.row.values()
            if _is_small(v)
        ]
        return max(sum(numbers), 1.0)


class Trial(Batch):
    """One app with its sources and queries, beside the oracle.

    Args:
        setup: statements between the sources and the queries.
        tables, joins: what the twins read besides the sources.
        first: so many queries are there from the beginning; all without it. `start` brings the others.
        may_refuse: a query that is refused is kept in `refused` and left out.
        checks: each step compares.
    """

    def __init__(
        self, sources: Iterable[Source], queries: Sequence[Query], setup: Sequence[str] = (),
        tables: dict[str, pa.Table] | None = None, *, joins: Callable[[dict[str, Source]], list[Joined]] | None = None,
        first: int | None = None, may_refuse: bool = False, checks: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(sources, tables, joins)
        self.clock = ManualClock(str(CLOCK_START))
        self.app = stream_magic.App("law", clock=self.clock)
        self.queries = list(queries)
        self.checks = checks
        self.deltas: list[list[pa.Table]] = [[] for _ in queries]
        self.refused: dict[int, StreamMagicError] = {}
        for s in self.sources.values():
            self.app.execute(s.create)
            s.schema = self.app[s.name].schema
        for statement in setup:
            self.app.execute(statement)
        self.may_refuse = may_refuse
        self.running: list[int] = []
        """Numbers of the queries that have started and were not refused."""
        for i in range(len(self.queries) if first is None else first):
            self.start(i)

    def __enter__(self) -> Trial:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.agree()
        self.app.close()

    def start(self, i: int) -> None:
        """A query begins, with what its inputs have kept."""
        try:
            self.create(i)
        except StreamMagicError as e:
            if not self.may_refuse:
                self.app.close()
                raise
            self.refused[i] = e
            return
        self._subscribe(i)
        self.running.append(i)

    def create(self, i: int) -> None:
        """The table `r` with its number, of one query."""
        self.app.execute(f"CREATE TABLE r{i} AS {self.queries[i].sql}")

    def push(
        self, rows: Sequence[Row], weights: Sequence[int] | None = None, partition: int = 0,
        source: str = "s",
    ) -> None:  # fmt: skip
        if rows:
            table = pa.Table.from_pylist(list(rows), schema=self.sources[source].schema)
            signs = None if weights is None else list(weights)
            self.app.push(source, table, signs, partition)
        super().push(rows, weights, partition, source)

    def step(self, *, check: bool | None = None) -> None:
        """One epoch; then everything is compared, if the trial checks."""
        self.app.step()
        super().step()
        if self.checks if check is None else check:
            self.check()

    def idle(self, seconds: float) -> None:
        self.step(check=False)
        self.clock.advance(seconds)
        self.app.step()
        super().idle(seconds)

    def end(self, source: str) -> None:
        self.step(check=False)
        self.app.end(source)
        self.app.step()
        super().end(source)

    def agree(self) -> None:
        """The snapshot says the same as the handle."""
        for i in self.running:
            same(self.result(i), self.app[f"r{i}"].preview(_ROWS), self.queries[i].sql)

    def check(self) -> None:
        for i in self.running:
            self.check_one(i)

    def check_one(self, i: int, expected: pa.Table | None = None, scale: float | None = None) -> None:  # fmt: skip
        """Compares one query with what is expected (its twin's answer), and its deltas with its table."""
        q = self.queries[i]
        node = self.app._engine.flow.get(f"r{i}")
        assert node is not None, q.sql
        assert not node.failure, f"{q.sql}\n{node.failure}"
        table = self.app[f"r{i}"].preview(_ROWS)
        answer = self.expected(q) if expected is None else expected
        same(table, answer, q.sql, self.scale() if scale is None else scale)
        same_deltas(self.deltas[i], table, q.sql)

    def result(self, i: int = 0) -> pa.Table:
        return self.app.sql(f"SELECT * FROM r{i}").to_arrow_table()

    def errors(self, i: int = 0) -> list[Row]:
        rows: list[Row] = self.app.sql(f"SELECT * FROM errors.r{i}").to_arrow_table().to_pylist()
        return rows

    def _subscribe(self, i: int) -> None:
        """A changelog's result comes first; rows that are only added and there already are not told again."""
        handle = self.app[f"r{i}"]
        there = handle.preview(1_000_000)
        handle.subscribe(self._collect(i))
        told = sum(d.num_rows for d in self.deltas[i])
        untold = there.slice(min(told, there.num_rows))
        if untold.num_rows:
            ones = pa.array([1] * untold.num_rows, pa.int64())
            self.deltas[i].append(untold.append_column("_weight", ones))

    def _collect(self, i: int) -> Callable[[int, pa.Table], None]:
        return lambda _epoch, delta: self.deltas[i].append(delta)


def _is_small(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) < _EXACT
