"""Fifty queries over one source against one of them: the rows of the source that all are done with, a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

import stream_magic
from bench.result import Ratio, rates

ROWS, EPOCH_ROWS, QUERIES, ROUNDS = 1_000_000, 100_000, 50, 5
SOURCE = """
CREATE SOURCE bid (auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, ts TIMESTAMP,
  WATERMARK FOR ts AS ts) WITH (connector = 'memory', queue_rows = 10000000);
"""


@dataclass(frozen=True)
class Case:
    """Queries by their number, and the ratio to reach."""

    name: str
    aim: float
    query: Callable[[int], str]


CASES = (
    Case("50 filters, a fiftieth each", 0.5, lambda i: f"SELECT auction, price, channel, ts FROM bid WHERE auction % 50 = {i}"),
    Case("50 filters and a computed column", 0.5, lambda i: f"SELECT auction, price * 0.9 AS price, ts FROM bid WHERE auction % 50 = {i}"),
    Case("50 filters on a text", 0.5, lambda i: f"SELECT auction, price FROM bid WHERE channel = 'channel {i}'"),
    Case("50 filters, half of the rows each", 0, lambda i: f"SELECT auction, price FROM bid WHERE auction % 50 < 25 + {i} % 2"),
    Case("one group, 50 conditions behind it", 0.5, lambda i: f"SELECT auction, count(*) AS n, sum(price) AS s FROM bid GROUP BY auction HAVING count(*) > {i}"),
    Case("50 groups behind 50 filters", 0, lambda i: f"SELECT channel, count(*) AS n FROM bid WHERE auction % 50 = {i} GROUP BY channel"),
)  # fmt: skip


def measure() -> list[Ratio]:
    """Planning is not timed, on either side."""
    rows = _bids()
    found = []
    for case in CASES:
        many, one = rates(
            ROWS, lambda c=case: _seconds(c, QUERIES, rows), lambda c=case: _seconds(c, 1, rows), rounds=ROUNDS
        )  # fmt: skip
        found.append(Ratio(case.name, many, one, "one of them", case.aim))
    return found


def _seconds(case: Case, count: int, rows: pa.Table) -> float:
    app = stream_magic.App("bench")
    app.execute(SOURCE + ";".join(f"CREATE STREAM q{i} AS {case.query(i)}" for i in range(count)))
    app.step()
    start = time.perf_counter()
    for at in range(0, rows.num_rows, EPOCH_ROWS):
        app.push("bid", rows.slice(at, EPOCH_ROWS))
        app.step()
    seconds = time.perf_counter() - start
    status = app.status()
    assert all(status[f"q{i}"]["rows_in"] == ROWS for i in range(count)), "none is left behind"
    app.close()
    return seconds


def _bids() -> pa.Table:
    r = np.random.default_rng(1)
    channels = pa.array([f"channel {i}" for i in range(QUERIES)])
    return pa.table(
        {
            "auction": r.integers(0, 1_000, ROWS),
            "bidder": r.integers(0, 200_000, ROWS),
            "price": r.integers(1, 10_000, ROWS),
            "channel": channels.take(pa.array(r.integers(0, QUERIES, ROWS))),
            "ts": pa.array(np.arange(ROWS, dtype=np.int64) * 50, pa.timestamp("us")),
        }
    )
