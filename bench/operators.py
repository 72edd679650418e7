"""Each kind of operator at several epoch sizes, against DuckDB's one batch over the same Arrow rows."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa

import stream_magic
from bench.feed import EPOCHS, fed_s
from bench.result import Growth, Ratio, rates

# A running app is over with a million rows in tens of milliseconds, in which its epochs have just grown.
ROWS, ROUNDS = 5_000_000, 3
_MOST_EPOCHS = 100
RATE = 20_000  # events a second of event time
_FEW, _MANY = 100, 200_000
_GROW_EPOCHS = 30  # of 1,000 rows, timed on a small and on a large state

SOURCES = """
CREATE SOURCE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, ts TIMESTAMP,
  WATERMARK FOR ts AS ts) WITH (connector = 'memory', queue_rows = 10000000);
CREATE SOURCE ask (auction BIGINT, seller BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts)
  WITH (connector = 'memory', queue_rows = 10000000);
"""


@dataclass(frozen=True)
class Case:
    """One query: as a stream, and as DuckDB's batch says it.

    Attributes:
        aim: the ratio to reach when the engine cuts epochs by itself.
        sources: those of the tables that it reads.
    """

    name: str
    aim: float
    stream: str
    batch: str
    sources: tuple[str, ...] = ("bid",)
    rows: int = ROWS


_TUMBLE = "time_bucket(INTERVAL 10 SECONDS, ts)"
_HOPS = "unnest(generate_series(time_bucket(INTERVAL 2 SECONDS, ts - INTERVAL 10 SECONDS) + INTERVAL 2 SECONDS, time_bucket(INTERVAL 2 SECONDS, ts), INTERVAL 2 SECONDS))"


def _same(name: str, aim: float, query: str, rows: int = ROWS) -> Case:
    return Case(name, aim, query, query, rows=rows)


CASES = (
    _same("pass through (q0)", 0.5, "SELECT auction, bidder, price, channel, ts FROM bid"),
    _same(
        "project (q1)", 0.5,
        "SELECT auction, bidder, price * 908 / 1000 AS price, channel, ts FROM bid",
    ),
    _same("filter (q2)", 0.5, "SELECT auction, price FROM bid WHERE auction % 123 = 0"),
    _same(
        "running sum, 100 keys", 0.25,
        f"SELECT auction % {_FEW} AS k, count(*) AS n, sum(price) AS s FROM bid GROUP BY k",
    ),
    _same(
        "running sum, 200,000 keys", 0.1,
        "SELECT bidder AS k, count(*) AS n, sum(price) AS s FROM bid GROUP BY k",
    ),
    Case(
        "tumbling maximum (q7)", 0.25,
        "SELECT window_end, max(price) AS m, count(*) AS n FROM TUMBLE(bid, ts, INTERVAL 10 SECONDS) GROUP BY window_start, window_end EMIT ON WINDOW CLOSE",
        f"SELECT {_TUMBLE} + INTERVAL 10 SECONDS AS w, max(price) AS m, count(*) AS n FROM bid GROUP BY w",
    ),
    Case(
        "tumbling maximum, changes", 0.25,
        "SELECT window_end, max(price) AS m, count(*) AS n FROM TUMBLE(bid, ts, INTERVAL 10 SECONDS) GROUP BY window_start, window_end",
        f"SELECT {_TUMBLE} + INTERVAL 10 SECONDS AS w, max(price) AS m, count(*) AS n FROM bid GROUP BY w",
    ),
    Case(
        "tumbling count by key (q12)", 0.25,
        "SELECT bidder, window_end, count(*) AS n FROM TUMBLE(bid, ts, INTERVAL 10 SECONDS) GROUP BY bidder, window_start, window_end EMIT ON WINDOW CLOSE",
        f"SELECT bidder, {_TUMBLE} + INTERVAL 10 SECONDS AS w, count(*) AS n FROM bid GROUP BY bidder, w",
    ),
    Case(
        "hopping count (q5)", 0.25,
        "SELECT auction, window_end, count(*) AS n FROM HOP(bid, ts, INTERVAL 2 SECONDS, INTERVAL 10 SECONDS) GROUP BY auction, window_start, window_end EMIT ON WINDOW CLOSE",
        f"SELECT auction, w + INTERVAL 10 SECONDS AS w, count(*) AS n FROM (SELECT auction, {_HOPS} AS w FROM bid) GROUP BY auction, w",
    ),
    Case(
        "hopping count, changes", 0.25,
        "SELECT auction, window_end, count(*) AS n FROM HOP(bid, ts, INTERVAL 2 SECONDS, INTERVAL 10 SECONDS) GROUP BY auction, window_start, window_end",
        f"SELECT auction, w + INTERVAL 10 SECONDS AS w, count(*) AS n FROM (SELECT auction, {_HOPS} AS w FROM bid) GROUP BY auction, w",
    ),
    Case(
        "window join (q8)", 0.3,
        "SELECT b.bidder, b.price, a.seller, b.window_end FROM TUMBLE(bid, ts, INTERVAL 10 SECONDS) AS b JOIN TUMBLE(ask, ts, INTERVAL 10 SECONDS) AS a ON a.auction = b.bidder AND a.window_start = b.window_start AND a.window_end = b.window_end",
        f"SELECT b.bidder, b.price, a.seller, b.w FROM (SELECT *, {_TUMBLE} AS w FROM bid) b JOIN (SELECT *, {_TUMBLE} AS w FROM ask) a ON a.auction = b.bidder AND a.w = b.w",
        ("bid", "ask"),
    ),
    Case(
        "interval join", 0.3,
        "SELECT b.bidder, b.price, a.seller, b.ts FROM bid b JOIN ask a ON a.auction = b.bidder AND a.ts BETWEEN b.ts - INTERVAL 10 SECONDS AND b.ts",
        "SELECT b.bidder, b.price, a.seller, b.ts FROM bid b JOIN ask a ON a.auction = b.bidder AND a.ts BETWEEN b.ts - INTERVAL 10 SECONDS AND b.ts",
        ("bid", "ask"),
    ),
    _same(
        "best three of each of 10,000 groups", 0.1,
        "SELECT auction, price, bidder FROM bid QUALIFY row_number() OVER (PARTITION BY auction ORDER BY price DESC, bidder) <= 3",
        rows=200_000,
    ),
)  # fmt: skip


def measure(
    names: Sequence[str] = (), epochs: Sequence[str] = tuple(EPOCHS)
) -> Iterator[Ratio | Growth]:
    """Planning is not timed. At most 100 epochs: short ones get fewer rows, as does their batch."""
    for case in CASES:
        if not names or any(n in case.name for n in names):
            for epoch in epochs:
                yield _measured(case, epoch)
    if not names:
        yield growth()


def _measured(case: Case, epoch: str) -> Ratio:
    epoch_rows = EPOCHS[epoch]
    tables = _tables(case, min(case.rows, _MOST_EPOCHS * (epoch_rows or case.rows)))
    many, limit = rates(
        sum(t.num_rows for t in tables.values()), lambda: _stream_s(case, tables, epoch_rows), lambda: _batch_s(case, tables), ROUNDS
    )  # fmt: skip
    aim = case.aim if epoch_rows is None else 0
    return Ratio(f"{case.name}, epochs of {epoch}", many, limit, "batch", aim)


def _tables(case: Case, n: int) -> dict[str, pa.Table]:
    """So many rows of the case's sources. Asks name bidders, and come at a fifth of the rate."""
    rng = np.random.default_rng(1)

    def times(rows: int) -> pa.Array:
        return pa.array(np.arange(rows, dtype=np.int64) * (n * 1_000_000 // (rows * RATE))).cast(
            pa.timestamp("us")
        )

    channels = pa.array([f"channel {i}" for i in range(20)])
    bid = pa.table(
        {
            "auction": rng.integers(0, 10_000, n),
            "bidder": rng.integers(0, _MANY, n),
            "price": rng.integers(1, 10_000, n),
            "channel": channels.take(pa.array(rng.integers(0, 20, n))),
            "ts": times(n),
        }
    )
    asks = n // 5
    ask = pa.table(
        {
            "auction": rng.integers(0, _MANY, asks),
            "seller": rng.integers(0, 1_000, asks),
            "ts": times(asks),
        }
    )
    return {"bid": bid, "ask": ask} if "ask" in case.sources else {"bid": bid}


def _stream_s(case: Case, tables: dict[str, pa.Table], epoch_rows: int | None) -> float:
    app = stream_magic.App("bench")
    app.execute(f"{SOURCES} CREATE STREAM out AS {case.stream};")
    app.step()
    seconds = fed_s(app, tables, epoch_rows)
    _check(app, case, tables)
    app.close()
    return seconds


def _check(app: stream_magic.App, case: Case, tables: dict[str, pa.Table]) -> None:
    given, expected = app["out"].feed.status().rows, _batch(case, tables).num_rows
    if given != expected:
        raise AssertionError(f"{case.name}: {given} rows, not {expected}")


def _batch(case: Case, tables: dict[str, pa.Table]) -> pa.Table:
    with duckdb.connect() as con:
        for name, table in tables.items():
            con.register(name, table)
        return con.sql(case.batch).to_arrow_table()


def _batch_s(case: Case, tables: dict[str, pa.Table]) -> float:
    start = time.perf_counter()
    _batch(case, tables)
    return time.perf_counter() - start


def growth() -> Growth:
    """An epoch of 1,000 rows into a GROUP BY with 2 million keys, against one with 10,000."""
    return Growth("GROUP BY, an epoch of 1,000 rows", _epoch_s(10_000), _epoch_s(2_000_000), 5)


def _epoch_s(keys: int) -> float:
    app = stream_magic.App("bench")
    app.execute(
        f"{SOURCES} CREATE STREAM out AS SELECT bidder AS k, count(*) AS n, sum(price) AS s FROM bid GROUP BY k;"
    )
    rng = np.random.default_rng(1)

    def push(bidders: np.ndarray) -> float:
        app.push("bid", pa.table({"bidder": bidders, "price": bidders % 100}))
        start = time.perf_counter()
        app.step()
        return time.perf_counter() - start

    push(rng.permutation(keys))
    seconds = [push(rng.integers(0, keys, 1_000)) for _ in range(_GROW_EPOCHS)]
    app.close()
    return statistics.median(seconds)
