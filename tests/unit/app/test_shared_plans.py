"""Equal nodes of several queries are one step (decision 0010): nobody can tell but by EXPLAIN ANALYZE."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pyarrow as pa
import pytest

from stream_magic import App
from stream_magic.contracts.testkit import ManualClock
from stream_magic.engine.dataflow import QueryNode
from stream_magic.engine.network import Step

SOURCES = """
CREATE SOURCE a (id INT, v DOUBLE, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL 5 SECONDS) WITH (connector = 'memory');
CREATE SOURCE b (id INT, w INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL 5 SECONDS) WITH (connector = 'memory');
CREATE SOURCE e (op VARCHAR, before STRUCT(id INT, v DOUBLE), after STRUCT(id INT, v DOUBLE)) WITH (connector = 'memory');
CREATE SOURCE c (id INT, v DOUBLE) WITH (connector = 'memory', changelog = true);
"""
START = datetime(2026, 1, 1, 0, 30, tzinfo=UTC).replace(tzinfo=None)
MEDIANS = "SELECT id, median(v) AS m FROM a GROUP BY id"
BY_ID = "SELECT id, sum(v) AS total, count(*) AS n FROM a GROUP BY id"
JOIN = "CREATE STREAM j AS SELECT a.id, a.at, w FROM a JOIN b ON a.id = b.id AND a.at BETWEEN b.ts AND b.ts + INTERVAL 3 SECONDS"
QUERIES = {
    "filter": "SELECT id, v * 2 AS d FROM a WHERE v > 3",
    "bad rows": "SELECT id, CAST(CASE WHEN id = 3 THEN 'x' ELSE '1' END AS INT) AS i FROM a",
    "group": BY_ID,
    "group over bad rows": "SELECT id, sum(CAST(CASE WHEN id = 3 THEN 'x' ELSE '1' END AS INT)) AS i FROM a GROUP BY id",
    "global": "SELECT sum(v) AS s, avg(v) AS m FROM a",
    "having": "SELECT id, avg(v) AS m FROM a GROUP BY id HAVING count(*) > 2",
    "distinct": "SELECT id, count(DISTINCT w) AS n FROM b GROUP BY id",
    "changelog": "SELECT id, sum(v) AS s, min(v) AS lo FROM c GROUP BY id",
    "by arrival": "SELECT id, list(v) AS l FROM a GROUP BY id",
    "grouped twice": f"SELECT n, sum(total) AS s FROM ({BY_ID}) GROUP BY n",
    "join": "SELECT a.id, v, w FROM a JOIN b ON a.id = b.id AND a.v > b.w",
    "left join": "SELECT a.id, v, w FROM a LEFT JOIN b ON a.id = b.id AND b.w > 7",
    "join of groups": f"SELECT x.id, x.total, y.s FROM ({BY_ID}) AS x JOIN (SELECT id, sum(v) AS s FROM c GROUP BY id) AS y ON x.id = y.id",
    "itself": f"SELECT x.id, y.total FROM ({BY_ID}) AS x JOIN ({BY_ID}) AS y ON x.id = y.id + 1",
    "interval join": "SELECT a.id, v, w FROM a JOIN b ON a.id = b.id AND a.at BETWEEN b.ts - INTERVAL 3 SECONDS AND b.ts + INTERVAL 3 SECONDS",
    "window": "SELECT window_end, id, sum(v) AS s FROM TUMBLE(a, at, INTERVAL 10 SECONDS) GROUP BY window_end, id",
    "window on close": "SELECT window_end, sum(v) AS s FROM TUMBLE(a, at, INTERVAL 10 SECONDS) GROUP BY window_end EMIT ON WINDOW CLOSE",
    "long window on close": "SELECT window_end, sum(v) AS s FROM TUMBLE(a, at, INTERVAL 1 HOUR) GROUP BY window_end EMIT ON WINDOW CLOSE",
    "window over a join": "SELECT window_end, count(*) AS n FROM TUMBLE(j, at, INTERVAL 10 SECONDS) GROUP BY window_end",
    "sessions": "SELECT window_end, id, sum(v) AS s FROM SESSION(a, at, INTERVAL 5 SECONDS, id) GROUP BY window_start, window_end, id",
    "sessions on close": "SELECT window_end, id, count(*) AS n FROM SESSION(a, at, INTERVAL 5 SECONDS, id) GROUP BY window_start, window_end, id EMIT ON WINDOW CLOSE",
    "table of changes": "SELECT id, v FROM latest(e)",
    "top": "SELECT id, v FROM c ORDER BY v DESC LIMIT 3",
    "over": "SELECT id, v, row_number() OVER (PARTITION BY id ORDER BY v) AS n FROM a",
    "latest": "SELECT * FROM latest(a, id)",
    "union": f"SELECT id, v FROM c UNION ALL SELECT id, total FROM ({BY_ID})",
    "except": "SELECT id FROM a EXCEPT SELECT id FROM b",
}  # fmt: skip


def make_app(cell: str = "") -> App:
    app = App("t", clock=ManualClock("2026-01-01"))
    app.execute(SOURCES + cell)
    return app


def _below(query: str) -> str:
    """The stream that a query reads."""
    return JOIN if "(j," in query else ""


class Feeder:
    """Random rows, the same for the same seed; some late, some taken back."""

    def __init__(self, seed: int = 1) -> None:
        self._random = Random(seed)
        self._second = 0
        self._held: list[dict[str, Any]] = []
        self._table: dict[str, Any] | None = None

    def give(self, *apps: App) -> None:
        r = self._random
        self._second += 4
        moments = [START + timedelta(seconds=self._second - r.choice([0, 1, 2, 3, 30])) for _ in range(8)]  # fmt: skip
        a = [{"id": r.randrange(5), "v": r.random() * 10, "at": m} for m in moments]
        b = [{"id": r.randrange(5), "w": r.randrange(10), "ts": m} for m in moments]
        added = [{"id": r.randrange(4), "v": r.random()} for _ in range(5)]
        table, self._table = self._table, {"id": 1, "v": r.random()}
        gone, self._held = self._held[:3], self._held[3:] + added
        for app in apps:
            app.push("a", a)
            app.push("b", b)
            app.push("e", [{"op": "u" if table else "c", "before": table, "after": self._table}])
            app.push("c", [*gone, *added], [-1] * len(gone) + [1] * len(added))
            app.step()


def steps(app: App, *names: str) -> Iterator[Step]:
    for name in names:
        node = app._engine.flow[name]
        assert isinstance(node, QueryNode)
        yield from node.program.steps()


def shared(app: App, one: str, other: str) -> int:
    return len({id(s) for s in steps(app, one)} & {id(s) for s in steps(app, other)})


def heard(app: App, name: str) -> list[tuple[Any, ...]]:
    """Fills up with what `name` emits, floats rounded."""
    found: list[tuple[Any, ...]] = []

    def note(_: int, rows: pa.Table) -> None:
        for row in rows.to_pylist():
            found.append(tuple(round(v, 9) if isinstance(v, float) else v for v in row.values()))  # noqa: PERF401

    app[name].subscribe(note)
    return found


def kept(app: App, name: str) -> list[str]:
    rows = app[name].preview(100_000).to_pylist()
    return sorted(str([round(v, 9) if isinstance(v, float) else v for v in r.values()]) for r in rows)  # fmt: skip


def failed(app: App, name: str) -> list[Any]:
    rows = app[f"errors.{name}"].preview(100_000)
    return rows.select(["code", "reason", "raw"]).to_pylist()


def tables(app: App) -> int:
    return int(app._engine.database.count("duckdb_tables()"))


CUT = ["filter", "group", "changelog", "join", "window", "top"]


@pytest.mark.parametrize(("name", "setting"), [*((n, "") for n in QUERIES), *((n, "SET retention = '20 rows';") for n in CUT)])  # fmt: skip
def test_a_query_that_joins_others_is_what_it_would_be_alone(name: str, setting: str) -> None:
    """The second of two equal queries, made later, against the same query in an app of its own."""
    query = QUERIES[name]
    apps = crowd, alone = [make_app(setting + _below(query)) for _ in range(2)]
    crowd.execute(f"CREATE STREAM first AS {query}")
    feeder = Feeder()
    for _ in range(4):
        feeder.give(*apps)
    for app in apps:
        app.execute(f"CREATE STREAM late AS {query}")
    assert kept(crowd, "late") == kept(alone, "late")
    told = [heard(app, "late") for app in apps]
    for _ in range(4):
        feeder.give(*apps)
    assert sorted(map(str, told[0])) == sorted(map(str, told[1]))
    assert kept(crowd, "late") == kept(alone, "late")
    assert failed(crowd, "late") == failed(alone, "late")


JOINED = ["filter", "bad rows", "group", "global", "having", "distinct", "changelog", "by arrival", "grouped twice", "join", "left join", "itself",
          "join of groups", "window over a join", "long window on close", "table of changes", "top", "over", "latest", "union", "except"]  # fmt: skip


@pytest.mark.parametrize("name", QUERIES)
def test_steps_that_can_tell_what_they_gave_are_joined(name: str) -> None:
    app = make_app(_below(QUERIES[name]))
    app.execute(f"CREATE STREAM first AS {QUERIES[name]}")
    feeder = Feeder(3)
    for _ in range(4):
        feeder.give(app)
    app.execute(f"CREATE STREAM late AS {QUERIES[name]}")
    feeder.give(app)
    is_whole = shared(app, "first", "late") == len(list(steps(app, "late")))
    assert is_whole == (name in JOINED)
    app.execute(f"CREATE STREAM second AS {QUERIES[name]}; CREATE STREAM third AS {QUERIES[name]}")
    assert shared(app, "second", "third") == len(list(steps(app, "third"))), "they begin together"


def test_what_only_differs_behind_a_group_shares_the_group() -> None:
    app = make_app(
        f"CREATE TABLE x AS {BY_ID}; CREATE TABLE y AS SELECT id, count(*) AS many, sum(v) AS s FROM a GROUP BY id HAVING sum(v) > 3"
    )
    app.execute(f"CREATE TABLE z AS SELECT max(total) AS m FROM ({BY_ID})")
    assert shared(app, "x", "z") == 1
    assert shared(app, "x", "y") == 0  # other aggregates in another order
    Feeder().give(app)
    lines = app.execute("EXPLAIN ANALYZE z").splitlines()
    group, chain = lines[-4:-2]
    assert "shared by 2" in group
    assert chain.endswith(": in one statement with what reads it")


def test_a_step_ends_with_its_last_user() -> None:
    app = make_app()
    before = tables(app)
    app.execute(f"CREATE TABLE x AS {MEDIANS}; CREATE TABLE y AS {MEDIANS}")
    Feeder().give(app)
    with_two = tables(app)
    app.execute("DROP x")
    assert tables(app) == with_two > before
    Feeder(2).give(app)
    app.execute(f"CREATE TABLE z AS {MEDIANS}")
    assert kept(app, "y") == kept(app, "z")
    app.execute("DROP y; DROP z")
    assert tables(app) == before


def test_a_replaced_query_does_not_disturb_the_others() -> None:
    app = make_app(f"CREATE TABLE x AS {BY_ID}; CREATE TABLE y AS {BY_ID}")
    feeder = Feeder()
    feeder.give(app)
    told = heard(app, "y")
    told.clear()  # what there is comes first
    (before,) = {id(s) for s in steps(app, "y") if not s.operator.is_stateless}
    app.execute("CREATE TABLE x AS SELECT id FROM a WHERE v > 5")
    app.execute(f"CREATE TABLE x AS {BY_ID}")
    assert told == []
    assert {id(s) for s in steps(app, "x") if not s.operator.is_stateless} == {before}
    feeder.give(app)
    assert kept(app, "x") == kept(app, "y")


def test_a_step_that_fails_stops_those_that_need_it_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    app = make_app(f"CREATE TABLE x AS {BY_ID}; CREATE TABLE y AS {BY_ID}; CREATE TABLE below AS SELECT max(total) AS m FROM y;"
                   "CREATE TABLE other AS SELECT id, max(v) AS m FROM a GROUP BY id")  # fmt: skip
    feeder = Feeder()
    feeder.give(app)
    (step,) = (s for s in steps(app, "x") if not s.operator.is_stateless)

    def fail(*_: object) -> None:
        raise RuntimeError("no luck")

    monkeypatch.setattr(step.operator, "run", fail)
    feeder.give(app)
    assert {n: s["message"] for n, s in app.status().items() if "no luck" in s["message"]} == {"x": "no luck", "y": "no luck"}  # fmt: skip
    assert app.status()["other"]["message"] == ""
    assert app["other"].preview().num_rows == 5
    app.execute(
        f"CREATE TABLE z AS {BY_ID}; CREATE OR REPLACE TABLE x AS SELECT sum(v) AS s FROM a"
    )
    assert app["z"].preview().num_rows == 5
    assert app["x"].preview().num_rows == 1


def test_bad_rows_are_told_to_each_query_that_they_concern() -> None:
    cast = "CAST(CASE WHEN id = 1 THEN 'x' ELSE '7' END AS INT)"
    app = make_app(f"CREATE TABLE x AS SELECT id, max({cast}) AS m FROM a GROUP BY id; CREATE TABLE y AS SELECT id, max({cast}) AS m FROM a GROUP BY id;"
                   f"CREATE TABLE z AS SELECT id, max({cast}) AS m FROM a WHERE id <> 1 GROUP BY id")  # fmt: skip
    app.push("a", [{"id": i, "v": 1.0, "at": START} for i in range(3)])
    app.step()
    assert len(failed(app, "x")) == 1
    assert failed(app, "x") == failed(app, "y")
    assert failed(app, "z") == []
    assert kept(app, "x") == kept(app, "z") == ["[0, 7]", "[2, 7]"]


def test_a_query_that_waits_takes_steps_of_its_own_if_others_went_on_without_it(monkeypatch: pytest.MonkeyPatch) -> None:  # fmt: skip
    """It found a step that it could join; before it could begin, that one forgot a window."""
    window = "SELECT window_end, count(*) AS n FROM TUMBLE(a, at, INTERVAL 10 SECONDS) GROUP BY window_end"
    app = make_app(f"CREATE TABLE x AS {window}")
    app.push("a", [{"id": 1, "v": 1.0, "at": START}])
    app.step()
    waits = app._engine._runner._can_look_up
    monkeypatch.setattr(
        app._engine._runner, "_can_look_up", lambda node: node.id != "y" and waits(node)
    )
    monkeypatch.setattr(app._engine._runner, "_can_run", lambda node: node.id != "y")
    app.execute(f"CREATE TABLE y AS {window}")
    assert shared(app, "x", "y") == len(list(steps(app, "y")))
    monkeypatch.setattr("stream_magic.engine.operators.running._FORGET", 1)
    for minutes in (1, 2):
        app.push("a", [{"id": 1, "v": 1.0, "at": START + timedelta(minutes=minutes)}])
        app.step()
    monkeypatch.undo()
    app.step()
    assert shared(app, "x", "y") < len(list(steps(app, "y")))
    assert kept(app, "x") == kept(app, "y")
