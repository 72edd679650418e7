"""Subqueries that read the row around them.

`inner = outer` in the WHERE of a subquery is a link: the subquery is planned for all rows at once, and
joined to the rows around by its links. Any other correlation puts the row around into the subquery:
each different row of the columns that it asks for is a side of its FROM (a `Frame`), all that it
computes is computed for each of them, and its result is joined by those columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from stream_magic.language.statements import Emit
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Ctes, Result
from stream_magic.planner.logical import Given, Group, Op, extended, used
from stream_magic.planner.scope import OUTER, Correlated, Frame, Scope, Scoping

if TYPE_CHECKING:
    from stream_magic.planner.blocks import Blocks

Links = list[tuple[Column, exp.Expr]]


def plan_inside(
    blocks: Blocks, op: Op, query: exp.Expr, ctes: Ctes, scope: Scoping, *,
    takes_conditions: bool = True, takes_defaults: bool = True, emit: Emit = "changes",
) -> Result:  # fmt: skip
    """A query inside of another.

    Args:
        blocks: plans it.
        op: gives the rows around.
        query: what is asked for each of them.
        ctes: that it may read.
        scope: names of the rows around.
        takes_conditions: it may be joined by other conditions than its links.
        takes_defaults: where there is nothing to join, its one row over no rows is taken.
        emit: of the query around, if this one stands in its FROM.
    """
    try:
        result = blocks.query(query, ctes, scope, emit=emit)
        has_default = result.is_single and bool(result.links)
        if (takes_conditions or not result.residual) and (takes_defaults or not has_default):
            return result
    except Correlated:
        pass
    names = blocks.ctx.names
    every = {c.name: names.like(c) for c in op.columns}
    probe = Frame(scope, every, op=Given(list(every.values()), select=exp.select("1")))
    blocks.query(query, ctes, probe)
    rows, moved = Group.distinct(names, op, [c for c in op.columns if c.name in probe.asked])
    return blocks.query(query, ctes, Frame(scope, moved, op=rows))


def split_links(
    blocks: Blocks, parts: list[exp.Expr], scope: Scope
) -> tuple[list[tuple[exp.Expr, exp.Expr]], list[exp.Expr]]:
    """Splits `inner = outer` off a correlated WHERE: both sides of each, and what is left."""
    links: list[tuple[exp.Expr, exp.Expr]] = []
    rest: list[exp.Expr] = []
    for part in parts:
        link = None
        if isinstance(part, exp.EQ) and part.find(exp.Query) is None:
            with scope.seeing_outer():
                a, b = (blocks.resolve(e, scope) for e in (part.this, part.expression))
            for inner, outer in ((a, b), (b, a)):
                if is_outer(outer) and not has_outer(inner) and used([inner]):
                    link = (inner, outer)
        if link is None:
            rest.append(part)
        else:
            links.append(link)
    return links, rest


def with_links(
    blocks: Blocks, op: Op, links: Sequence[tuple[exp.Expr, exp.Expr]]
) -> tuple[Op, Links]:
    """The operation with a column for the inner side of each link, beside the outer sides.

    They come after the conditions: of a comma join those are what joins it.
    """
    made = [
        (
            blocks.ctx.names.new(
                blocks.ctx.shown(inner, op.columns), blocks.ctx.types([inner], op.columns)[0]
            ),
            inner,
        )
        for inner, _ in links
    ]
    outer = [o for _, o in links]
    return extended(op, made), [(c, o) for (c, _), o in zip(made, outer, strict=True)]


def is_outer(e: exp.Expr) -> bool:
    """It reads the row around, and nothing else."""
    columns = list(e.find_all(exp.Column))
    return bool(columns) and all(c.meta.get(OUTER) for c in columns)


def has_outer(e: exp.Expr) -> bool:
    return any(c.meta.get(OUTER) for c in e.find_all(exp.Column))
