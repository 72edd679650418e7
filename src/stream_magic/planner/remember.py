"""What a row of a changelog found in a cache, or drew, is remembered: its retraction must take back the same.

Caches change, and `random()`, `uuid()` or `now()` answer differently each time; so a linear operation that
asks them is done once for each row that comes, and what it gave is kept until the row is taken back.
"""

from __future__ import annotations

from dataclasses import replace

from sqlglot import exp

from stream_magic.planner.context import Context
from stream_magic.planner.logical import Fresh, Map, Op, Remembered, with_inputs


class Memory:
    """Puts a `Remembered` in place of each linear operation whose answer is not a function of its input."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._done: dict[int, Op] = {}

    def of(self, op: Op) -> Op:
        """The operation, and all below it, with memory where there must be some."""
        if id(op) not in self._done:
            self._done[id(op)] = self._made(op)
        return self._done[id(op)]

    def _made(self, op: Op) -> Op:
        changed = with_inputs(op, self.of)
        needs_memory = (
            isinstance(op, Map) and op.input.is_changelog and (op.caches or self._draws(op))
        )
        return remembered(changed) if needs_memory and isinstance(changed, Map) else changed

    def _draws(self, op: Map) -> bool:
        expressions: list[exp.Expr] = [*(e for _, e in op.items), *op.where, *op.joins]
        return not all(self._ctx.is_settled(e) for e in expressions)


def remembered(op: Map) -> Remembered:
    """What a linear operation gives for each row, remembered."""
    below = op.input
    rows = Fresh(below.columns, False, below.has_watermark, below.lateness_us, below.has_order)
    return Remembered(
        op.columns, True, op.has_watermark, op.lateness_us, has_order=False,
        input=below, rows=rows, inner=replace(op, input=rows, is_changelog=False),
    )  # fmt: skip
