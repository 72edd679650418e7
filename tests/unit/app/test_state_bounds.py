"""EXPLAIN ANALYZE counts what happened, and the state bound that EXPLAIN says is the one that is kept."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from stream_magic import App
from stream_magic.contracts.testkit import ManualClock
from stream_magic.engine.dataflow import QueryNode
from stream_magic.errors import LanguageError

SOURCES = """
CREATE SOURCE a (id INT, v INT, at TIMESTAMP, WATERMARK FOR at AS at - INTERVAL 5 SECONDS) WITH (connector = 'memory');
CREATE SOURCE b (id INT, w INT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL 5 SECONDS) WITH (connector = 'memory');
"""
TOTALS = "CREATE TABLE totals AS SELECT id, sum(v) AS total FROM a GROUP BY id;"
START = datetime(2026, 1, 1, tzinfo=UTC).replace(tzinfo=None)

BOUNDED = {
    "interval join": "SELECT a.id, v, w FROM a JOIN b ON a.id = b.id AND a.at BETWEEN b.ts - INTERVAL 10 SECONDS AND b.ts + INTERVAL 10 SECONDS",
    "versions": "SELECT a.id, v, w FROM a JOIN b FOR SYSTEM_TIME AS OF a.at AS b ON a.id = b.id",
    "versions kept by LEFT": "SELECT a.id, v, w FROM a LEFT JOIN b FOR SYSTEM_TIME AS OF a.at AS b ON a.id = b.id",
    "window join": "SELECT a.id, v, w FROM TUMBLE(a, at, INTERVAL 10 SECONDS) AS a JOIN TUMBLE(b, ts, INTERVAL 10 SECONDS) AS b ON a.id = b.id AND a.window_end = b.window_end",
    "window close": "SELECT window_end, id, sum(v) AS s FROM TUMBLE(a, at, INTERVAL 10 SECONDS) GROUP BY window_end, id EMIT ON WINDOW CLOSE",
    "window changes": "SELECT window_end, id, sum(v) AS s FROM TUMBLE(a, at, INTERVAL 10 SECONDS) GROUP BY window_end, id",
    "window of rows": "SELECT window_end, count(DISTINCT v) AS n FROM TUMBLE(a, at, INTERVAL 10 SECONDS) GROUP BY window_end EMIT ON WINDOW CLOSE",
    "keys": "SELECT id, sum(v) AS s FROM a GROUP BY id",
    "one row": "SELECT sum(v) AS s FROM a",
    "changelog": "SELECT max(total) AS m FROM totals",
    "top rows of a changelog": "SELECT id, total FROM totals ORDER BY total DESC LIMIT 3",
}
GROWING = {
    "join": "SELECT a.id, v, w FROM a JOIN b ON a.id = b.id AND a.v = b.w",
    "distinct": "SELECT id, count(DISTINCT v) AS n FROM a GROUP BY id",
    "over": "SELECT id, v, lag(v) OVER (PARTITION BY id ORDER BY v) AS l FROM a",
}


@pytest.fixture(autouse=True)
def _forgets_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_magic.engine.operators.join._FORGET_ROWS", 100)
    monkeypatch.setattr("stream_magic.engine.operators.running._FORGET", 10)


def kept(query: str) -> tuple[str, Callable[[int], list[int]]]:
    """What EXPLAIN says of a query, and a function that runs epochs and gives the rows kept after each."""
    app = App("t", clock=ManualClock("2026-01-01"))
    app.execute(f"SET retention = '10 rows'; {SOURCES}")
    if "totals" in query:
        app.execute(TOTALS)
    app.execute(f"CREATE STREAM q AS {query}")
    node = app._engine.flow["q"]
    assert isinstance(node, QueryNode)
    at = 0

    def run(epochs: int) -> list[int]:
        nonlocal at
        found = []
        for _ in range(epochs):
            moment = START + timedelta(seconds=5 * at)
            app.push("a", [{"id": i % 7, "v": at, "at": moment} for i in range(20)])
            app.push("b", [{"id": i % 7, "w": at, "ts": moment} for i in range(20)])
            app.step()
            at += 1
            text = app.execute("EXPLAIN ANALYZE q")
            found.append(sum(int(n.replace(",", "")) for n in re.findall(r"keeps ([\d,]+)", text)))
        return found

    return app.execute("EXPLAIN q"), run


@pytest.mark.parametrize("query", BOUNDED.values(), ids=BOUNDED)
def test_bounded_state_stays_flat(query: str) -> None:
    text, run = kept(query)
    assert "for ever" not in text
    early, late = max(run(12)), max(run(12))
    assert 0 < late <= early


@pytest.mark.parametrize("query", GROWING.values(), ids=GROWING)
def test_state_that_grows_is_said_to_grow(query: str) -> None:
    text, run = kept(query)
    assert "state grows for ever: " in text
    assert max(run(5)) < max(run(5)) / 1.9


def test_what_grows_for_ever_is_a_warning_when_the_query_is_created() -> None:
    app = App("t")
    app.execute(SOURCES)
    assert app.warnings == []
    app.execute("CREATE STREAM j AS SELECT a.id, v, w FROM a JOIN b ON a.id = b.id")
    bound = "a.at BETWEEN b.ts - INTERVAL 10 SECONDS AND b.ts + INTERVAL 10 SECONDS"
    what = "j: rows of a and b are kept for ever: add a time bound between a and b"
    assert app.warnings == [f"{what}: {bound}"]


def test_what_ends_does_not_grow_for_ever() -> None:
    app = App("t")
    app.execute(
        "CREATE SOURCE g WITH (connector = 'generator', template = 'shop_orders', rows = 10)"
    )
    column = app.schema("g").names[0]
    app.execute(f"CREATE TABLE d AS SELECT count(DISTINCT {column}) AS n FROM g")
    assert app.warnings == []


def test_explain_analyze_counts_rows_time_and_state() -> None:
    app = App("t", clock=ManualClock("2026-01-01"))
    app.execute(SOURCES + TOTALS)
    app.push("a", [{"id": i % 2, "v": i, "at": START} for i in range(10)])
    app.step()
    lines = app.execute("EXPLAIN ANALYZE totals").splitlines()
    shown = [
        re.sub(r"\d[\d.]* (ms|bytes|kB)", r"N \1", line.partition("): ")[2]) for line in lines[1:4]
    ]
    assert shown == [
        "2 rows in, 2 out, N ms",
        "10 rows in, 2 out, N ms, keeps 2 rows, N kB",
        "in one statement with what reads it",
    ]
    with pytest.raises(LanguageError, match="SM2040"):
        app.execute("EXPLAIN ANALYZE SELECT id FROM a")
