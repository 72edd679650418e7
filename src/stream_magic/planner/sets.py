"""UNION, INTERSECT and EXCEPT: columns of one type each, then rows of all, or rows counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from stream_magic.language.binder import typed_columns
from stream_magic.language.statements import Emit
from stream_magic.planner.columns import SEVERAL, Column, Names
from stream_magic.planner.context import Context, Ctes, Result
from stream_magic.planner.correlated import Links
from stream_magic.planner.logical import Group, Map, Op, Parted, Scan, Stack, move_ends, walk
from stream_magic.planner.scope import Correlated, Scoping

if TYPE_CHECKING:
    from stream_magic.planner.blocks import Blocks


def combine(
    blocks: Blocks, node: exp.SetOperation, ctes: Ctes, parent: Scoping | None = None, *, emit: Emit = "changes",
) -> Result:  # fmt: skip
    """The result of a set operation, without its ORDER BY and LIMIT."""
    ctx = blocks.ctx
    sides = [blocks.query(side, ctes, parent, emit=emit) for side in (node.this, node.expression)]
    if any(not s.is_framed and s.condition is not None for s in sides):
        raise Correlated
    is_by_name = bool(node.args.get("by_name"))
    word = "UNION ALL BY NAME" if is_by_name else "UNION ALL"
    bound = ctx.binder.columns(f" {word} ".join(f"({_empty(r)})" for r in sides))
    columns = [ctx.names.new(n, t) for n, t in zip(bound.names, bound.types, strict=True)]
    links = [(ctx.names.like(c), o) for c, o in sides[0].links]
    parts = [_aligned(ctx.names, r, columns, is_by_name=is_by_name) for r in sides]
    is_distinct = bool(node.args.get("distinct"))
    if isinstance(node, exp.Union):
        ctx.details.append("union")
        return _union(ctx, columns, links, parts, is_distinct=is_distinct)
    word = "INTERSECT" if isinstance(node, exp.Intersect) else "EXCEPT"
    first, second = (", ".join(c.name for c in p.columns) for p in parts)
    body = f"FROM (SELECT {first} FROM _sm_i0 {word}{'' if is_distinct else ' ALL'} SELECT {second} FROM _sm_i1) AS _q({first})"
    given = [*columns, *(c for c, _ in links)]
    parted = Parted(
        given, True, has_order=False, inputs=parts, keys=[list(p.columns) for p in parts],
        key_sql=[c.name for c in parts[0].columns],
        items=[(c, p.name) for c, p in zip(given, parts[0].columns, strict=True)], body=body, rule=f"{word.lower()} by counts",
    )  # fmt: skip
    ctx.details.append(word.lower())
    return Result(parted, columns, links=links, is_framed=bool(links))


def _empty(result: Result) -> str:
    """A SELECT with the result's names and types."""
    return typed_columns([c.label for c in result.columns], [c.type for c in result.columns])


def _union(
    ctx: Context, columns: list[Column], links: Links, parts: list[Op], *, is_distinct: bool
) -> Result:
    for column, *own in zip(columns, *(p.columns for p in parts), strict=False):
        column.is_time = all(c.is_time for c in own)
    _follow_ends(columns, parts)
    op: Op = Stack(
        [*columns, *(c for c, _ in links)], any(p.is_changelog for p in parts), all(p.has_watermark for p in parts),
        max(p.lateness_us for p in parts), _has_order(ctx, parts), all(p.is_settled for p in parts), parts=parts,
    )  # fmt: skip
    if is_distinct:
        op, _ = Group.distinct(ctx.names, op, op.columns)
    shown, linked = op.columns[: len(columns)], op.columns[len(columns) :]
    renamed = [(c, o) for c, (_, o) in zip(linked, links, strict=True)]
    return Result(op, shown, links=renamed, is_framed=bool(links))


def _aligned(names: Names, result: Result, columns: list[Column], *, is_by_name: bool) -> Op:
    """The side's columns in the common order and types."""
    by_label = {c.label.lower(): c for c in result.columns}
    items: list[tuple[Column, exp.Expr]] = []
    for i, c in enumerate(columns):
        own = by_label.get(c.label.lower()) if is_by_name else result.columns[i]
        if own is not None and own.type == c.type:
            items.append((names.like(own), own.ref))
        else:
            value = exp.null() if own is None else own.ref
            items.append((names.new(c.label, c.type), exp.cast(value, c.type, dialect="duckdb")))
    move_ends(
        (c for c, _ in items), {e.name: c.name for c, e in items if isinstance(e, exp.Column)}
    )
    items += [(names.like(c), c.ref) for c, _ in result.links]
    return Map.over(result.op, items)


def _follow_ends(columns: list[Column], parts: list[Op]) -> None:
    """A column says a window if it does so in all parts, and its end is the same column in all of them."""
    for at, column in enumerate(columns):
        found = set()
        for part in parts:
            ends = {c.name: new.name for c, new in zip(part.columns, columns, strict=False)}
            found.add({**ends, SEVERAL: SEVERAL}.get(part.columns[at].window, ""))
        column.window = found.pop() if len(found) == 1 else ""


def _has_order(ctx: Context, parts: list[Op]) -> bool:
    """Rows of different sources have different numbers of arrival; those of one have the same twice."""
    roots = ctx.catalog.roots
    read = [{r for o in walk(p) if isinstance(o, Scan) for r in roots(o.relation)} for p in parts]
    is_apart = sum(map(len, read)) == len(set().union(*read))
    return is_apart and all(p.has_order for p in parts)
