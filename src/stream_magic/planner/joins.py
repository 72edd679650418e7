"""Streams joined: which side is linear, and which rows a change of another side may touch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from sqlglot import exp

from stream_magic.planner.bounds import equal_ends
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.logical import (
    Leg,
    Map,
    Op,
    Product,
    conjunction,
    conjuncts,
    extended,
    used,
)
from stream_magic.planner.nodes import DELTA
from stream_magic.planner.over import first_of_each

_PLAIN = (
    exp.Column, exp.Identifier, exp.Literal, exp.Boolean, exp.Null, exp.And, exp.Or, exp.Not, exp.Paren,
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Is, exp.Between,
    exp.Interval, exp.Var, exp.Neg, exp.Coalesce, exp.Like, exp.In, exp.Case, exp.If,
)  # fmt: skip


_COMPARES = (
    exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Between, exp.In,
)  # fmt: skip


def is_plain(node: exp.Expr, columns: Sequence[Column]) -> bool:
    """It cannot fail on any row; times less or plus an interval count as plain.

    Args:
        node: an expression.
        columns: that it is over.
    """
    types = {c.name: c.type for c in columns}
    for part in node.walk():
        is_shift = isinstance(part, exp.Add | exp.Sub) and isinstance(part.expression, exp.Interval)
        if not isinstance(part, _PLAIN) and not is_shift:
            return False
        if (
            isinstance(part, _COMPARES)
            and len({t == "VARCHAR" for t in _compared(part, types)}) > 1
        ):
            return False  # DuckDB casts the text
    return True


def _compared(node: exp.Expr, types: Mapping[str, str]) -> Iterator[str]:
    """The types of the columns that a comparison compares."""
    for e in (node.this, node.args.get("expression"), node.args.get("low"), node.args.get("high"), *node.expressions):  # fmt: skip
        if isinstance(e, exp.Column) and e.name in types:
            yield types[e.name]


def _text_cast(node: exp.Expr, columns: Sequence[Column]) -> exp.Expr:
    """A comparison of a text with a column of another type, with the cast that DuckDB makes written out."""
    types = {c.name: c.type for c in columns}
    copied = node.copy()
    for part in copied.find_all(*_COMPARES):
        sides = (part.this, part.args.get("expression"))
        for text, other in (sides, sides[::-1]):
            if not (isinstance(text, exp.Column) and isinstance(other, exp.Column)):
                continue
            kind = types.get(other.name, "VARCHAR")
            if types.get(text.name) == "VARCHAR" and kind != "VARCHAR":
                text.replace(exp.cast(text.copy(), kind, dialect="duckdb"))
                break
    return copied


def join(
    ctx: Context, left: Op, right: Op, kind: str, condition: exp.Expr | None, node: exp.Expr | None = None
) -> Op:  # fmt: skip
    """Joins `right` to `left`.

    Args:
        ctx: of the query.
        left: what stands before.
        right: the item that comes to it.
        kind: INNER, LEFT, RIGHT, FULL, SEMI, ANTI, ASOF or ASOF LEFT.
        condition: over column names; None for a cross join.
        node: where that stands in the query.

    Raises:
        PlanError: SM3055, an ASOF join without an inequality; SM3050, a function of both sides that is drawn.
    """
    left, right, on = _hoisted(ctx, left, right, condition)
    drawn = [p for p in on if ctx.volatile.is_drawn(p)]
    if drawn and kind != "INNER":
        raise ctx.drawn_here(*ctx.volatile.named(drawn[0]))
    on = [p for p in on if p not in drawn]
    right_names = {c.name for c in right.columns}
    is_alone = kind in ("RIGHT", "FULL") or _has_any(left, right_names)
    product = _as_product(left, is_alone=is_alone)
    pairs = equalities(on, right_names)
    if kind.startswith("ASOF"):
        right = _one_a_moment(ctx, right, on, pairs, node)
    legs = product.legs
    leg = Leg(right)
    if kind in ("LEFT", "SEMI", "ANTI", "ASOF", "ASOF LEFT"):
        leg.is_linear = False
        leg.touched = _exists([exp.EQ(this=_of_delta(r), expression=x) for x, r in pairs])
        leg.is_shown = kind not in ("SEMI", "ANTI")
    elif kind == "RIGHT":
        legs[0].is_linear = False
        legs[0].touched = _exists([exp.EQ(this=_of_delta(x), expression=r) for x, r in pairs])
    elif kind == "FULL":
        legs[0].is_linear = leg.is_linear = False
        either = [(x, r, exp.func("coalesce", x.copy(), r.copy())) for x, r in pairs]
        legs[0].touched = _exists([exp.NullSafeEQ(this=_of_delta(x), expression=e.copy()) for x, _, e in either])  # fmt: skip
        leg.touched = _exists([exp.NullSafeEQ(this=_of_delta(r), expression=e.copy()) for _, r, e in either])  # fmt: skip
    changes = left.is_changelog or right.is_changelog or kind not in ("INNER", "SEMI")
    columns = [*product.columns, *(right.columns if leg.is_shown else [])]
    product = Product(
        columns, changes, left.has_watermark or right.has_watermark, max(left.lateness_us, right.lateness_us),
        has_order=False, is_settled=kind in ("INNER", "SEMI", "ANTI") and len(legs) == 1 and _are_settled(left, right, on, columns if changes else ()),
        legs=[*legs, leg], joins=[*product.joins, _join_node(kind, on)], where=product.where,
    )  # fmt: skip
    return filtered(product, drawn)


def asof_join(
    ctx: Context, left: Op, right: Op, kind: str, on: list[exp.Expr], times: list[Column]
) -> tuple[Product, list[exp.Expr]]:  # fmt: skip
    """An ASOF join of two sides, INNER or LEFT; also what the right side is compared by. Its times are columns of it."""
    left, right, on = _hoisted(ctx, left, right, exp.and_(*on, copy=True))
    pairs = equalities(on, {c.name for c in right.columns})
    keys = [r for _, r in pairs]
    touched = _exists([exp.EQ(this=_of_delta(r), expression=x) for x, r in pairs])
    leg = Leg(right, is_linear=False, touched=touched, moment=[*keys, *(t.ref for t in times)])
    product = Product(
        [*left.columns, *right.columns], True, left.has_watermark, left.lateness_us, has_order=False,
        legs=[Leg(left), leg], joins=[_join_node("ASOF" if kind == "INNER" else f"ASOF {kind}", on)], is_whole=True,
    )  # fmt: skip
    return product, keys


def _has_any(op: Op, names: set[str]) -> bool:
    """A side of it has columns of these names, maybe not shown."""
    return isinstance(op, Product) and any(
        c.name in names for leg in op.legs for c in leg.op.columns
    )


def _as_product(op: Op, *, is_alone: bool) -> Product:
    if isinstance(op, Product) and not is_alone and not op.where and not op.is_whole:
        return op
    return Product(
        list(op.columns), op.is_changelog, op.has_watermark, op.lateness_us, op.has_order,
        legs=[Leg(op)], joins=[],
    )  # fmt: skip


def _join_node(kind: str, on: list[exp.Expr]) -> exp.Join:
    args: dict[str, object] = {"this": exp.to_table("_")}
    if kind.startswith("ASOF"):
        args["method"] = "ASOF"
        args["side"] = kind.removeprefix("ASOF").strip() or None
    elif kind in ("LEFT", "RIGHT", "FULL"):
        args["side"] = kind
    elif kind in ("SEMI", "ANTI"):
        args["kind"] = kind
    args["on"] = conjunction(on) or exp.true()
    return exp.Join(**args)


def equalities(on: Sequence[exp.Expr], right: set[str]) -> list[tuple[exp.Expr, exp.Expr]]:
    """Equalities between something on the left and something on the right."""
    found = []
    for part in on:
        if not isinstance(part, exp.EQ):
            continue
        a, b = used([part.this]), used([part.expression])
        if a and b and not a & right and b <= right:
            found.append((part.this, part.expression))
        elif a and b and a <= right and not b & right:
            found.append((part.expression, part.this))
    return found


def _are_settled(left: Op, right: Op, on: Sequence[exp.Expr], changed: Sequence[Column]) -> bool:
    """Rows of windows meet those of the same windows; `changed` are the columns of what is taken back."""
    has_others = any(c.is_time and c.window != c.name for c in changed)
    return (
        left.can_close
        and right.can_close
        and not has_others
        and equal_ends(on, left, right) is not None
    )


def _of_delta(e: exp.Expr) -> exp.Expr:
    """The expression over the changed rows."""
    copied = e.copy()
    for c in list(copied.find_all(exp.Column)) if not isinstance(copied, exp.Column) else [copied]:
        c.set("table", exp.to_identifier(DELTA))
    return copied


def _exists(conditions: list[exp.Expr]) -> exp.Expr | None:
    if not conditions:
        return None
    where = conjunction(conditions)
    return exp.Exists(this=exp.select("1").from_(DELTA).where(where, copy=True))


def _hoisted(
    ctx: Context, left: Op, right: Op, condition: exp.Expr | None
) -> tuple[Op, Op, list[exp.Expr]]:
    """What a condition computes of one side becomes a column of that side, where a failing row is found."""
    columns = [*left.columns, *right.columns]
    on = [_text_cast(p, columns) for p in conjuncts(condition)]
    sides = [{c.name for c in left.columns}, {c.name for c in right.columns}]
    made: list[list[tuple[Column, exp.Expr]]] = [[], []]

    def hoist(node: exp.Expr) -> exp.Expr:
        names = used([node])
        for i, side in enumerate(sides):
            if names and names <= side:
                if is_plain(node, columns):
                    return node
                column = ctx.names.new(
                    node.sql("duckdb"), ctx.types([node], [left, right][i].columns)[0]
                )
                made[i].append((column, node.copy()))
                return column.ref
        for name, value in list(node.args.items()):
            if isinstance(value, exp.Expr):
                node.set(name, hoist(value))
            elif isinstance(value, list):
                node.set(name, [hoist(v) if isinstance(v, exp.Expr) else v for v in value])
        return node

    on = [p if is_plain(p, columns) else hoist(p) for p in on]
    return extended(left, made[0]), extended(right, made[1]), on


def filtered(op: Op, where: list[exp.Expr], rule: str = "") -> Op:
    """The rows that meet these conditions; what cannot fail on a row is done within a join."""
    if isinstance(op, Product) and not op.where:
        plain = [w for w in where if is_plain(w, op.columns)]
        where = [w for w in where if not is_plain(w, op.columns)]
        op = replace(op, where=plain, columns=list(op.columns))
    return Map.over(op, keeps=True, where=where, rule=rule) if where else op


def _one_a_moment(
    ctx: Context, right: Op, on: list[exp.Expr], pairs: list[tuple[exp.Expr, exp.Expr]], node: exp.Expr | None
) -> Op:  # fmt: skip
    """Of rows that an ASOF join cannot tell apart, the first by the row's other columns."""
    names = {c.name for c in right.columns}
    bounds = [p for p in on if isinstance(p, exp.LT | exp.LTE | exp.GT | exp.GTE)]
    if len(bounds) != 1:
        raise ctx.refuse(
            "SM3055", "ASOF JOIN takes exactly one inequality", "write ... ON a.key = b.key AND a.ts >= b.ts", node
        )  # fmt: skip
    sides = (bounds[0].this, bounds[0].expression)
    time = next(s for s in sides if used([s]) <= names)
    keys = [r for _, r in pairs]
    columns = [c for c in right.columns if c.name in used([time, *keys])]
    return first_of_each(right, columns)
