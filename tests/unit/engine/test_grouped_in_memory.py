"""GROUP BY in memory: an epoch that is taken back leaves nothing, bad and late rows go their way."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

import stream_magic
from stream_magic.contracts.testkit import ManualClock
from stream_magic.engine.operators import running
from stream_magic.engine.operators.closing import ClosingOperator
from stream_magic.engine.operators.running import RunningOperator

SOURCE = """
CREATE SOURCE s (k INT, v BIGINT, d DECIMAL(12, 2), x DOUBLE, t VARCHAR, ts TIMESTAMP, WATERMARK FOR ts AS ts)
  WITH (connector = 'memory', partitions = 2);
"""
CALLS = (
    "count(*) AS n, count(v) AS nv, sum(v) AS sv, sum(d) AS sd, sum(x) AS sx, min(v) AS lo, max(d) AS hi, "
    "avg(v) AS av, avg(d) AS ad, avg(x) AS ax, sum(v) FILTER (WHERE v > 3) AS some, max(ts) AS last"
)
WINDOW = "TUMBLE(s, ts, INTERVAL 10 SECONDS)"


@pytest.fixture
def app() -> Iterator[Any]:
    app = stream_magic.App("groups", clock=ManualClock("2026-01-01 00:00:00"))
    app.execute(SOURCE)
    yield app
    app.close()


def row(i: int, **values: Any) -> dict[str, Any]:
    made = {
        "k": i % 5 or None, "v": i if i % 3 else None, "d": f"{i - 20}.25", "x": i / 7, "t": "1",
        "ts": f"2026-01-01 00:00:{i % 60:02}",
    }  # fmt: skip
    return made | values


def operators(app: Any, name: str) -> list[type]:
    return [type(step.operator) for step in app._engine.flow[name].program.steps()]


def are_equal(app: Any, name: str, select: str) -> bool:
    """By what `%stream` users see: the table against the same SELECT over the rows."""
    shown = "SELECT * REPLACE (round(sx, 9) AS sx, round(ax, 9) AS ax, round(ad, 9) AS ad) FROM"
    both = f"({shown} {name}) EXCEPT ALL ({shown} ({select}))"
    other = f"({shown} ({select})) EXCEPT ALL ({shown} {name})"
    return app.sql(both).fetchall() == app.sql(other).fetchall() == []


@pytest.mark.parametrize("keys", ["k", "k, t", ""])
def test_an_epoch_that_is_taken_back_leaves_nothing(app: Any, keys: str) -> None:
    items, group = (f"{keys}, {CALLS}", f"GROUP BY {keys}") if keys else (CALLS, "")
    select = f"SELECT {items} FROM s {group}"
    app.execute(f"CREATE TABLE whole AS SELECT * FROM s; CREATE TABLE r AS {select};")
    assert RunningOperator in operators(app, "r")
    app.push("s", [row(i) for i in range(20)])
    app.step()
    app.execute("CREATE TABLE fails AS SELECT sum(v::HUGEINT << 64) AS h FROM s WHERE t = 'fail'")
    app.push("s", [row(i, v=2**62, t="fail", k=i) for i in range(8)])
    app.step()
    assert app.status()["fails"]["errors"] == 1
    app.push("s", [row(i, k=i % 12) for i in range(30, 60)])
    app.step()
    assert are_equal(app, "r", select.replace("FROM s", "FROM whole"))


def test_windows_of_an_epoch_that_is_taken_back_close_once(app: Any) -> None:
    app.execute(
        "CREATE TABLE whole AS SELECT * FROM s;"
        f"CREATE TABLE r AS SELECT k, window_end, {CALLS} FROM {WINDOW} GROUP BY ALL EMIT ON WINDOW CLOSE;"
        "CREATE TABLE fails AS SELECT sum(v::HUGEINT << 64) AS h FROM s WHERE t = 'fail'"
    )
    assert ClosingOperator in operators(app, "r")
    app.push("s", [row(i) for i in range(25)])
    app.step()
    app.push("s", [row(i, t="fail", v=2**62) for i in range(25, 47)])
    app.step()
    assert app.status()["fails"]["errors"] == 1
    for p in range(2):
        app.push("s", [row(58)], partition=p)
    app.step()
    bounds = "time_bucket(INTERVAL 10 SECONDS, ts) + INTERVAL 10 SECONDS"
    closed = f"SELECT k, {bounds} AS window_end, {CALLS} FROM whole WHERE {bounds} <= '2026-01-01 00:00:58' GROUP BY ALL"
    assert are_equal(app, "r", closed)


def test_closed_groups_are_let_go(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(running, "_FORGET", 1)
    app.execute(f"CREATE TABLE r AS SELECT v, window_end, count(*) AS n FROM {WINDOW} GROUP BY ALL")
    for i in range(30):
        for p in range(2):
            app.push("s", [row(2 * i, v=100 + i), row(2 * i + 1, v=200)], partition=p)
        app.step()
    [kept] = [
        s.operator
        for s in app._engine.flow["r"].program.steps()
        if type(s.operator) is RunningOperator
    ]
    assert kept.state_size().rows < 15
    assert app.sql("SELECT sum(n), count(*) FROM r").fetchall() == [(120, 36)]


def test_an_epoch_that_is_taken_back_has_closed_nothing(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running, "_FORGET", 1)
    app.execute(
        f"CREATE TABLE r AS SELECT window_end, count(*) AS n FROM {WINDOW} GROUP BY ALL;"
        "CREATE TABLE fails AS SELECT sum(v::HUGEINT << 64) AS h FROM s WHERE t = 'fail'"
    )
    app.push("s", [row(1), row(2)])
    app.step()
    for p in range(2):
        app.push("s", [row(3), row(25, t="fail", v=2**62)], partition=p)
    app.step()
    assert app.status()["fails"]["errors"] == 1
    assert app.sql("SELECT n FROM r ORDER BY window_end").fetchall() == [(4,), (2,)]


def test_bad_and_late_rows_are_errors_and_the_others_are_counted(app: Any) -> None:
    app.execute(
        "CREATE TABLE r AS SELECT window_end, sum(CAST(t AS INT)) AS total FROM "
        f"{WINDOW} GROUP BY ALL EMIT ON WINDOW CLOSE"
    )
    for p in range(2):
        app.push("s", [row(1), row(2, t="x"), row(15), row(3), row(16, ts=None)], partition=p)
    app.step()
    found = app.sql("SELECT code, raw FROM errors.r").fetchall()
    kinds = [(code, json.loads(raw)["v"]) for code, raw in found]
    assert sorted(kinds) == [("SM5001", 2)] * 2 + [("SM5002", 16)] * 2 + [("SM5003", None)] * 2
    assert app.sql("SELECT total FROM r").fetchall() == [(2,)]


def test_a_chain_that_others_read_is_a_step_of_its_own(app: Any) -> None:
    app.execute("CREATE TABLE r AS SELECT v + 1 AS w, count(*) AS n FROM s GROUP BY w")
    assert operators(app, "r")[0] is RunningOperator
    app.execute(
        "CREATE TABLE r2 AS WITH c AS (SELECT v + 1 AS w FROM s) "
        "SELECT w, count(*) AS n FROM c GROUP BY w UNION ALL SELECT w, 0 FROM c"
    )
    app.push("s", [row(i) for i in range(9)])
    app.step()
    assert app.sql("SELECT sum(n) FROM r2").fetchall() == app.sql("SELECT sum(n) FROM r").fetchall()
