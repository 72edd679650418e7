"""Session windows over disordered events against DuckDB's one batch, and the cost of an epoch as open sessions grow."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import duckdb
import numpy as np
import pyarrow as pa

import stream_magic
from bench.result import Growth, Ratio, rates

ROWS, EPOCH_ROWS = 500_000, 10_000
_RATE = 50_000  # events a second of event time
_START_US = 1_767_225_600_000_000
_SMALL, _LARGE = 1_000, 500_000  # open sessions
_GROW_EPOCHS, _GROW_ROWS = 15, 1_000
_CALLS = "count(*) AS n, sum(v) AS s, max(v) AS m"


@dataclass(frozen=True)
class Data:
    """Events of many keys; `disorder_s` is how far they are from their order, and the watermark's delay."""

    name: str
    keys: int
    gap_s: float
    disorder_s: float

    @property
    def gap(self) -> str:
        return f"INTERVAL {int(self.gap_s * 1000)} MILLISECONDS"

    @property
    def source(self) -> str:
        delay = f"INTERVAL {int(self.disorder_s * 1000)} MILLISECONDS"
        return (
            f"CREATE SOURCE s (k BIGINT, v BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - {delay}) "
            "WITH (connector = 'memory')"
        )

    @property
    def stream(self) -> str:
        return f"SELECT k, window_start, window_end, {_CALLS} FROM SESSION(s, ts, {self.gap}, k) GROUP BY k, window_start, window_end"

    @property
    def batch(self) -> str:
        begins = f"CASE WHEN ts - lag(ts) OVER (PARTITION BY k ORDER BY ts) <= {self.gap} THEN 0 ELSE 1 END"
        numbered = f"SELECT *, sum(b) OVER (PARTITION BY k ORDER BY ts) AS i FROM (SELECT *, {begins} AS b FROM s)"
        return f"SELECT k, min(ts) AS b, max(ts) + {self.gap} AS e, {_CALLS} FROM ({numbered}) GROUP BY k, i"

    def rows(self, count: int) -> pa.Table:
        rng = np.random.default_rng(7)
        at = np.arange(count) * (1_000_000 // _RATE)
        late = rng.integers(0, int(self.disorder_s * 1e6) + 1, count)
        times = pa.array(_START_US + at - late, pa.timestamp("us"))
        return pa.table({"k": rng.integers(0, self.keys, count), "v": rng.integers(0, 1000, count), "ts": times})  # fmt: skip


CASES = (
    Data("1,000 keys", 1_000, 0.05, 2.0),
    Data("100,000 keys", 100_000, 4.0, 5.0),
)


def measure() -> Iterator[Ratio | Growth]:
    """Planning is not timed, handing the rows over is."""
    for data in CASES:
        rows = data.rows(ROWS)
        for word, emit in (("changes", ""), ("on close", " EMIT ON WINDOW CLOSE")):
            ours = partial(_stream_s, data, rows, emit)
            rate, limit = rates(rows.num_rows, ours, partial(_batch_s, data, rows))
            yield Ratio(f"sessions of {data.name}, {word}", rate, limit, "DuckDB batch", 0.1)
    yield _growth()


def _app(source: str, query: str) -> stream_magic.App:
    app = stream_magic.App("bench")
    app.execute(f"{source}; CREATE STREAM w WITH (retention = 1000) AS {query}")
    app.step()
    return app


def _stream_s(data: Data, rows: pa.Table, emit: str) -> float:
    app = _app(data.source, data.stream + emit)
    start = time.perf_counter()
    for at in range(0, rows.num_rows, EPOCH_ROWS):
        app.push("s", rows.slice(at, EPOCH_ROWS))
        app.step()
    app.end("s")
    app.step()
    seconds = time.perf_counter() - start
    app.close()
    return seconds


def _batch_s(data: Data, rows: pa.Table) -> float:
    with duckdb.connect() as con:
        con.register("s", rows)
        start = time.perf_counter()
        con.sql(data.batch).to_arrow_table()
        return time.perf_counter() - start


def _growth() -> Growth:
    """The median epoch into states of few and of many open sessions, in turn."""
    states = [_open_sessions(n) for n in (_SMALL, _LARGE)]
    seconds: list[list[float]] = [[], []]
    for at in range(0, _GROW_EPOCHS * _GROW_ROWS, _GROW_ROWS):
        for (app, rows), taken in zip(states, seconds, strict=True):
            app.push("s", rows.slice(at, _GROW_ROWS))
            start = time.perf_counter()
            app.step()
            taken.append(time.perf_counter() - start)
    for app, _ in states:
        app.close()
    name = f"{_GROW_ROWS:,} rows into {_SMALL:,} or {_LARGE:,} open sessions"
    return Growth(name, *map(statistics.median, seconds), 5)


def _open_sessions(count: int) -> tuple[stream_magic.App, pa.Table]:
    """An app with so many, and rows for them."""
    data = Data("", count, 3600.0, 3600.0)
    app = _app(data.source, data.stream + " EMIT ON WINDOW CLOSE")
    times = pa.array(np.full(count, _START_US), pa.timestamp("us"))
    app.push("s", pa.table({"k": np.arange(count), "v": np.arange(count), "ts": times}))
    app.step()
    return app, data.rows(_GROW_EPOCHS * _GROW_ROWS)
