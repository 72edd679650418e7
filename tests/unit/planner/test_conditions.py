"""What joins a comma join is done within it: a cross product of whole tables is never made."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import sqlglot

import stream_magic
from stream_magic.app.app import App
from stream_magic.language.parser import parse_query
from stream_magic.planner.build import build
from stream_magic.planner.logical import conjuncts
from stream_magic.planner.nodes import Join, Node


@pytest.fixture(scope="module")
def app() -> Iterator[App]:
    app = stream_magic.App("conditions")
    for name in "abc":
        app.execute(
            f"CREATE SOURCE {name} (id INT, k INT, x INT) WITH (connector = 'memory', changelog = true)"
        )
    yield app
    app.close()


@pytest.mark.parametrize(
    ("condition", "parts"),
    [
        ("a AND (b AND c)", ["a", "b", "c"]),
        ("(x = y AND a) OR (b AND x = y)", ["x = y", "a OR b"]),
        ("(x = y AND a AND b) OR (x = y AND c) OR (x = y AND d)", ["x = y", "a AND b OR c OR d"]),
        ("(x = y AND a) OR x = y", ["x = y"]),
        ("(x = y AND a) OR (y = x AND b)", ["x = y AND a OR y = x AND b"]),
        ("(a AND b) OR (a AND c)", ["a AND b OR a AND c"]),
        ("(x = 1 AND a) OR (x = 1 AND b)", ["x = 1 AND a OR x = 1 AND b"]),
    ],
)
def test_equal_columns_of_every_branch_are_conditions_of_their_own(
    condition: str, parts: list[str]
) -> None:
    found = [p.sql() for p in conjuncts(sqlglot.parse_one(condition))]
    assert [p.replace("(", "").replace(")", "") for p in found] == parts


@pytest.mark.parametrize(
    "select",
    [
        "SELECT a.id FROM a, b WHERE (a.k = b.k AND a.x + 1 = 2) OR (a.k = b.k AND b.x + 1 = 3)",
        "SELECT a.id FROM a, b WHERE a.k = b.k AND a.x IN (1, 2) AND CASE WHEN a.x = 1 THEN b.x = 1 ELSE b.x = 2 END",
        "SELECT id FROM a WHERE x = (SELECT min(b.x) FROM b, c WHERE b.id = c.id AND b.k = a.k)",
        "SELECT id FROM a WHERE EXISTS (SELECT 1 FROM b, c WHERE b.id = c.id AND b.k = a.k AND b.x < a.x)",
    ],
)
def test_no_join_is_a_cross_product(app: App, select: str) -> None:
    found = list(_joins(build(parse_query(select), app._catalog, app._binder).root))
    assert found
    assert [j.from_sql for j in found if " = " not in j.from_sql] == []


def _joins(node: Node) -> Iterator[Join]:
    if isinstance(node, Join):
        yield node
    for below in node.inputs:
        yield from _joins(below)
