"""Queries that stay in a statement over rows: all that they read is in the row, or in caches.

Columns of the row get their names of the plan; what such a query has of its own keeps its names.
"""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from stream_magic.planner.context import Context
from stream_magic.planner.references import is_series, table_name
from stream_magic.planner.scope import OUTER, Scoping
from stream_magic.planner.text import from_items


def is_in_row(node: exp.Expr) -> bool:
    """It reads columns, and no relation."""
    return node.find(exp.Column) is not None and not any(relations(node))


def relations(node: exp.Expr) -> Iterator[exp.Table]:
    """Names and functions in FROM that are to be read from elsewhere."""
    return (t for t in node.find_all(exp.Table) if not is_series(t))


def resolve_in_row(ctx: Context, scope: Scoping, node: exp.Expr) -> None:
    """Names the columns of the row in a query, in place."""
    for column in list(node.find_all(exp.Column)):
        if column.is_star or _is_own(ctx, column, node):
            continue
        found = scope.resolve(list(column.parts))
        if found is not None:
            for c in found.find_all(exp.Column):
                c.meta.pop(OUTER, None)
            column.replace(found)


def _is_own(ctx: Context, column: exp.Column, root: exp.Expr) -> bool:
    """A query within `root` that holds the column gives it."""
    first = column.parts[0].name.lower()
    for select in _selects(column, root):
        is_listed = any(_holds(e, column) for e in select.expressions)
        if not is_listed and any(e.alias.lower() == first for e in select.expressions):
            return True
        for item in from_items(select):
            if len(column.parts) > 1 and item.alias_or_name.lower() == first:
                return True
            if first in _names(ctx, item):
                return True
    return False


def _selects(column: exp.Column, root: exp.Expr) -> Iterator[exp.Select]:
    at: exp.Expr | None = column.parent
    while at is not None:
        if isinstance(at, exp.Select):
            yield at
        at = at.parent if at is not root else None


def _holds(node: exp.Expr, column: exp.Column) -> bool:
    at: exp.Expr | None = column
    while at is not None and at is not node:
        at = at.parent
    return at is node


def _names(ctx: Context, item: exp.Expr) -> set[str]:
    """Names of the columns of an item in FROM, lower case."""
    alias = item.args.get("alias")
    given = alias.args.get("columns") or [] if isinstance(alias, exp.TableAlias) else []
    names = {c.name.lower() for c in given}
    if isinstance(item, exp.Table):
        relation = ctx.catalog.get(table_name(item))
        names |= {n.lower() for n in relation.schema.names} if relation is not None else set()
    elif isinstance(item, exp.Subquery | exp.Lateral) and isinstance(item.this, exp.Query):
        names |= {n.lower() for n in item.this.named_selects}
    return names
