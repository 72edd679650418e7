"""Python functions in DuckDB: their types, for whoever binds a query; and themselves, for a snapshot.

An aggregate is a macro over the lists of a group's values, and a function of those lists.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import duckdb
import pyarrow as pa
from duckdb.func import FunctionNullHandling, PythonUDFType

from stream_magic.contracts.function import Function, Functions

_LISTS = "_sm_lists_"  # and an aggregate's name: the function of lists behind it


def over_lists(function: Function) -> str:
    """What an aggregate means, as a call over lists of its parameters' values; NULLs it does not take are left out."""
    names = [p.name for p in function.parameters]
    strict = [f'"{p.name}" IS NOT NULL' for p in function.parameters if not p.takes_null]
    where = f" FILTER (WHERE {' AND '.join(strict)})" if strict else ""
    order = ", ".join(f'"{n}"' for n in names)
    lists = ", ".join(f'list("{n}" ORDER BY {order}){where}' for n in names)
    return f"{sql_name(function)}({lists})"


def sql_name(function: Function) -> str:
    """The name under which rows of arguments are handed to it."""
    return f"{_LISTS}{function.name}" if function.is_aggregate else function.name


def called(functions: Functions, name: str) -> Function | None:
    """The function that a call of this name in a plan means."""
    function = functions.get(name.lower().removeprefix(_LISTS))
    return function if function is not None and sql_name(function) == name.lower() else None


def declare(con: duckdb.DuckDBPyConnection, function: Function) -> None:
    """Makes the types known; calls over no rows succeed."""
    _create(con, function, lambda *columns: pa.nulls(len(columns[0]), function.arrow))


def install(con: duckdb.DuckDBPyConnection, function: Function) -> None:
    """Makes the function itself known."""

    def call(*columns: Any) -> pa.Array:
        arrays = [c.combine_chunks() if isinstance(c, pa.ChunkedArray) else c for c in columns]
        applied = function.apply(arrays, len(arrays[0]))
        for failure in applied.failures.values():
            raise ValueError(failure)
        return applied.values

    _create(con, function, call)


def remove(con: duckdb.DuckDBPyConnection, function: Function) -> None:
    if function.is_aggregate:
        con.execute(f'DROP MACRO "{function.name}"')
    con.remove_function(sql_name(function))


def _create(con: duckdb.DuckDBPyConnection, function: Function, call: Callable[..., Any]) -> None:
    if not function.takes:
        con.create_function(function.name, function.python, [], function.returns, side_effects=True)
        return
    place = inspect.Parameter.POSITIONAL_ONLY
    call.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter(p.name, place) for p in function.parameters]
    )
    con.create_function(
        sql_name(function), call, list(function.takes), function.returns,
        type=PythonUDFType.ARROW, null_handling=FunctionNullHandling.SPECIAL,
    )  # fmt: skip
    if function.is_aggregate:
        typed = ", ".join(f'"{p.name}" {p.type}' for p in function.parameters)
        con.execute(f'CREATE MACRO "{function.name}"({typed}) AS {over_lists(function)}')
