"""What Python functions give is a column of the input: the rest of the query keeps the law.

The twin calls the same functions from DuckDB itself, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic import udf
from stream_magic.app.session import session
from stream_magic.language.python import install, remove
from support.cases import PROFILE, epochs, rows, source
from support.law import Query, Trial
from support.python_functions import _functions  # noqa: F401
from support.sources import oracle


def p_int(x: int | None) -> int:
    return -1 if x is None else x % 3


def p_text(g: str, x: int) -> str:
    return f"{g}{x}"


def p_half(x: float) -> float | None:
    return None if x > 1 else x / 2


def p_twice(x: pa.Array) -> pa.Array:
    return pc.multiply(x, 2)


def p_list(xs: list[int]) -> list[int]:
    return [x for x in xs if x is not None][::-1]


def p_most(gs: list[str]) -> str:
    return max(gs, key=len)


def p_dot(xs: list[int], ys: list[float]) -> float:
    return sum(x * y for x, y in zip(xs, ys, strict=True))


@pytest.fixture
def known(_functions: None) -> Iterator[None]:  # noqa: F811
    """The functions in stream_magic and in the oracle."""
    for python in (p_int, p_text, p_half, p_list):
        udf(python)
    udf(deterministic=True, vectorized=True, types={"x": "DOUBLE"}, returns="DOUBLE")(p_twice)
    for python in (p_most, p_dot):
        udf(aggregate=True)(python)
    functions = list(session().functions)
    for function in functions:
        install(oracle(), function)
    yield
    for function in functions:
        remove(oracle(), function)


QUERIES = [
    "SELECT id, p_int(id) AS a, p_text(g, id) AS b, p_list(l) AS c FROM s",
    "SELECT p_twice(y) AS a, p_half(p_twice(y)) AS b FROM s WHERE p_int(id) > 0 AND g IS NOT NULL",
    "SELECT CASE WHEN id > 1 THEN p_twice(y) WHEN t THEN p_half(y) END AS a, coalesce(y, p_twice(id)) AS b FROM s",
    "SELECT p_int(id) AS k, count(*) AS n, sum(p_twice(y)) AS t FROM s GROUP BY p_int(id) HAVING p_int(count(*)) > 0",
    "SELECT g, p_most(g) AS m, p_dot(id, y) AS d, count(*) AS n FROM s GROUP BY g",
    "SELECT p_dot(id, y) AS d, p_int(max(id)) AS m FROM s",
    "SELECT id, p_most(g) OVER (PARTITION BY t) AS m FROM s",
    "SELECT id, g, row_number() OVER (PARTITION BY p_int(id) ORDER BY p_twice(y), p_text(g, id), id, g, b, u, x, y, d, t, day, ts, tz, o, l) AS n FROM s",
    "SELECT q.id, p_text(r.g, q.id) AS k FROM s q JOIN s r ON p_int(q.id) = p_int(r.id) AND p_text(q.g, r.id) < 'b'",
    "SELECT q.id, r.id AS other FROM s q LEFT JOIN (SELECT id FROM s WHERE p_int(id) = 1) r ON p_int(q.id) = r.id",
    "SELECT DISTINCT p_int(id) AS k FROM s UNION ALL SELECT p_int(u::INT) FROM s WHERE u < 2",
    "SELECT id, e FROM s, unnest(p_list(l)) AS n(e)",
    "SELECT id FROM s WHERE p_int(id) IN (SELECT p_int(b % 5) FROM s)",
    "WITH q AS (SELECT p_int(id) AS k FROM s) SELECT k, (SELECT count(*) FROM q r WHERE r.k = q.k) AS n FROM q",
]  # fmt: skip


@PROFILE
@pytest.mark.parametrize("query", QUERIES)
@given(epochs)
@pytest.mark.usefixtures("known")
def test_streams_keep_the_law(query: str, pushes: Any) -> None:
    with Trial([source()], [Query(query)]) as trial:
        for pushed in pushes:
            trial.push(pushed)
            trial.step()


@PROFILE
@pytest.mark.parametrize("query", QUERIES)
@given(st.lists(rows, min_size=1, max_size=6), st.randoms(use_true_random=False))
@pytest.mark.usefixtures("known")
def test_changelogs_keep_the_law(query: str, given_rows: Any, order: Any) -> None:
    with Trial([source(options="changelog = true")], [Query(query)]) as trial:
        trial.push(given_rows)
        trial.step()
        back = list(given_rows)
        order.shuffle(back)
        half = len(back) // 2
        trial.push([*back[:half], *given_rows[:1]], [-1] * half + [1])
        trial.step()
        trial.push([*back[half:], *given_rows[:1]], [-1] * (len(back) - half + 1))
        trial.step()
