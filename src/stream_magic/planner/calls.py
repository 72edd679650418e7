"""Calls of Python functions become a step of their own: SQL computes the arguments before it, and goes on behind it.

What a function gave is a column from there on, so it is called once for each row. A call inside CASE, IF
or COALESCE is made only for the rows that reach it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from sqlglot import exp

from stream_magic.contracts.function import Function
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.logical import (
    Called,
    Calling,
    Given,
    Map,
    Op,
    Remembered,
    conjunction,
    extended,
    used,
    with_inputs,
)


class Calls:
    """Takes the calls out of linear operations."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._done: dict[int, Op] = {}

    def of(self, op: Op) -> Op:
        """The operation, and all below it, with calls as steps of their own."""
        if id(op) not in self._done:
            self._done[id(op)] = self._made(op)
        return self._done[id(op)]

    def _made(self, op: Op) -> Op:
        if isinstance(op, Given):
            self._refuse(op.select, "VALUES", "call it in the SELECT list")
        changed = with_inputs(op, self.of)
        if isinstance(changed, Remembered):
            return replace(changed, inner=self.of(changed.inner))
        return self._map(changed) if isinstance(changed, Map) else changed

    def _map(self, op: Map) -> Op:
        joins = [j.copy() for j in op.joins]
        items = [exp.paren(e.copy(), copy=False) for _, e in op.items]
        where = [exp.paren(e.copy(), copy=False) for e in op.where]
        holders: list[exp.Expr] = [*joins, *items, *where]
        if not any(self._has_call(h) for h in holders):
            return op
        below = op.input
        first = [] if joins else [w for w in where if not self._has_call(w)]
        if first:
            below = Map.over(below, keeps=True, where=[w.this for w in first])
        while ready := [c for h in holders for c in self._ready(h)]:
            below = self._called(below, ready)
        made = [(c, h.this) for (c, _), h in zip(op.items, items, strict=True)]
        left = [w.this for w in where if w not in first]
        return replace(op, input=below, items=made, where=left, joins=joins)

    # --- which ---------------------------------------------------------------------------------------

    def _calls(self, node: exp.Expr) -> Iterator[tuple[exp.Anonymous, Function]]:
        for call in node.find_all(exp.Anonymous):
            function = self._ctx.called(str(call.this))
            if function is not None:
                yield call, function

    def _has_call(self, node: exp.Expr) -> bool:
        return any(True for _ in self._calls(node))

    def _ready(self, holder: exp.Expr) -> Iterator[tuple[exp.Anonymous, Function]]:
        """Calls whose arguments and conditions need no other call."""
        for call, function in self._calls(holder):
            inside = [*call.expressions, *_conditions(call)]
            if not any(self._has_call(e) for e in inside):
                yield call, function

    def _refuse(self, node: exp.Expr, where: str, hint: str) -> None:
        for call, function in self._calls(node):
            raise self._ctx.refuse(
                "SM3062", f"{function.name}(...) is a Python function, which cannot be called in {where}", hint, call
            )  # fmt: skip

    def _check(self, call: exp.Anonymous, below: Op) -> None:
        if call.find_ancestor(exp.Lambda) is not None:
            self._refuse(call, "a lambda", "let the function take the whole list")
        if call.find_ancestor(exp.Select) is not None:
            self._refuse(
                call,
                "a subquery over a cache or over values of the row",
                "join the cache, or let the function take the whole list",
            )
        if isinstance(call.parent, exp.Dot):
            self._refuse(call, "the form x.f(y)", "write f(x, y)")
        if not used(call.expressions) <= {c.name for c in below.columns}:
            self._refuse(
                call, "the condition of a lookup over the cache's columns", "put it into WHERE"
            )

    # --- how -----------------------------------------------------------------------------------------

    def _called(self, below: Op, calls: Sequence[tuple[exp.Anonymous, Function]]) -> Called:
        items: dict[str, tuple[Column, exp.Expr]] = {}
        made: dict[str, Calling] = {}
        for number, (call, function) in enumerate(calls):
            self._check(call, below)
            when = conjunction(_conditions(call))
            once = "" if function.is_deterministic else f" {number}"
            text = (
                f"{call.sql('duckdb')} WHEN {when.sql('duckdb') if when is not None else ''}{once}"
            )
            if text not in made:
                made[text] = self._calling(below, call, function, when, items)
            call.replace(made[text].column.ref)
        before = extended(below, list(items.values()))
        callings = list(made.values())
        columns = [*before.columns, *(c.column for c in callings)]
        return Called(
            columns, before.is_changelog, before.has_watermark, before.lateness_us, before.has_order,
            input=before, calls=callings,
        )  # fmt: skip

    def _calling(
        self, below: Op, call: exp.Anonymous, function: Function, when: exp.Expr | None,
        items: dict[str, tuple[Column, exp.Expr]],
    ) -> Calling:  # fmt: skip
        known = {c.name: c for c in below.columns}

        def column(e: exp.Expr, kind: str) -> Column:
            if isinstance(e, exp.Column) and known[e.name].type == kind:
                return known[e.name]
            value = exp.cast(e.copy(), kind, dialect="duckdb")
            label = self._ctx.shown(e, below.columns)
            return items.setdefault(value.sql("duckdb"), (self._ctx.names.new(label, kind), value))[
                0
            ]

        arguments = [
            column(e, kind) for e, kind in zip(call.expressions, function.takes, strict=True)
        ]
        result = self._ctx.names.new(self._ctx.shown(call, below.columns), function.returns)
        return Calling(
            result, function, arguments, None if when is None else column(when, "BOOLEAN")
        )


def _conditions(call: exp.Expr) -> list[exp.Expr]:
    """What must hold for SQL to come to this place in its expression."""
    found: list[exp.Expr] = []
    node = call
    while (above := node.parent) is not None:
        if isinstance(above, exp.If) and node.arg_key != "this":
            test = _test(above)
            found.append(test if node.arg_key == "true" else _is_not(test))
        elif isinstance(above, exp.Case) and node.arg_key in ("ifs", "default"):
            ifs = above.args["ifs"]
            before = ifs if node.arg_key == "default" else ifs[: node.index]
            found += [_is_not(_test(i)) for i in before]
        elif isinstance(above, exp.Coalesce) and node.arg_key == "expressions":
            before = [above.this, *above.expressions[: node.index]]
            found += [exp.Is(this=e.copy(), expression=exp.null()) for e in before]
        node = above
    return found


def _test(branch: exp.If) -> exp.Expr:
    """The condition of a branch of CASE or IF."""
    case = branch.parent
    operand = case.this if isinstance(case, exp.Case) else None
    if operand is not None:
        return exp.EQ(this=exp.paren(operand), expression=exp.paren(branch.this))
    return exp.cast(branch.this.copy(), "BOOLEAN")


def _is_not(test: exp.Expr) -> exp.Expr:
    return exp.Not(this=exp.func("coalesce", test, exp.false()))
