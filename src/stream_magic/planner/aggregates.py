"""Aggregates: which functions are some, what order they go by, what cannot be settled."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

# Their result depends on the order of rows: they go by arrival.
BY_ARRIVAL = frozenset(
    {
        "first",
        "last",
        "any_value",
        "arbitrary",
        "list",
        "array_agg",
        "string_agg",
        "group_concat",
        "listagg",
    }
)
# Rows that tie make their result: ties are broken by the row's columns.
TIED = frozenset(
    {"arg_max", "arg_max_null", "arg_max_nulls_last", "arg_min", "arg_min_null", "arg_min_nulls_last", "mode",
     "approx_top_k"}
)  # fmt: skip
# They go through their values one by one, which are sorted first.
BY_VALUE = frozenset({"approx_quantile", "lttb"})
# Their states hold the values themselves: they are merged, and grow as the rows do.
HOLDS_VALUES = frozenset({"mad", "median", "quantile", "quantile_cont", "quantile_disc"})
# Samples make DuckDB's answer depend on how it ran.
UNSETTLED = {"reservoir_quantile": "use quantile_cont(x, q), which is exact"}


class AggregateFinder:
    """Knows an aggregate when it sees one."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def find(self, node: exp.Expr) -> Iterator[exp.Expr]:
        """Aggregates in an expression, outermost first, not those of subqueries, nor window functions."""
        if isinstance(node, exp.Query):
            return
        if self.is_aggregate(node):
            yield node
            return
        below = list(node.iter_expressions())
        if isinstance(node, exp.Window):  # sum(sum(x)) OVER (...): the inner one
            core = aggregate_core(node.this)
            below = [*core.iter_expressions(), *(e for e in below if e is not node.this)]
        for child in below:
            yield from self.find(child)

    def is_aggregate(self, node: exp.Expr) -> bool:
        core = aggregate_core(node)
        return isinstance(core, exp.Func) and function_name(core) in self._names


def aggregate_core(node: exp.Expr) -> exp.Expr:
    """The call inside FILTER, IGNORE NULLS or WITHIN GROUP."""
    while isinstance(node, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        node = node.this
    return node


def function_name(node: exp.Expr) -> str:
    """DuckDB's name of a function, lower case."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    return node.sql("duckdb").partition("(")[0].strip().lower()


def order_of(node: exp.Expr) -> exp.Order | None:
    """The ORDER BY inside an aggregate, also behind WITHIN GROUP."""
    call = node.this if isinstance(node, exp.Filter) else node
    inside = (
        [call.expression]
        if isinstance(call, exp.WithinGroup)
        else aggregate_core(call).iter_expressions()
    )
    return next((v for v in inside if isinstance(v, exp.Order)), None)


def with_order(core: exp.Expr, keys: Sequence[exp.Ordered]) -> None:
    """Puts an ORDER BY into a call that has none; no keys, as of constants, are no order."""
    if not keys:
        return
    last = list(core.iter_expressions())[-1]
    last.replace(exp.Order(this=last.copy(), expressions=list(keys)))


def arguments_of(core: exp.Expr) -> Iterator[exp.Expr]:
    """The arguments of a call, those inside DISTINCT and before ORDER BY too."""
    for value in core.iter_expressions():
        inner = value.this if isinstance(value, exp.Order) else value
        if isinstance(inner, exp.Distinct):
            yield from inner.expressions
        elif inner is not None and not isinstance(inner, exp.Star):
            yield inner
