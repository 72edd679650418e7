"""A projection asks DuckDB for the columns that it makes, and hands the others on as they came."""

from __future__ import annotations

import pytest

from stream_magic import App
from stream_magic.engine.dataflow import QueryNode
from stream_magic.planner.nodes import Compute

SOURCE = "CREATE SOURCE s (id INT, v INT, t VARCHAR, u UUID, l INT[]) WITH (connector = 'memory');"
ROWS = [{"id": i, "v": v, "t": t, "l": [i, i]} for i, (v, t) in enumerate([(3, "7"), (None, "x"), (1, "9")])]  # fmt: skip


@pytest.fixture
def app() -> App:
    app = App("t")
    app.execute(SOURCE)
    return app


def planned(app: App, query: str) -> Compute:
    app.execute(f"CREATE STREAM q AS {query}")
    node = app._engine.flow["q"]
    assert isinstance(node, QueryNode)
    assert isinstance(node.plan.root, Compute)
    return node.plan.root


def test_only_made_columns_are_asked_for(app: App) -> None:
    plan = planned(app, "SELECT id, v + 1 AS w, t FROM s")
    assert [bool(p) for p in plan.picked] == [True, False, True, True]
    assert '"w"' in plan.made_sql
    assert '"t"' not in plan.made_sql
    app.push("s", ROWS)
    app.step()
    assert app["q"].preview(9).to_pylist() == [
        {"id": 0, "w": 4, "t": "7"}, {"id": 1, "w": None, "t": "x"}, {"id": 2, "w": 2, "t": "9"},
    ]  # fmt: skip


@pytest.mark.parametrize(
    "query",
    ["SELECT id, v + 1 AS w FROM s WHERE v > 1", "SELECT id, unnest(l) AS e FROM s", "SELECT id + 1 AS i FROM s WHERE true"],
)  # fmt: skip
def test_rows_that_are_not_one_for_one_are_left_to_duckdb(app: App, query: str) -> None:
    assert planned(app, query).picked == ()


def test_a_row_that_fails_is_an_error_and_the_others_keep_their_columns(app: App) -> None:
    planned(app, "SELECT id, CAST(t AS INT) AS i FROM s")
    app.push("s", ROWS)
    app.step()
    assert app["q"].preview(9).to_pylist() == [{"id": 0, "i": 7}, {"id": 2, "i": 9}]
    assert app["errors.q"].preview(9).num_rows == 1


@pytest.mark.parametrize(
    "query", ["SELECT id, u FROM s", "SELECT u, id + 1 AS i FROM s", "SELECT u FROM s WHERE id < 9"]
)
def test_a_type_that_arrow_does_not_carry_is_cast(app: App, query: str) -> None:
    planned(app, query)
    app.push(
        "s", [{"id": 1, "u": "ABCDEF00-0000-0000-0000-000000000001"}, {"id": 2, "u": "nonsense"}]
    )
    app.step()
    assert app["q"].preview(9).column("u").to_pylist() == ["abcdef00-0000-0000-0000-000000000001"]
    assert app["errors.q"].preview(9).num_rows == 1
