"""Rows that cannot be computed go to errors.NAME; a query that fails stops alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest

import stream_magic
from stream_magic.contracts.testkit import ManualClock
from stream_magic.engine.operators.running import RunningOperator

HUGE = Decimal("9" * 38)


@pytest.fixture
def app() -> Iterator[Any]:
    app = stream_magic.App("bad", clock=ManualClock("2026-01-01 00:00:00"))
    app.execute(
        "CREATE SOURCE s (id INT, v VARCHAR, d DECIMAL(38,0)) WITH (connector = 'memory');"
        "CREATE SOURCE c (k VARCHAR, v INT) WITH (connector = 'memory', changelog = true)"
    )
    yield app
    app.close()


def errors(app: Any, name: str) -> list[tuple[str, Any]]:
    rows = app.sql(f"SELECT reason, raw FROM errors.{name}").fetchall()
    return [(reason, json.loads(raw)) for reason, raw in rows]


@pytest.mark.parametrize(
    "query",
    [
        "SELECT CAST(v AS INT) AS i FROM s",
        "SELECT id FROM s WHERE CAST(v AS INT) > 0",
        "SELECT 10 // length(v) AS i FROM s",
        "SELECT v FROM s WHERE v <> '' AND CAST(v AS TINYINT) >= 0",
        "SELECT CAST(v AS INT) AS i, count(*) AS n FROM s GROUP BY i",
        "SELECT sum(CAST(v AS INT)) AS t FROM s",
        "SELECT id, e FROM s, unnest([CAST(v AS INT)]) AS l(e)",
        "SELECT n + 1 AS m FROM (SELECT CAST(v AS INT) AS n FROM s)",
        "SELECT n FROM (SELECT v AS n FROM s) WHERE n::INT = 7",
    ],
)
def test_only_the_rows_that_fail_are_errors(app: Any, query: str) -> None:
    app.execute(f"CREATE TABLE r AS {query}")
    good = [{"id": i, "v": "7"} for i in range(50)]
    bad = {"id": 99, "v": ""} if "//" in query else {"id": 99, "v": "x"}
    app.push("s", [*good[:20], bad, *good[20:]])
    app.step()
    found = errors(app, "r")
    assert [raw["id"] for _, raw in found] == [99]
    assert app.status()["r"]["state"] != "failed"
    app.execute(f"CREATE TABLE twin AS {query}")  # from history: the same row fails again
    assert app.sql("SELECT * FROM r EXCEPT ALL SELECT * FROM twin").fetchall() == []


def test_a_result_that_cannot_be_computed_is_an_error_once(app: Any) -> None:
    """Its later retraction is none: there was nothing to take back."""
    app.execute("CREATE TABLE r AS SELECT k, CAST(sum(v) AS TINYINT) AS t FROM c GROUP BY k")
    app.push("c", [{"k": "a", "v": 500}, {"k": "b", "v": 5}])
    app.step()
    app.push("c", [{"k": "a", "v": 500}, {"k": "a", "v": 1}], [-1, 1])
    app.step()
    [(reason, raw)] = errors(app, "r")
    assert "out of range" in reason
    assert raw == {"k": "a", "SUM(v)": "500"}
    assert sorted(app.sql("SELECT * FROM r").fetchall()) == [("a", 1), ("b", 5)]


def test_a_query_that_fails_stops_alone_and_loses_no_row_of_others(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    app.execute(
        "CREATE TABLE total AS SELECT sum(d) AS t FROM s;"
        "CREATE TABLE below AS SELECT t FROM total WHERE t > 0;"
        "CREATE TABLE n AS SELECT count(DISTINCT id) AS ids FROM s"
    )
    app.push("s", [{"id": 1, "d": 5}])
    app.step()

    def fails(*_: object) -> None:
        raise RuntimeError("a fault of the engine")

    monkeypatch.setattr(RunningOperator, "run", fails)
    app.push("s", [{"id": 2, "d": 2}, {"id": 3, "d": 3}])
    app.step()
    app.push("s", [{"id": 4, "d": 1}])
    app.step()
    status = app.status()
    assert (status["total"]["state"], status["total"]["message"]) == ("failed", "a fault of the engine")  # fmt: skip
    assert app.sql("SELECT code, reason FROM errors.total").fetchall() == [
        ("SM5008", "total stopped: a fault of the engine")
    ]
    assert status["n"]["state"] != "failed"
    assert app.sql("SELECT * FROM n").fetchall() == [(4,)]
    assert app.sql("SELECT * FROM total").fetchall() == [(5,)]
    assert app.sql("SELECT * FROM below").fetchall() == [(5,)]


def test_a_group_that_cannot_be_computed_is_an_error_each_time_it_begins_to_be_one(
    app: Any,
) -> None:
    app.execute(
        "CREATE SOURCE g (k VARCHAR, v DOUBLE) WITH (connector = 'memory', changelog = true);"
        "CREATE TABLE r AS SELECT k, kurtosis(v) AS x FROM g GROUP BY k"
    )
    bad = [{"k": "a", "v": v} for v in (1.0, 2.0, 3.0, float("inf"))]
    for rows, sign in ((bad, 1), (bad[:1], 1), (bad[3:], -1), (bad[3:], 1)):
        app.push("g", rows, [sign] * len(rows))
        app.step()
    reason = "Out of Range Error: Kurtosis is out of range!: there is no result for these rows until it can be computed"
    found = app.sql("SELECT code, reason, raw FROM errors.r").fetchall()
    assert found == [("SM5007", reason, b'{"k": "a"}')] * 2


@pytest.mark.parametrize(
    "select",
    [
        "SELECT k, kurtosis(v) AS x FROM f GROUP BY k",
        "SELECT k, kurtosis(DISTINCT v) AS x FROM f GROUP BY k",
        "SELECT k, v, kurtosis(v) OVER (PARTITION BY k) AS x FROM f",
    ],
)
def test_it_says_which_group_and_once(app: Any, select: str) -> None:
    app.execute(
        "CREATE SOURCE f (k VARCHAR, v DOUBLE) WITH (connector = 'memory');"
        f"CREATE TABLE r AS {select}"
    )
    for v in (1.0, 2.0, 3.0, float("inf"), 4.0, 5.0):
        app.push("f", [{"k": "a", "v": v}, {"k": "b", "v": 1.0}])
        app.step()
    [(reason, raw)] = errors(app, "r")
    assert "ut of range" in reason
    assert raw == {"k": "a"}
    assert app.sql("SELECT DISTINCT k FROM r").fetchall() == [("b",)]
    assert app.status()["r"]["state"] != "failed"


def test_many_bad_rows_are_found_among_many(app: Any) -> None:
    app.execute("CREATE TABLE r AS SELECT id, CAST(v AS INT) AS i FROM s")
    app.push("s", [{"id": i, "v": "x" if i % 10 == 0 else "1"} for i in range(5000)])
    app.step()
    assert app.status()["r"]["errors"] == 500
    assert app.sql("SELECT count(*) FROM r").fetchall() == [(4500,)]
    assert {raw["id"] % 10 for _, raw in errors(app, "r")} == {0}


def test_the_wall_clock_is_the_apps_own(app: Any) -> None:
    app.execute(
        "CREATE TABLE r AS SELECT id, CAST(now() AT TIME ZONE 'UTC' AS VARCHAR) AS at FROM s"
    )
    app.push("s", [{"id": 1}])
    app.step()
    app.clock.advance(5)
    app.push("s", [{"id": 2}])
    app.step()
    rows = app.sql("SELECT * FROM r").fetchall()
    assert rows == [(1, "2026-01-01 00:00:00"), (2, "2026-01-01 00:00:05")]


def test_changes_of_rows_that_were_never_seen_are_errors(app: Any) -> None:
    row = "STRUCT(id INT, v INT)"
    app.execute(f"CREATE SOURCE cdc (op VARCHAR, before {row}, after {row}) WITH (connector = 'memory');"
                "CREATE TABLE t AS SELECT id, v FROM latest(cdc)")  # fmt: skip
    never = {"op": "d", "before": {"id": 7, "v": 1}, "after": None}
    half = {"op": "u", "before": {"id": 2, "v": 5}, "after": {"id": 2, "v": 6}}
    app.push("cdc", [{"op": "c", "before": None, "after": {"id": 1, "v": 1}}, never, half])
    app.step()
    assert app.sql("SELECT * FROM t ORDER BY id").fetchall() == [(1, 1), (2, 6)]
    reason = "taken back, but it was never there"
    assert errors(app, "t") == [(reason, never), (reason, half)]
    app.push("cdc", [{"op": "c", "before": None, "after": {"id": 7, "v": 1}}])
    app.step()
    assert app.sql("SELECT count(*) FROM t").fetchall() == [(3,)], (
        "the delete that came before is not owed"
    )
