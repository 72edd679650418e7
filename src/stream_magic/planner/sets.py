"""UNION, INTERSECT and EXCEPT: columns of one type each, then rows of all, or rows counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from stream_magic.planner.context import Ctes, Result
from stream_magic.planner.logical import Column, Group, Map, Op, Parted, Stack

if TYPE_CHECKING:
    from stream_magic.planner.block import Blocks


def combine(blocks: Blocks, node: exp.SetOperation, ctes: Ctes) -> Result:
    """The result of a set operation, without its ORDER BY and LIMIT."""
    ctx = blocks.ctx
    left = blocks.query(node.this, ctes)
    right = blocks.query(node.expression, ctes)
    is_by_name = bool(node.args.get("by_name"))
    word = "UNION ALL BY NAME" if is_by_name else "UNION ALL"
    sides = []
    for r in (left, right):
        casts = ", ".join(
            f'CAST(NULL AS {c.type}) AS "{c.label.replace(chr(34), chr(34) * 2)}"'
            for c in r.columns
        )
        sides.append(f"SELECT {casts}")
    bound = ctx.binder.columns(f"{sides[0]} {word} {sides[1]}")
    columns = [ctx.names.new(n, t) for n, t in zip(bound.names, bound.types, strict=True)]
    parts = [_aligned(blocks, r, columns, is_by_name=is_by_name) for r in (left, right)]
    is_distinct = bool(node.args.get("distinct"))
    if isinstance(node, exp.Union):
        op: Op = Stack(
            columns, any(p.is_changelog for p in parts), all(p.has_watermark for p in parts),
            max(p.lateness_us for p in parts), all(p.has_order for p in parts), parts=parts,
        )  # fmt: skip
        _keep_roles(columns, parts)
        ctx.details.append("union")
        return _distinct(blocks, op) if is_distinct else Result(op, columns)
    word = "INTERSECT" if isinstance(node, exp.Intersect) else "EXCEPT"
    first, second = (", ".join(c.name for c in p.columns) for p in parts)
    names = ", ".join(c.name for c in parts[0].columns)
    body = f"FROM (SELECT {first} FROM _sm_i0 {word}{'' if is_distinct else ' ALL'} SELECT {second} FROM _sm_i1) AS _q({names})"
    parted = Parted(
        columns, True, has_order=False, inputs=parts, keys=[list(p.columns) for p in parts],
        key_sql=[c.name for c in parts[0].columns],
        items=[(c, p.name) for c, p in zip(columns, parts[0].columns, strict=True)], body=body, rule=f"{word.lower()} by counts",
    )  # fmt: skip
    ctx.details.append(word.lower())
    return Result(parted, columns)


def _distinct(blocks: Blocks, op: Op) -> Result:
    pairs = [(blocks.ctx.names.like(c), c) for c in op.columns]
    columns = [n for n, _ in pairs]
    group = Group(
        list(columns),
        True,
        has_order=False,
        lateness_us=op.lateness_us,
        input=op,
        keys=pairs,
        calls=[],
    )
    return Result(group, columns)


def _aligned(blocks: Blocks, result: Result, columns: list[Column], *, is_by_name: bool) -> Op:
    """The side's columns in the common order and types."""
    ctx, op = blocks.ctx, result.op
    by_label = {c.label.lower(): c for c in result.columns}
    items: list[tuple[Column, exp.Expr]] = []
    for i, c in enumerate(columns):
        own = by_label.get(c.label.lower()) if is_by_name else result.columns[i]
        if own is None:
            items.append(
                (ctx.names.new(c.label, c.type), exp.cast(exp.null(), c.type, dialect="duckdb"))
            )
        elif own.type == c.type:
            items.append((ctx.names.like(own), own.ref))
        else:
            items.append(
                (ctx.names.new(c.label, c.type), exp.cast(own.ref, c.type, dialect="duckdb"))
            )
    return Map(
        [c for c, _ in items], op.is_changelog, op.has_watermark, op.lateness_us, op.has_order, input=op, items=items
    )  # fmt: skip


def _keep_roles(columns: list[Column], parts: list[Op]) -> None:
    """A column is the watermarked time, or a window's end, if it is so on all sides."""
    for i, column in enumerate(columns):
        own = [p.columns[i] for p in parts]
        column.is_time = all(c.is_time for c in own)
