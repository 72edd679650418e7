"""Joins that are bounded in time: rows that can meet no partner any more are forgotten, late ones are errors.

An interval join bounds the difference of the two watermarked times; a window join asks for the same
window on both sides (DESIGN 3.4).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import duckdb
from sqlglot import exp

from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.logical import Leg, Op, Product, conjuncts


@dataclass(frozen=True)
class _Time:
    """A watermarked time less or plus an interval, microseconds."""

    column: str
    offset_us: int


def bound_join(ctx: Context, product: Product) -> None:
    """Says of a join of two streams with watermarks when rows are late and when they are forgotten. In place."""
    if len(product.legs) != 2 or not all(leg.op.can_close for leg in product.legs):
        return
    if str(product.joins[0].args.get("method") or ""):
        return
    conditions = [*conjuncts(product.joins[0].args["on"]), *product.where]
    left, right = product.legs
    ends = equal_ends(conditions, left.op, right.op)
    if ends is not None:
        for leg, end in zip(product.legs, ends, strict=True):
            leg.late_us = leg.forget_us = _plus(end, product.lateness_us)
        product.bound = "state forgotten when the watermark passes the window's end"
        return
    bounds = _Bounds(ctx, left.op, right.op)
    for condition in conditions:
        bounds.read(condition)
    if bounds.low is None or bounds.high is None or bounds.times is None:
        return
    a, b = bounds.times
    # A row of a side that is not linear stays as long as any row that it has met.
    whole = bounds.high - bounds.low
    _set(left, a, (-bounds.low if left.is_linear else whole) + 1)
    _set(right, b, (bounds.high if right.is_linear else whole) + 1)
    reach = max(-bounds.low, bounds.high, 0)
    product.bound = f"state forgotten {reach / 1e6:g} s behind the watermark"


def _set(leg: Leg, time: str, reach_us: int) -> None:
    column = leg.op.column(time)
    leg.late_us = _plus(column, 1)
    leg.forget_us = _plus(column, reach_us)


def _plus(column: Column, us: int) -> exp.Expr:
    micros = exp.Anonymous(this="epoch_us", expressions=[column.ref])
    return exp.Add(this=micros, expression=exp.Literal.number(us)) if us >= 0 else exp.Sub(this=micros, expression=exp.Literal.number(-us))  # fmt: skip


def equal_ends(conditions: Iterable[exp.Expr], left: Op, right: Op) -> tuple[Column, Column] | None:
    """Both sides' window end, if they are asked to be the same."""
    for part in conditions:
        if (
            isinstance(part, exp.EQ)
            and isinstance(part.this, exp.Column)
            and isinstance(part.expression, exp.Column)
        ):
            names = {part.this.name, part.expression.name}
            a = next((c for c in left.columns if c.name in names and c.window == c.name), None)
            b = next((c for c in right.columns if c.name in names and c.window == c.name), None)
            if a is not None and b is not None:
                return a, b
    return None


class _Bounds:
    """`low <= a - b <= high` for the times a of the left and b of the right side."""

    def __init__(self, ctx: Context, left: Op, right: Op) -> None:
        self.low: int | None = None
        self.high: int | None = None
        self.times: tuple[str, str] | None = None
        self._ctx = ctx
        self._left = {c.name for c in left.columns if c.is_time}
        self._right = {c.name for c in right.columns if c.is_time}

    def read(self, condition: exp.Expr) -> None:
        for small, large, is_strict in _orders(condition):
            first, second = self._time(small), self._time(large)
            if first is None or second is None:
                continue
            gap = second.offset_us - first.offset_us - int(is_strict)
            if first.column in self._left and second.column in self._right:
                self._note(first.column, second.column, high=gap)
            elif first.column in self._right and second.column in self._left:
                self._note(second.column, first.column, low=-gap)

    def _note(self, a: str, b: str, low: int | None = None, high: int | None = None) -> None:
        if self.times is not None and self.times != (a, b):
            return
        self.times = (a, b)
        if low is not None:
            self.low = low if self.low is None else max(self.low, low)
        if high is not None:
            self.high = high if self.high is None else min(self.high, high)

    def _time(self, e: exp.Expr) -> _Time | None:
        """A time column, with intervals added and taken away."""
        offset = 0
        while isinstance(e, exp.Add | exp.Sub | exp.Paren):
            if not isinstance(e, exp.Paren):
                if not isinstance(e.expression, exp.Interval):
                    return None
                try:
                    us = self._ctx.binder.interval_us(e.expression.sql("duckdb"))
                except duckdb.Error:
                    return None
                offset += us if isinstance(e, exp.Add) else -us
            e = e.this
        is_time = isinstance(e, exp.Column) and e.name in self._left | self._right
        return _Time(e.name, offset) if is_time else None


def _orders(e: exp.Expr) -> Iterator[tuple[exp.Expr, exp.Expr, bool]]:
    """(smaller, larger, strictly) that a condition says."""
    if isinstance(e, exp.Between):
        yield e.args["low"], e.this, False
        yield e.this, e.args["high"], False
    elif isinstance(e, exp.LT | exp.LTE):
        yield e.this, e.expression, isinstance(e, exp.LT)
    elif isinstance(e, exp.GT | exp.GTE):
        yield e.expression, e.this, isinstance(e, exp.GT)
    elif isinstance(e, exp.EQ):
        yield e.this, e.expression, False
        yield e.expression, e.this, False
