"""Aggregates whose answer hangs on which of equal rows comes first: the order is put into the call (DESIGN 3.3 d).

arg_max(x, y) becomes an arg_min over the sort key of y and all columns of the row: no two rows tie in it
but equal ones, so partial results can be merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlglot import exp

from stream_magic.planner.aggregates import (
    BY_ARRIVAL,
    BY_VALUE,
    TIED,
    aggregate_core,
    arguments_of,
    function_name,
    order_of,
    with_order,
)
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.logical import Op
from stream_magic.planner.order import arrival, sorted_by, ties


def settled(ctx: Context, node: exp.Expr, op: Op, columns: Sequence[Column]) -> exp.Expr:
    """The aggregate with its order written out, if it goes by one.

    Args:
        ctx: of the query.
        node: the call, resolved; it may be changed.
        op: gives the rows.
        columns: of the row that the call sees, for ties.

    Raises:
        PlanError: SM3045 and SM3046, nothing says which row comes first.
    """
    core = aggregate_core(node)
    name = function_name(core)
    if name not in TIED | BY_VALUE | BY_ARRIVAL:
        return node
    order = order_of(node)
    if core.find(exp.Distinct) is not None:
        if order is None:
            with_order(core, _of_different(ctx, node, name))
    elif isinstance(node, exp.WithinGroup):  # mode() WITHIN GROUP (ORDER BY x)
        return _mode(node)
    elif order is not None:
        order.set("expressions", [*order.expressions, *ties(columns, sorted_by(order.expressions))])
    elif (best := _best(ctx, name, list(arguments_of(core)), op, columns)) is not None:
        return _replaced(node, core, best)
    else:
        with_order(core, _keys(ctx, node, name, op, columns))
    return node


def _keys(
    ctx: Context, node: exp.Expr, name: str, op: Op, columns: Sequence[Column]
) -> list[exp.Ordered]:
    if name in BY_VALUE:
        return _ascending(arguments_of(aggregate_core(node)))
    if name in TIED:
        return ties(columns)
    if op.has_order:
        return [arrival()]
    raise ctx.refuse(
        "SM3046", f"{name}(...) goes by arrival, and that is not settled where rows are changed or joined",
        f"say which comes first: {name}(x ORDER BY y)", node,
    )  # fmt: skip


def _of_different(ctx: Context, node: exp.Expr, name: str) -> list[exp.Ordered]:
    """DISTINCT takes no other sort keys than the arguments."""
    if name in BY_ARRIVAL:
        raise ctx.refuse(
            "SM3045", f"{name}(DISTINCT ...) has no settled order",
            f"say which comes first: {name}(DISTINCT x ORDER BY x)", node,
        )  # fmt: skip
    return _ascending(arguments_of(aggregate_core(node)))


def _ascending(arguments: Iterable[exp.Expr]) -> list[exp.Ordered]:
    return [exp.Ordered(this=a.copy(), nulls_first=False) for a in arguments if a.find(exp.Column)]


def _mode(node: exp.WithinGroup) -> exp.Expr:
    """DuckDB's mode() WITHIN GROUP counts the sort key; of equally frequent values the first in its order wins."""
    first = node.expression.expressions[0]
    return exp.Mode(this=exp.Order(this=first.this.copy(), expressions=[first.copy()]))


def _best(
    ctx: Context, name: str, arguments: list[exp.Expr], op: Op, columns: Sequence[Column]
) -> exp.Expr | None:
    """arg_max(x, y) and its kin over a sort key; None for others, and for intervals, whose sort keys tell equal ones apart."""
    if not name.startswith("arg_") or len(arguments) != 2:
        return None
    value, by = arguments
    if "INTERVAL" in ctx.types([by], op.columns)[0]:
        return None
    direction = "DESC" if name.startswith("arg_max") else "ASC"
    sorts = [by.copy(), exp.Literal.string(f"{direction} NULLS LAST")]
    for c in columns:
        sorts += [c.ref, exp.Literal.string("ASC NULLS LAST")]
    key: exp.Expr = exp.Anonymous(this="create_sort_key", expressions=sorts)
    if not name.endswith("_nulls_last"):  # a row without y is none to choose
        is_there = exp.Not(this=exp.Is(this=by.copy(), expression=exp.null()))
        key = exp.Case(ifs=[exp.If(this=is_there, true=key)])
    function = "arg_min_null" if "_null" in name else "arg_min"
    return exp.Anonymous(this=function, expressions=[value.copy(), key])


def _replaced(node: exp.Expr, core: exp.Expr, other: exp.Expr) -> exp.Expr:
    if node is core:
        return other
    core.replace(other)
    return node
