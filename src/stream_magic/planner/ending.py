"""The end of a SELECT: its columns, DISTINCT, ORDER BY with LIMIT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlglot import exp

from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context, Result
from stream_magic.planner.logical import Group, Map, Op, move_ends, renamed
from stream_magic.planner.order import arrival
from stream_magic.planner.over import first_of_each, top

Links = list[tuple[Column, exp.Expr]]


@dataclass
class Expressions:
    """All expressions of a SELECT behind WHERE, resolved."""

    outputs: list[exp.Expr]
    having: list[exp.Expr]
    qualify: list[exp.Expr]
    order: list[exp.Expr]
    on: list[exp.Expr]

    def all(self) -> list[exp.Expr]:
        return [*self.outputs, *self.having, *self.qualify, *self.order, *self.on]

    def changed(self, expressions: list[exp.Expr]) -> Expressions:
        """The same with others, in the order of `all`."""
        rest = iter(expressions)
        clauses = (self.outputs, self.having, self.qualify, self.order, self.on)
        return Expressions(*([next(rest) for _ in clause] for clause in clauses))


class Ending:
    """What is done with the rows of a SELECT before they are its result.

    Args:
        op: gives the rows.
        links: columns of it that equal outer expressions, if the SELECT is a correlated subquery.
        residual: its further conditions over outer columns.
    """

    def __init__(self, ctx: Context, select: exp.Select, op: Op, links: Links, residual: list[exp.Expr]) -> None:  # fmt: skip
        self._ctx = ctx
        self._select = select
        self._op = op
        self._links = links
        self._residual = residual
        self._columns: list[Column] = []

    def result(
        self, names: list[str], expressions: Expressions, order: list[exp.Ordered],
        keys: tuple[str, ...] | None, empty: list[exp.Expr] | None,
    ) -> Result:  # fmt: skip
        """The result.

        Args:
            names: of its columns.
            expressions: over the operation's columns.
            order: of the rows; its keys are `expressions.order`.
            keys: the grouping columns, see `Result`.
            empty: what the columns are over no input, if there is exactly one row.
        """
        places = self._project(names, expressions)
        sorts = [
            resorted(o, places[e.sql("duckdb")].ref)
            for o, e in zip(order, expressions.order, strict=True)
        ]
        sorts = self._distinct([places[e.sql("duckdb")] for e in expressions.on], sorts)
        over_nothing = {c.name: e for c, e in zip(self._columns, empty or (), strict=False)}
        limit, offset = self._select.args.get("limit"), self._select.args.get("offset")
        is_limited = (limit is not None or offset is not None) and not (
            empty is not None and lets_one(self._select)
        )
        if is_limited:
            links = [c for c, _ in self._links]
            op = top(self._ctx, self._op, sorts, self._columns, limit, offset, links)
            self._go_on(op, dict(zip((c.name for c in self._op.columns), op.columns, strict=True)))
        return Result(
            self._op, self._columns, keys, self._links, self._residual,
            is_single=empty is not None and not is_limited, empty=over_nothing,
        )  # fmt: skip

    def _project(self, names: list[str], expressions: Expressions) -> dict[str, Column]:
        """Makes the columns; the ends of their windows, and what a subquery is linked by, come along. Columns by their text."""
        ctx, outputs = self._ctx, expressions.outputs
        known = {c.name: c for c in self._op.columns}
        self._columns = [
            ctx.names.like(known[e.name], n) if isinstance(e, exp.Column) and e.name in known else ctx.names.new(n, t)
            for n, e, t in zip(names, outputs, ctx.types(outputs, self._op.columns), strict=True)
        ]  # fmt: skip
        items = list(zip(self._columns, outputs, strict=True))
        moved = {e.name: c for c, e in items if isinstance(e, exp.Column)}
        carried = {c.name: ctx.names.like(c) for c in self._carried(known, moved)}
        ends = {old: c.name for old, c in {**carried, **moved}.items()}
        move_ends([*self._columns, *carried.values()], ends)
        items += [(c, known[n].ref) for n, c in carried.items()]
        for e in (*expressions.order, *expressions.on):
            if e not in outputs:
                column = ctx.names.new(e.sql("duckdb"), ctx.types([e], self._op.columns)[0])
                items.append((column, e.copy()))
        self._op = Map.over(self._op, items)
        self._links = [(carried[c.name], o) for c, o in self._links]
        self._residual = [renamed(r, carried) for r in self._residual]
        return {e.sql("duckdb"): c for c, e in reversed(items)}

    def _carried(self, known: Mapping[str, Column], moved: Mapping[str, Column]) -> list[Column]:
        ends = [
            known[c.window] for c in self._columns if c.window in known and c.window not in moved
        ]
        inner = sorted(
            {c.name for r in self._residual for c in r.find_all(exp.Column)} & known.keys()
        )
        return list(
            dict.fromkeys([*ends, *(c for c, _ in self._links), *(known[n] for n in inner)])
        )

    def _distinct(self, ons: list[Column], sorts: list[exp.Ordered]) -> list[exp.Ordered]:
        """DISTINCT and DISTINCT ON; the sort keys over the columns behind it."""
        ctx, op = self._ctx, self._op
        links = [c for c, _ in self._links]
        if ons:
            by_arrival = [arrival()] if op.has_order else []
            first = first_of_each(op, [*links, *ons], sorts or by_arrival, ctx.names)
            moved = dict(zip((c.name for c in op.columns), first.columns, strict=True))
            self._go_on(first, moved)
        elif self._select.args.get("distinct") is not None:
            group, moved = Group.distinct(ctx.names, op, [*self._columns, *links])
            self._go_on(group, moved)
        else:
            return sorts
        return [resorted(s, renamed(s.this, moved)) for s in sorts]

    def _go_on(self, op: Op, moved: Mapping[str, Column]) -> None:
        """With an operation that gives the columns under other names."""
        self._op = op
        self._columns = [moved[c.name] for c in self._columns]
        self._links = [(moved[c.name], o) for c, o in self._links]


def lets_one(select: exp.Select) -> bool:
    """Its LIMIT and OFFSET let a single row through."""
    limit = select.args.get("limit")
    count = limit.expression if limit is not None else None
    is_enough = isinstance(count, exp.Literal) and not count.is_string and str(count.this) != "0"
    return (limit is None or is_enough) and select.args.get("offset") is None


def resorted(order: exp.Ordered, key: exp.Expr) -> exp.Ordered:
    """The same direction over another key."""
    copied = order.copy()
    copied.set("this", key.copy())
    return copied
