"""Nexmark: each query, after every epoch, is what DuckDB answers over all events so far."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stream_magic
from nexmark import KINDS, SIDE_INPUT, Query, declare, queries
from stream_magic.connectors.nexmark.house import SCHEMAS, House, rows_among
from stream_magic.contracts.testkit import ManualClock
from support.compare import bag, same, same_deltas

EVENTS = 3000  # a minute of event time
HOUSE = House(seed=7, start_us=1_767_225_600_000_000, step_us=20_000, disorder_us=1_000_000)
EPOCHS = (0, 1, 3, 60, 61, 700, 705, 1500, 2200, 2990, EVENTS)  # after so many events
ON_CLOSE = [q for q in queries() if q.name == "q11"]
_CLOCK_S = 7  # between two epochs


class Run:
    """An app and all rows that it was given, in tables of the same names."""

    def __init__(self, query: Query, folder: Path, emit: str = "") -> None:
        self.query = query
        self.clock = ManualClock("2026-01-01 00:00:00")
        self.app = stream_magic.App("nexmark", clock=self.clock)
        self.batch = duckdb.connect()
        self.deltas: list[pa.Table] = []
        for kind in KINDS:
            self.app.execute(declare(kind))
            self.batch.register("empty", SCHEMAS[kind].empty_table())
            self.batch.execute(f"CREATE TABLE {kind} AS FROM empty")
        self.batch.execute("CREATE TABLE arrivals AS SELECT *, dateTime AS arrived_at FROM bid")
        self.batch.execute(f"CREATE TABLE side_input AS {SIDE_INPUT}")
        if "side_input" in query.select:
            path = folder / "side_input.parquet"
            pq.write_table(self.batch.sql("FROM side_input").to_arrow_table(), path)
            self.app.execute(
                f"CREATE CACHE side_input KEY (key) WITH (connector = 'file', path = '{path}')"
            )
        self.app.execute(f"CREATE STREAM result AS {query.select} {emit}")
        self.app.step()
        self.app["result"].subscribe(lambda _epoch, delta: self.deltas.append(delta))

    def epoch(self, first: int, last: int) -> None:
        """Takes the events from number `first` up to `last`."""
        self.clock.advance(_CLOCK_S)
        for kind in KINDS:
            before, after = rows_among(kind, first), rows_among(kind, last)
            rows = HOUSE.rows(kind, before, after - before)
            self.app.push(kind, rows)
            self.batch.register("rows", rows)
            self.batch.execute(f"INSERT INTO {kind} FROM rows")
        now = f"make_timestamp({self.clock.now_us()})"
        self.batch.execute(f"INSERT INTO arrivals SELECT *, {now} FROM rows")  # bids come last
        self.app.step()

    def expected(self) -> pa.Table:
        return self.batch.sql(self.query.batch).to_arrow_table()

    def result(self) -> pa.Table:
        """The sum of the deltas is checked against what the app holds, and given."""
        table = self.app["result"].preview(1_000_000)
        if self.deltas:
            same_deltas([_weighted(d) for d in self.deltas], table, self.query.name)
        return table

    def close(self) -> None:
        status = self.app.status()
        assert not [n for n, s in status.items() if s["state"] == "failed" or s["errors"]], status
        self.app.close()
        self.batch.close()


@pytest.mark.parametrize("query", queries(), ids=lambda q: q.name)
def test_a_query_is_duckdbs_answer_after_every_epoch(query: Query, tmp_path: Path) -> None:
    run = Run(query, tmp_path)
    for first, last in pairwise(EPOCHS):
        run.epoch(first, last)
        same(run.result(), run.expected(), query.name, scale=1e9)
    assert run.expected().num_rows, "a query without rows shows nothing"
    run.close()


@pytest.mark.parametrize("query", ON_CLOSE, ids=lambda q: q.name)
def test_on_window_close_rows_are_only_added_and_are_the_same_in_the_end(
    query: Query, tmp_path: Path
) -> None:
    run = Run(query, tmp_path, "EMIT ON WINDOW CLOSE")
    for first, last in pairwise(EPOCHS):
        run.epoch(first, last)
    told = bag(run.result())
    for kind in KINDS:
        run.app.end(kind)
    run.app.step()
    assert told
    assert not told - bag(run.result())
    same(run.result(), run.expected(), query.name)
    run.close()


def _weighted(delta: pa.Table) -> pa.Table:
    if "_weight" in delta.column_names:
        return delta
    return delta.append_column("_weight", pa.array([1] * delta.num_rows, pa.int64()))
