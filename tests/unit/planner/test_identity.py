"""Nodes of different queries that do the same have the same key, and no others."""

from __future__ import annotations

import pytest

from stream_magic import App
from stream_magic.engine.dataflow import QueryNode
from stream_magic.planner.identity import keys

SOURCES = """
CREATE SOURCE s (id INT, v INT, t VARCHAR, r STRUCT(a INT, b INT)) WITH (connector = 'memory');
CREATE SOURCE z (id INT, w INT) WITH (connector = 'memory');
CREATE SOURCE odd (_c1 INT, _c2 INT) WITH (connector = 'memory');
"""


@pytest.fixture(scope="module")
def app() -> App:
    app = App("t")
    app.execute(SOURCES)
    return app


def shared(app: App, one: str, other: str) -> int:
    """How many nodes two queries have in common, what they read not counted."""
    found = []
    for name, query in (("q", one), ("r", other)):
        app.execute(f"CREATE STREAM {name} AS {query}")
        node = app._engine.flow[name]
        assert isinstance(node, QueryNode)
        named = keys(node.plan.root, can_share=node.plan.can_share).values()
        found.append({k for k in named if not k.startswith("read ")})
    return len(found[0] & found[1])


EQUAL = {
    "the same text": ("SELECT v, count(*) AS n FROM s GROUP BY v",) * 2,
    "names behind the group": (
        "SELECT v, count(*) AS n FROM s GROUP BY v",
        "SELECT count(*) AS many, v AS x FROM s GROUP BY v",
    ),
    "a filter behind the group": (
        "SELECT v, count(*) AS n FROM s GROUP BY v",
        "SELECT v, count(*) AS n FROM s GROUP BY v HAVING count(*) > 1",
    ),
    "one column more before": (
        "SELECT id, v FROM s JOIN z USING (id)",
        "SELECT v, id + 1 AS next FROM (SELECT 1 AS one, * FROM s) JOIN z USING (id)",
    ),
}
DIFFERENT = {
    "filter": (
        "SELECT v, count(*) AS n FROM s WHERE id = 1 GROUP BY v",
        "SELECT v, count(*) AS n FROM s WHERE id = 2 GROUP BY v",
    ),
    "column": ("SELECT max(id) AS m FROM s GROUP BY t", "SELECT max(v) AS m FROM s GROUP BY t"),
    "field": ("SELECT max(r.a) AS m FROM s", "SELECT max(r.b) AS m FROM s"),
    "order of columns": (
        "SELECT max(id) AS m, min(v) AS n FROM s",
        "SELECT max(v) AS m, min(id) AS n FROM s",
    ),
    "text": (
        "SELECT count(*) AS n FROM s WHERE t = '_c1'",
        "SELECT count(*) AS n FROM s WHERE t = '_c2'",
    ),
    "source": ("SELECT max(id) AS m FROM s", "SELECT max(id) AS m FROM z"),
    "columns like the planner's": (
        "SELECT max(_c1) AS m FROM odd",
        "SELECT max(_c2) AS m FROM odd",
    ),
    "drawn anew": ("SELECT max(random()) AS m FROM s",) * 2,
}


@pytest.mark.parametrize("pair", EQUAL.values(), ids=EQUAL)
def test_equal_nodes_have_equal_keys(app: App, pair: tuple[str, str]) -> None:
    assert shared(app, *pair) >= 2


@pytest.mark.parametrize("pair", DIFFERENT.values(), ids=DIFFERENT)
def test_other_nodes_have_other_keys(app: App, pair: tuple[str, str]) -> None:
    assert shared(app, *pair) == 0


def test_a_key_stays_short_where_nodes_are_read_twice(app: App) -> None:
    first = "q0 AS (SELECT id, count(*) AS n FROM s GROUP BY id)"
    twice = "SELECT x.id, x.n FROM q{0} AS x JOIN q{0} AS y ON x.id = y.id"
    parts = [first, *(f"q{i} AS ({twice.format(i - 1)})" for i in range(1, 8))]
    app.execute(f"CREATE STREAM deep AS WITH {', '.join(parts)} SELECT id, n FROM q7")
    node = app._engine.flow["deep"]
    assert isinstance(node, QueryNode)
    assert max(map(len, keys(node.plan.root).values())) < 100
