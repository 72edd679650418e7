"""OVER with EMIT ON WINDOW CLOSE: a row is told once, when the watermark has passed what its frames may still get.

So frames are ordered by event time, and end at the current row or a time behind it; or the time is in
PARTITION BY, as a window's end is. Rows are kept as far as frames of later rows reach back.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from stream_magic.planner.aggregates import aggregate_core, function_name
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.extents import LastRows
from stream_magic.planner.logical import Closing, Op

_WHOLE = frozenset({"lead", "ntile", "percent_rank", "cume_dist"})  # they look at the rows behind
_COUNTED = frozenset({"row_number", "rank", "dense_rank"})  # they count from the first row on


def closing(ctx: Context, op: Op, windows: Sequence[exp.Window]) -> Closing:
    """When rows are told and forgotten.

    Args:
        ctx: of the query.
        op: gives the rows.
        windows: with their ties broken.

    Raises:
        PlanError: SM3031 and SM3066, a function waits for rows that may come at any time.
    """
    parting = _parting_time(op, windows)
    if parting is not None:
        is_end = parting.window == parting.name  # no row comes once the watermark is there
        return Closing(parting, ahead_us=-1 if is_end else 0)
    found = Closing(_time(ctx, op, windows))
    for window in windows:
        _Frame(ctx, window).add_to(found)
    return found


def _parting_time(op: Op, windows: Sequence[exp.Window]) -> Column | None:
    """The time that is in all PARTITION BYs: then all that a frame reads is of the same moment, in whatever order."""
    parts = [{k.name for k in w.args.get("partition_by") or []} for w in windows]
    return next((c for c in op.columns if c.is_time and all(c.name in p for p in parts)), None)


def _time(ctx: Context, op: Op, windows: Sequence[exp.Window]) -> Column:
    """The column that all of them are ordered by."""
    times = {c.name: c for c in op.columns if c.is_time}
    firsts = []
    for window in windows:
        order = window.args.get("order")
        first = order.expressions[0] if order is not None else None
        if first is None or first.args.get("desc") or first.this.name not in times:
            labels = " or ".join(c.label for c in times.values())
            raise ctx.refuse(
                "SM3066", "EMIT ON WINDOW CLOSE tells rows in the order of event time, and this window is ordered by something else",
                f"write OVER (... ORDER BY {labels}), or leave EMIT out", window,
            )  # fmt: skip
        firsts.append(times[first.this.name])
    if len({c.name for c in firsts}) > 1:
        raise ctx.refuse(
            "SM3066", "the windows of one SELECT are ordered by different times", "order them by one time", windows[-1]
        )  # fmt: skip
    return firsts[0]


class _Frame:
    """How far a window function reaches."""

    def __init__(self, ctx: Context, window: exp.Window) -> None:
        self._ctx = ctx
        self._window = window
        self._function = function_name(aggregate_core(window.this))
        spec = window.args.get("spec")
        args = spec.args if spec is not None else {}
        self._kind = str(args.get("kind") or "RANGE").upper()
        self._start = (str(args.get("start_side") or ""), args.get("start") or "UNBOUNDED")
        self._end = (str(args.get("end_side") or ""), args.get("end") or "CURRENT ROW")

    def add_to(self, closing: Closing) -> None:
        if self._function in _WHOLE:
            raise self._refuse(f"{self._function}() needs rows that come later")
        if self._function == "lag":
            self._lag(closing)
        elif self._function in _COUNTED:
            closing.behind_us = None
        else:
            closing.ahead_us = max(closing.ahead_us, self._ahead_us())
            self._behind(closing)

    def _lag(self, closing: Closing) -> None:
        core = aggregate_core(self._window.this)
        offset = core.args.get("offset") or exp.Literal.number(1)
        is_plain = isinstance(self._window.this, exp.Lag) and not core.args.get("order")
        if is_plain and isinstance(offset, exp.Literal) and offset.is_int:
            closing.last_rows.append(self._last("row_number", int(offset.this)))
        else:
            closing.behind_us = None

    def _ahead_us(self) -> int:
        side, end = self._end
        if side != "FOLLOWING":
            return 0
        us = self._micros(end) if self._kind == "RANGE" else None
        if us is None:
            raise self._refuse(f"a frame of {self._kind} that goes on behind the current row has no end in time")  # fmt: skip
        return us

    def _behind(self, closing: Closing) -> None:
        """Notes which rows a later frame may read."""
        side, start = self._start
        if start == "CURRENT ROW" or side == "FOLLOWING":
            return
        if self._kind == "RANGE":
            us = self._micros(start)
            is_endless = us is None or closing.behind_us is None
            closing.behind_us = None if is_endless else max(closing.behind_us or 0, us or 0)
        elif isinstance(start, exp.Literal) and start.is_int:
            counted = "row_number" if self._kind == "ROWS" else "dense_rank"
            closing.last_rows.append(self._last(counted, int(start.this)))
        else:
            closing.behind_us = None

    def _last(self, counted: str, count: int) -> LastRows:
        parts = ", ".join(p.sql("duckdb") for p in self._window.args.get("partition_by") or [])
        by = f"PARTITION BY {parts}" if parts else ""
        order = self._window.args["order"].sql("duckdb").strip()
        return LastRows(f"{counted}() OVER ({by} {order})", by, count)

    def _micros(self, bound: object) -> int | None:
        if not isinstance(bound, exp.Interval):
            return None
        return self._ctx.binder.interval_us(bound.sql("duckdb"))

    def _refuse(self, what: str) -> Exception:
        return self._ctx.refuse(
            "SM3066", f"EMIT ON WINDOW CLOSE: {what}",
            "end the frame at CURRENT ROW, or with RANGE BETWEEN ... AND INTERVAL ... FOLLOWING; or leave EMIT out", self._window,
        )  # fmt: skip
