"""Filters below joins: what a row of one side must meet anyway is asked before the row is kept.

Only conditions that cannot fail on a row are moved (`joins.is_plain`), and never to a side whose
rows a join may replace by NULLs, nor to one in which an ASOF join looks for its row.
"""

from __future__ import annotations

from sqlglot import exp

from stream_magic.planner.context import Context
from stream_magic.planner.joins import is_plain
from stream_magic.planner.logical import (
    Leg,
    Map,
    Op,
    Product,
    conjunction,
    conjuncts,
    inputs_of,
    used,
    walk,
)


def push_filters(ctx: Context, op: Op) -> None:
    """Moves filters down. In place."""
    readers: dict[int, int] = {}
    for at in walk(op):
        for below in inputs_of(at):
            readers[id(below)] = readers.get(id(below), 0) + 1
    for at in walk(op):
        if isinstance(at, Map):
            _into_product(at, readers)
        elif isinstance(at, Product):
            _into_legs(ctx, at)


def _into_product(at: Map, readers: dict[int, int]) -> None:
    """A filter behind a join that nobody else reads is one of the join."""
    below = at.input
    if not isinstance(below, Product) or readers[id(below)] > 1:
        return
    names = {c.name for c in below.columns}
    moved = [w for w in at.where if used([w]) <= names and is_plain(w, below.columns)]
    at.where = [w for w in at.where if w not in moved]
    below.where = [*below.where, *moved]


def _into_legs(ctx: Context, product: Product) -> None:
    sides = [str(j.args.get("side") or "").upper() for j in product.joins]
    kept = []
    for condition in product.where:
        at = _leg_of(product, condition)
        if at is not None and _is_sure(product, sides, at, len(sides)):
            _ask(ctx, product.legs[at], condition)
        else:
            kept.append(condition)
    product.where = kept
    for number, join in enumerate(product.joins):
        _from_on(ctx, product, sides, number, join)


def _from_on(ctx: Context, product: Product, sides: list[str], number: int, join: exp.Join) -> None:
    """Of an ON, what only the side says whose rows need not be shown without a partner."""
    if join.args.get("method"):
        return
    kept = []
    for condition in conjuncts(join.args["on"]):
        at = _leg_of(product, condition)
        is_right = at == number + 1
        is_asked = sides[number] in ("", "LEFT") if is_right else sides[number] == "RIGHT" or _is_inner(join)  # fmt: skip
        if (
            at is not None
            and is_plain(condition, product.legs[at].op.columns)
            and is_asked
            and (is_right or _is_sure(product, sides, at, number))
        ):
            _ask(ctx, product.legs[at], condition)
        else:
            kept.append(condition)
    join.set("on", conjunction(kept) or exp.true())


def _is_inner(join: exp.Join) -> bool:
    return not join.args.get("side") and str(join.args.get("kind") or "") not in ("SEMI", "ANTI")


def _leg_of(product: Product, condition: exp.Expr) -> int | None:
    """The only side that a condition asks."""
    names = used([condition])
    if not names or condition.find(exp.Query):
        return None
    legs = enumerate(product.legs)
    return next((i for i, leg in legs if names <= {c.name for c in leg.op.columns}), None)


def _is_sure(product: Product, sides: list[str], at: int, until: int) -> bool:
    """None of the first joins gives NULLs for the rows of a side, or looks for a row in it."""
    own = at > 0 and (sides[at - 1] in ("LEFT", "FULL") or bool(product.joins[at - 1].args.get("method")))  # fmt: skip
    return not own and not any(side in ("RIGHT", "FULL") for side in sides[at:until])


def _ask(ctx: Context, leg: Leg, condition: exp.Expr) -> None:
    rule = f"WHERE {ctx.shown(condition, leg.op.columns)}"
    leg.op = Map.over(leg.op, keeps=True, where=[condition.copy()], rule=rule)
