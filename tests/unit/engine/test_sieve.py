"""Filters of many queries over one source are asked in one statement: each query gives what it gives alone."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from stream_magic import App
from stream_magic.contracts.testkit import ManualClock
from stream_magic.engine.sieve import Sieve

SOURCE = "CREATE SOURCE s (id INT, t VARCHAR, u UUID, l INT[]) WITH (connector = 'memory');"
FILTERS = {
    "plain": "SELECT id, t FROM s WHERE id % 3 = 1",
    "computed": "SELECT id * 2 AS d, upper(t) AS t FROM s WHERE id > 2",
    "null": "SELECT id FROM s WHERE t > 'b'",
    "none": "SELECT id FROM s WHERE id < 0",
    "all": "SELECT * FROM s WHERE true",
    "typed": "SELECT id, u FROM s WHERE u IS NOT NULL AND l[1] = 2",
    "fails in a column": "SELECT CAST(t AS INT) AS i FROM s WHERE id <> 4",
    "a number": "SELECT id FROM s WHERE id * 0.1",
    "grouped": "SELECT t, count(*) AS n FROM s WHERE id > 1 GROUP BY t",
}
FAILS = "SELECT id FROM s WHERE CAST(t AS INT) > 0"
ROWS: list[dict[str, Any]] = [
    {"id": i, "t": t, "u": u, "l": [i]}
    for i, (t, u) in enumerate([("7", None), ("x", None), ("a", "00000000-0000-0000-0000-000000000001"), (None, None), ("c", None)])
]  # fmt: skip


def bag(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(rows.to_pylist(), key=str)


def told(queries: dict[str, str]) -> dict[str, tuple[list[Any], list[Any]]]:
    """What each query gives and what it could not handle, all in one app: bags, in the order of their text."""
    app = App("t", clock=ManualClock("2026-01-01"))
    app.execute(SOURCE + ";".join(f'CREATE STREAM "{n}" AS {q}' for n, q in queries.items()))
    for rows in (ROWS[:3], ROWS[3:], ROWS):
        app.push("s", rows)
        app.step()
    found = {
        n: (bag(app[n].preview(100)), bag(app[f"errors.{n}"].preview(100).select(["code", "raw"])))
        for n in queries
    }  # fmt: skip
    app.close()
    return found


@pytest.mark.parametrize("more", [{}, {"bad": FAILS}], ids=["all are fine", "one fails on a row"])
def test_each_query_gives_what_it_gives_alone(more: dict[str, str]) -> None:
    queries = {n.replace(" ", "_"): q for n, q in (FILTERS | more).items()}
    together = told(queries)
    for name, query in queries.items():
        assert together[name] == told({name: query})[name], name


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many filters were asked at once, each time."""
    found: list[int] = []
    places = Sieve.places

    def noting(sieve: Sieve, rows: Any) -> Any:
        found.append(len(sieve))
        return places(sieve, rows)

    monkeypatch.setattr(Sieve, "places", noting)
    return found


def test_all_filters_are_asked_once_an_epoch(asked: list[int]) -> None:
    app = App("t")
    app.execute(SOURCE + ";".join(f"CREATE STREAM q{i} AS SELECT id FROM s WHERE id = {i}" for i in range(5)))  # fmt: skip
    app.push("s", ROWS)
    app.step()
    assert asked == [5]
    app.execute("DROP q0; DROP q1; DROP q2; DROP q3")
    app.push("s", ROWS)
    app.step()
    assert asked == [5], "a filter that is alone is asked by its own statement"
    assert app["q4"].preview().column("id").to_pylist() == [4, 4]


def test_what_answers_differently_each_time_is_not_asked_twice(asked: list[int]) -> None:
    app = App("t")
    app.execute(SOURCE + ";".join(f"CREATE STREAM q{i} AS SELECT id FROM s WHERE random() < 0.5" for i in range(3)))  # fmt: skip
    app.push("s", ROWS)
    app.step()
    assert asked == []
