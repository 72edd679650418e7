"""Windows over `proctime()`: by the app's clock in the epoch in which a row came, against DuckDB over that time."""

from __future__ import annotations

import random
from typing import Any

import duckdb
import pyarrow as pa
import pytest

import stream_magic
from stream_magic.contracts.testkit import ManualClock

_SOURCE = "CREATE SOURCE s (k INT, v INT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'memory')"
_SESSIONS = """
SELECT k, min(moment) AS window_start, max(moment) + INTERVAL 10 SECONDS AS window_end, sum(v)::HUGEINT AS t, count(*) AS n FROM (
  SELECT *, sum(b) OVER (PARTITION BY k ORDER BY moment) AS i FROM (
    SELECT *, CASE WHEN moment - lag(moment) OVER (PARTITION BY k ORDER BY moment) <= INTERVAL 10 SECONDS THEN 0 ELSE 1 END AS b FROM came))
GROUP BY k, i"""
_BUCKET = "time_bucket(INTERVAL 10 SECONDS, moment, TIMESTAMP '1970-01-01')"
CASES = {
    "TUMBLE(s, proctime(), INTERVAL 10 SECONDS)": f"""
SELECT k, {_BUCKET} AS window_start, {_BUCKET} + INTERVAL 10 SECONDS AS window_end, sum(v) AS t, count(*) AS n FROM came GROUP BY ALL""",
    "HOP(s, proctime(), INTERVAL 5 SECONDS, INTERVAL 10 SECONDS)": """
SELECT k, w AS window_start, w + INTERVAL 10 SECONDS AS window_end, sum(v) AS t, count(*) AS n FROM (
  SELECT *, time_bucket(INTERVAL 5 SECONDS, moment, TIMESTAMP '1970-01-01') - to_seconds(5 * i) AS w FROM came, range(2) AS _(i)) GROUP BY ALL""",
    "CUMULATE(s, proctime(), INTERVAL 5 SECONDS, INTERVAL 10 SECONDS)": f"""
SELECT k, w AS window_start, e AS window_end, sum(v) AS t, count(*) AS n FROM (
  SELECT *, {_BUCKET} AS w, w + to_seconds(5 * (i + 1)) AS e FROM came, range(2) AS _(i)) WHERE moment < e GROUP BY ALL""",
    "SESSION(s, proctime(), INTERVAL 10 SECONDS, k)": _SESSIONS,
}


class Play:
    """An app on a clock of its own; what came when is in a table of DuckDB's."""

    def __init__(self, window: str, emit: str) -> None:
        self.clock = ManualClock("2026-01-01 00:00:00")
        self.app = stream_magic.App("proctime", clock=self.clock)
        self.app.execute(_SOURCE)
        self.app.execute(
            "CREATE STREAM r AS SELECT k, window_start, window_end, sum(v) AS t, count(*) AS n "
            f"FROM {window} GROUP BY k, window_start, window_end {emit}"
        )
        self.app.step()
        self.batch = duckdb.connect()
        self.batch.execute("CREATE TABLE came (k INT, v INT, moment TIMESTAMP)")

    def epoch(self, rows: list[tuple[int, int]]) -> None:
        for k, v in rows:
            self.batch.execute(f"INSERT INTO came VALUES ({k}, {v}, make_timestamp({self.clock.now_us()}))")  # fmt: skip
        table = pa.table({"k": pa.array([k for k, _ in rows], pa.int32()), "v": pa.array([v for _, v in rows], pa.int32()),
                          "ts": pa.array([0] * len(rows), pa.timestamp("us"))})  # fmt: skip
        if rows:
            self.app.push("s", table)
        self.app.step()

    def result(self) -> list[Any]:
        return sorted(tuple(r.values()) for r in self.app["r"].preview(1_000_000).to_pylist())

    def expected(self, answer: str, *, closed: bool) -> list[Any]:
        where = f"WHERE window_end < make_timestamp({self.clock.now_us()})" if closed else ""
        return sorted(self.batch.sql(f"SELECT * FROM ({answer}) {where}").fetchall())

    def close(self) -> None:
        status = self.app.status()["r"]
        assert status["errors"] == 0, "no row is late by the clock"
        self.app.close()
        self.batch.close()


@pytest.mark.parametrize("emit", ["", "EMIT ON WINDOW CLOSE"])
@pytest.mark.parametrize(("window", "answer"), CASES.items(), ids=lambda c: c.partition("(")[0])
def test_windows_close_as_the_clock_passes(window: str, answer: str, emit: str) -> None:
    """Also when no row comes; and the rows' own times do not matter."""
    rng, play = random.Random(window + emit), Play(window, emit)
    for _ in range(25):
        rows = [(rng.randrange(3), rng.randrange(9)) for _ in range(rng.choice((0, 0, 1, 3)))]
        play.epoch(rows)
        assert play.result() == play.expected(answer, closed=bool(emit))
        play.clock.advance(rng.choice((0, 1, 4, 10, 25)))
    play.clock.advance(60)
    play.epoch([])
    assert play.result() == play.expected(answer, closed=False)
    play.close()


def test_a_clock_that_goes_back_stands_still() -> None:
    play = Play("TUMBLE(s, proctime(), INTERVAL 10 SECONDS)", "EMIT ON WINDOW CLOSE")
    play.clock.advance(15)
    play.epoch([(1, 1)])
    play.clock.set_back(12)
    play.app.push("s", pa.table({"k": pa.array([1], pa.int32()), "v": pa.array([2], pa.int32()), "ts": pa.array([0], pa.timestamp("us"))}))  # fmt: skip
    play.app.step()
    play.clock.advance(30)
    play.epoch([])
    assert [(t, n) for *_, t, n in play.result()] == [(3, 2)]
    play.close()
