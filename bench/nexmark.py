"""Nexmark's queries at several epoch sizes, against DuckDB's one batch over the same Arrow rows."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
from examples.nexmark import SIDE_INPUT, Query, declare, queries

import stream_magic
from bench.feed import EPOCHS, EVENTS, fed_s, kept, resident_mb
from bench.result import Ratio
from stream_magic.connectors.nexmark import House
from stream_magic.connectors.nexmark.house import rows_among

_MOST_EPOCHS = 100
# What keeps rows and computes parts again gets a fifth of the events, and one round.
_HEAVY = frozenset({"q04", "q06", "q09", "q15", "q16", "q18", "q19", "q23"})
# A running app is over with a million rows of these in tens of milliseconds, in which its epochs have just grown.
_QUICK = frozenset({"q00", "q01", "q02", "q10", "q13", "q14", "q21", "q22"})
_ROUNDS = 3
HOUSE = House(seed=1, start_us=1_767_225_600_000_000, step_us=1_000, disorder_us=100_000)
_SOURCE = "connector = 'memory', queue_rows = 100000000"
_DELAY = "100 MILLISECONDS"
# Issue 3: stateless 0.5, windowed aggregates 0.25, window join 0.3, cache lookup 0.4, sessions 0.1, running GROUP BY 0.1.
AIMS = {
    **dict.fromkeys(("q00", "q01", "q02", "q10", "q14", "q21", "q22"), 0.5),
    **dict.fromkeys(("q05", "q07", "q12"), 0.25),
    **dict.fromkeys(("q15", "q16", "q17"), 0.1),
    "q08": 0.3,
    "q13": 0.4,
    "q11": 0.1,
}


def measure(names: Sequence[str] = (), epochs: Sequence[str] = tuple(EPOCHS)) -> Iterator[Ratio]:
    """Planning and loading the cache are not timed. At most 100 epochs: short ones get fewer rows, as does their batch."""
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(duckdb.sql(SIDE_INPUT).to_arrow_table(), _side_input(folder))
        for query in queries():
            if not names or query.name in names:
                for epoch in epochs:
                    yield _measured(query, epoch, folder)


def _measured(query: Query, epoch: str, folder: str) -> Ratio:
    is_heavy, epoch_rows = query.name in _HEAVY, EPOCHS[epoch]
    events = EVENTS // 5 if is_heavy else EVENTS
    if epoch_rows is not None:
        events = min(events, _MOST_EPOCHS * epoch_rows)
    elif query.name in _QUICK:
        events = 5 * EVENTS
    tables: dict[str, pa.Table] = {k: HOUSE.rows(k, 0, rows_among(k, events)) for k in query.reads}
    ours, batch, note = [], [], ""
    for _ in range(1 if is_heavy else _ROUNDS):
        seconds, expected = _batch(query, tables)
        batch.append(seconds)
        seconds, note = _run(query, tables, folder, epoch_rows, expected)
        ours.append(seconds)
    rows = sum(t.num_rows for t in tables.values())
    rate, limit = rows / statistics.median(ours), rows / statistics.median(batch)
    aim = AIMS.get(query.name, 0) if epoch_rows is None else 0
    return Ratio(f"{query.name}, epochs of {epoch}", rate, limit, "batch", aim, note)


def _batch(query: Query, tables: dict[str, pa.Table]) -> tuple[float, int]:
    """Seconds, and rows of the answer."""
    with duckdb.connect() as con:
        for name, table in tables.items():
            con.register(name, table)
        con.execute(f"CREATE TABLE side_input AS {SIDE_INPUT}")
        if "arrivals" in query.batch:
            con.execute("CREATE VIEW arrivals AS SELECT *, CAST(now() AS TIMESTAMP) AS arrived_at FROM bid")  # fmt: skip
        start = time.perf_counter()
        answer = con.sql(query.batch).to_arrow_table()
        return time.perf_counter() - start, answer.num_rows


def _run(
    query: Query, tables: dict[str, pa.Table], folder: str, epoch_rows: int | None, expected: int
) -> tuple[float, str]:
    """Seconds, and what is kept: the state before the windows are closed is not told, so it is that of the end."""
    app = stream_magic.App("bench")
    for kind in query.reads:
        app.execute(declare(kind, _SOURCE, _DELAY))
    if "side_input" in query.select:
        app.execute(f"CREATE CACHE side_input KEY (key) WITH (connector = 'file', path = '{_side_input(folder)}')")  # fmt: skip
    app.execute(f"CREATE STREAM result AS {query.select}")
    app.step()
    before = resident_mb()
    seconds = fed_s(app, tables, epoch_rows)
    note = f"{kept(app, 'result')}, process {resident_mb() - before:+,.0f} MB"
    given = app["result"].feed.status().rows
    app.close()
    if given != expected and query.name != "q12":  # which goes by the clock
        raise AssertionError(f"{query.name}: {given} rows, not {expected}")
    return seconds, note


def _side_input(folder: str) -> Path:
    return Path(folder) / "side_input.parquet"
