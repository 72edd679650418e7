"""Calls of Python aggregates become calls over the list of a group's values: DuckDB gathers, Python folds."""

from __future__ import annotations

from sqlglot import exp

from stream_magic.contracts.function import Function, Functions
from stream_magic.language.dialect import END, START
from stream_magic.language.python import over_lists
from stream_magic.planner.text import parse_select


def with_folds(ast: exp.Query, functions: Functions) -> exp.Query:
    """A copy of the query in which every Python aggregate is a function of lists."""
    if not any(True for _ in _aggregates(ast, functions)):
        return ast
    copied = ast.copy()
    for call, function in list(_aggregates(copied, functions)):
        _name(call)
        window = call.parent if isinstance(call.parent, exp.Window) else None
        (window or call).replace(_folded(call, function, window))
    return copied


def _aggregates(ast: exp.Query, functions: Functions) -> list[tuple[exp.Anonymous, Function]]:
    found = [(c, functions.get(str(c.this))) for c in ast.find_all(exp.Anonymous)]
    return [(c, f) for c, f in found if f is not None and f.is_aggregate]


def _name(call: exp.Anonymous) -> None:
    """What DuckDB calls a column without a name comes from the text as it is written."""
    item = call.parent if isinstance(call.parent, exp.Window) else call
    if isinstance(item.parent, exp.Select) and item.arg_key == "expressions":
        alias = exp.alias_(exp.null(), item.sql("duckdb"), quoted=True)
        item.replace(alias)
        alias.set("this", item)


def _folded(call: exp.Anonymous, function: Function, window: exp.Window | None) -> exp.Expr:
    given = dict(zip([p.name for p in function.parameters], call.expressions, strict=True))
    folded: exp.Expr = parse_select(f"SELECT {over_lists(function)}").expressions[0]
    for column in list(folded.find_all(exp.Column)):
        column.replace(given[column.name].copy())
    if window is not None:
        for gathered in list(folded.expressions):
            over = window.copy()
            over.set("this", gathered.copy())
            gathered.replace(over)
    for node in (folded, *folded.expressions):
        node.meta.update({k: call.meta[k] for k in (START, END) if k in call.meta})
    return folded
