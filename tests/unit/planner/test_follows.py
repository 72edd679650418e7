"""Columns of a plan that follow from others, and groups that are made of them."""

from __future__ import annotations

from datetime import datetime

import pytest

from stream_magic import App
from stream_magic.engine.dataflow import QueryNode
from stream_magic.planner.follows import followers
from stream_magic.planner.nodes import Compute, Node, Read
from stream_magic.planner.parts import Follows

SOURCE = "CREATE SOURCE s (id INT, f DOUBLE, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'memory')"


@pytest.fixture
def app() -> App:
    app = App("t")
    app.execute(SOURCE)
    return app


def chain(app: App, query: str) -> Compute:
    """The lowest statement of a query."""
    app.execute(f"CREATE STREAM q AS {query}")
    node = app._engine.flow["q"]
    assert isinstance(node, QueryNode)
    below: Node = node.plan.root
    while not isinstance(below.inputs[0], Read):
        (below,) = below.inputs
    assert isinstance(below, Compute)
    return below


@pytest.mark.parametrize(
    ("made", "count"),
    [
        ("ts + INTERVAL 1 SECOND", 1),
        ("date_trunc('hour', ts + INTERVAL 1 SECOND)", 1),
        ("epoch_us(ts) + id", 0),
        ("ts + random() * INTERVAL 1 SECOND", 0),
        ("1 / f", 0),
        ("7", 0),
    ],
)
def test_what_follows_is_made_of_one_time_and_constants(app: App, made: str, count: int) -> None:
    assert len(chain(app, f"SELECT ts, id, f, {made} AS x FROM s").follows) == count


def test_a_window_is_grouped_by_its_start(app: App) -> None:
    plan = chain(
        app,
        "SELECT window_start, window_end, count(*) AS n FROM TUMBLE(s, ts, INTERVAL 10 SECONDS) GROUP BY window_start, window_end",
    )
    names = plan.schema.names
    assert len(followers(plan.follows, names)) == 2, "its end, and that as a number"
    times = [datetime(2026, 1, 1, 0, 0, second) for second in (1, 2, 11)]  # noqa: DTZ001
    app.push("s", [{"id": 1, "ts": t} for t in (*times, None)])
    app.step()
    found = app["q"].preview(9).to_pylist()
    assert sorted((r["window_start"].second, r["window_end"].second, r["n"]) for r in found) == [
        (0, 10, 2),
        (10, 20, 1),
    ]
    assert app["errors.q"].preview(9).column("code").to_pylist() == ["SM5002"]


def test_a_root_is_not_made_of_what_follows() -> None:
    found = (Follows("b", "a", "a + 1"), Follows("c", "a", "a + 2"), Follows("c", "b", "b + 1"))
    assert followers(found, ["a", "b", "c"]) == {"b": "a + 1", "c": "a + 2"}
    assert followers(found, ["b", "c"]) == {"c": "b + 1"}
    assert followers(found, ["a"]) == {}
