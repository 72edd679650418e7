"""Python functions in queries; DuckDB itself calls the same ones in the twins."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic import udf
from stream_magic.app.session import session
from stream_magic.contracts.function import Function
from stream_magic.language.python import install
from support.grammar.clauses import distinct, grouped, projection, qualify, top, unnested
from support.grammar.draw import Draw
from support.grammar.joins import join
from support.grammar.over import over
from support.grammar.select import Query
from support.grammar.subqueries import cte, nested, set_operation, subquery
from support.grammar.windows import session as sessions
from support.grammar.windows import windowed
from support.sources import oracle

_FORMS = (projection, projection, grouped, grouped, distinct, join, over, qualify, top, unnested, subquery, nested, cte,
          set_operation, windowed, sessions)  # fmt: skip
_TRIES = 20


def python(draw: Draw) -> Query:
    """A query of another form, in which expressions and aggregates call Python functions."""
    draw.has_python = True
    for _ in range(_TRIES):
        before = set(draw.met)
        query = draw.one(_FORMS)(draw)
        if any(name.startswith("python:") for name in draw.met):
            return query
        draw.met = before
    return query


def py_rest(x: int | None) -> int:
    return -1 if x is None else x % 3


def py_text(g: str, x: int) -> str:
    return f"{g}{x}"


def py_half(x: float) -> float | None:
    return None if x > 1 else x / 2


def py_twice(x: pa.Array) -> pa.Array:
    return pc.multiply(x, 2)


def py_list(xs: list[int]) -> list[int]:
    return [x for x in xs if x is not None][::-1]


def py_long(g: str) -> bool:
    return len(g) > 1


def py_most(gs: list[str]) -> str:
    return max(gs, key=len)


def py_dot(xs: list[int], ys: list[int]) -> int:
    return sum(x * y for x, y in zip(xs, ys, strict=True))


@contextmanager
def defined() -> Iterator[None]:
    """While it lasts the functions are known, in all apps."""
    known = session().functions
    for function in _made():
        known.put(function.name, function)
    try:
        yield
    finally:
        for function in _made():
            known.put(function.name, None)


@functools.cache
def _made() -> tuple[Function, ...]:
    """Defined once; the oracle has them from then on."""
    for scalar in (py_rest, py_text, py_half, py_list, py_long):
        udf(scalar)
    udf(deterministic=True, vectorized=True, types={"x": "DOUBLE"}, returns="DOUBLE")(py_twice)
    for aggregate in (py_most, py_dot):
        udf(aggregate=True)(aggregate)
    made = tuple(f for f in session().functions if f.name.startswith("py_"))
    for function in made:
        install(oracle(), function)
    return made
