"""Window functions in FROM become operations; the SQL here is what docs/language gives as their meaning."""

from __future__ import annotations

import re
from dataclasses import replace

import sqlglot
from sqlglot import exp

from stream_magic.planner.columns import SEVERAL, Column
from stream_magic.planner.context import Context
from stream_magic.planner.logical import (
    ByClock,
    Filled,
    Map,
    Numbered,
    Op,
    Parted,
    Sessioned,
    Stack,
)
from stream_magic.planner.order import latest, require_arrival
from stream_magic.planner.over import first_of_each
from stream_magic.planner.window_sql import Assigned, hops, rows_around, session, windows
from stream_magic.planner.windows import PROCTIME, WindowCall, bucket

_NOW = "make_timestamp(epoch_us(now()))"
_INPUT = "_sm_i0"
_OF_CALENDAR = re.compile("DAY|WEEK|MONTH|QUARTER|YEAR|DECADE|CENTUR|MILLENN", re.IGNORECASE)
_MOST_HOPS = 100


class WindowAssigner:
    """Adds `window_start` and `window_end` to rows, or makes a change stream the table that it describes."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def apply(self, call: WindowCall, op: Op, node: exp.Expr, *, closes: bool) -> Op:
        """The rows of `op` with their windows.

        Args:
            call: says which.
            op: gives the rows.
            node: where that stands in the query.
            closes: the query waits until windows have closed.
        """
        if call.time_column == PROCTIME:
            op = self._by_clock(op)
        match call.function:
            case "tumble" | "hop" | "cumulate":
                return self._timed(call, op)
            case "session":
                return self._session(call, op, node, closes=closes)
            case "latest":
                return self._latest(call, op, node)
        return self._rows(call, op, node, closes=closes)

    def _by_clock(self, op: Op) -> Op:
        """With the clock's time as a column; other times and windows do not close by it."""
        columns = [replace(self._ctx.names.like(c), is_time=False, window="") for c in op.columns]
        closes = not op.is_changelog
        time = self._ctx.names.new(PROCTIME, "TIMESTAMP", is_time=closes)
        items = [*zip(columns, (c.ref for c in op.columns), strict=True), (time, _parse(_NOW))]
        drawn = Map.over(op, items)
        if not closes:
            return drawn
        return ByClock(drawn.columns, has_watermark=True, has_order=op.has_order, input=drawn)

    def _timed(self, call: WindowCall, op: Op) -> Map:
        """TUMBLE; HOP and CUMULATE, where a row is in several windows."""
        time = _labelled(op, call.time_column)
        end, start = self._ends(call)
        if time.is_time and op.has_watermark:
            start.window = end.window = end.name
            if call.function == "cumulate":
                start.window = SEVERAL
        listed, *pair = windows(call, time.name, time.type)
        columns = list(op.columns)
        if listed:
            w = self._ctx.names.new("_w", end.type)
            count = self._hops(call, time.type)
            if count:
                near = self._ctx.names.new("_near", end.type)
                bucketed = bucket(time.name, call.sizes[0], time.type, call.shift)
                op = Map.over(
                    op, [(near, _parse(bucketed))], columns=[*op.columns, near], keeps=True
                )
                opened = hops(near.name, call.sizes[0], count)
            else:
                opened = f"CASE WHEN {time.name} IS NULL THEN [NULL] ELSE {listed} END"
            op = self._opened(op, w, opened)
            pair = [re.sub(r"\b_w\b", w.name, sql) for sql in pair]
        items = [(c, _parse(sql)) for c, sql in zip((start, end), pair, strict=True)]
        return Map.over(
            op, items, columns=[*columns, start, end], keeps=True, checked=end, rule=call.detail
        )

    def _hops(self, call: WindowCall, kind: str) -> int:
        """How many windows each row is in, if that can be counted off from the last of them; else 0."""
        if call.function != "hop" or kind not in ("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"):
            return 0
        if any(_OF_CALENDAR.search(size) for size in call.sizes):
            return 0
        slide, size = (self._ctx.binder.interval_us(sql) for sql in call.sizes)
        return size // slide if size % slide == 0 and size // slide <= _MOST_HOPS else 0

    def _opened(self, op: Op, element: Column, listed: str) -> Map:
        """A row for each element of a list."""
        alias = self._ctx.names.alias()
        names = exp.TableAlias(this=exp.to_identifier(alias), columns=[exp.to_identifier("_w")])
        unnest = exp.Unnest(expressions=[_parse(listed)], alias=names)
        return Map.over(
            op, columns=[*op.columns, element], keeps=True, joins=[exp.Join(this=unnest, on=exp.true())],
            joined=[(element, exp.column("_w", table=alias))],
        )  # fmt: skip

    def _ends(self, call: WindowCall) -> tuple[Column, Column]:
        kind = call.shown[1][-1]
        return self._ctx.names.new("window_end", kind), self._ctx.names.new("window_start", kind)

    # --- sessions and counts -------------------------------------------------------------------------

    def _session(self, call: WindowCall, op: Op, node: exp.Expr, *, closes: bool) -> Op:
        time = _labelled(op, call.time_column)
        if time.is_time and op.has_watermark and not op.is_changelog:
            return self._watermarked(call, op, time, node, closes=closes)
        keys = [_labelled(op, k) for k in call.keys]
        made = session(call, [k.name for k in keys], time.name, _INPUT)
        op = Map.over(op, keeps=True, checked=time)
        return self._parted(call, op, keys, made, "sessions of touched keys")

    def _watermarked(
        self, call: WindowCall, op: Op, time: Column, node: exp.Expr, *, closes: bool
    ) -> Op:
        """Sessions that the watermark closes."""
        end, start = self._ends(call)
        if closes:
            start.window = end.window = end.name
        return Sessioned(
            [*op.columns, start, end], not closes, has_watermark=closes, lateness_us=op.lateness_us,
            has_order=closes, input=op, time=time, keys=[_labelled(op, k) for k in call.keys],
            start=start, end=end, gap_us=self._gap_us(call, node),
        )  # fmt: skip

    def _gap_us(self, call: WindowCall, node: exp.Expr) -> int:
        (gap,) = call.sizes
        binder = self._ctx.binder
        february = f"(TIMESTAMP '1970-02-01' + {gap}) - TIMESTAMP '1970-02-01'"
        gap_us = binder.interval_us(gap)
        if binder.interval_us(february) != gap_us or call.shown[1][-1] == "TIMESTAMP_NS":
            raise self._ctx.refuse(
                "SM3020", "SESSION over a time with a WATERMARK counts microseconds: it takes no gap of months, and no TIMESTAMP_NS",
                "write the gap in days, and CAST the time AS TIMESTAMP in a stream before", node,
            )  # fmt: skip
        return gap_us

    def _rows(self, call: WindowCall, op: Op, node: exp.Expr, *, closes: bool) -> Op:
        """Every `[k * slide, k * slide + n)` that holds the row's number among those of its key."""
        require_arrival(
            self._ctx, op, call.function.upper(), "read a stream whose rows are only added", node
        )
        number = self._ctx.names.new("_n", "BIGINT")
        end, start = self._ends(call)
        columns = [*op.columns, start, end]
        keys = [_labelled(op, k) for k in call.keys]
        made: Op = Numbered(
            [*op.columns, number], False, op.has_watermark, op.lateness_us, op.has_order,
            input=op, keys=keys, number=number,
        )  # fmt: skip
        first = f"{number.name} // {call.sizes[0]} * {call.sizes[0]}"
        if call.function == "hop_rows":
            opened = self._ctx.names.new("_w", "BIGINT")
            made = self._opened(made, opened, rows_around(number.name, *call.sizes))
            first = opened.name
        items = [(start, _parse(first)), (end, _parse(f"{first} + {call.sizes[-1]}"))]
        shown = [*columns, number] if closes else columns
        made = Map.over(made, items, columns=shown, keeps=True, rule=call.detail)
        if not closes:
            return made
        return Filled(columns, has_order=op.has_order, input=made, keys=keys, number=number, end=end, bounds=(start, end))  # fmt: skip

    def _parted(
        self, call: WindowCall, op: Op, keys: list[Column], made: Assigned, rule: str, *, by_arrival: bool = False
    ) -> Op:  # fmt: skip
        end, start = self._ends(call)
        return Parted.over(
            self._ctx.names, op, keys, f"FROM ({made.select})", more=[(start, made.start), (end, made.end)],
            by_arrival=by_arrival, rule=rule,
        )  # fmt: skip

    # --- tables ----------------------------------------------------------------------------------

    def _latest(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        ctx = self._ctx
        if call.keys:
            hint = "read the changed rows as they are: they are a table already"
            require_arrival(ctx, op, "latest(...)", hint, node)
            keys = [_labelled(op, k) for k in call.keys]
            return first_of_each(op, keys, [latest()], ctx.names)
        columns = [ctx.names.new(n, t) for n, t in zip(*call.shown, strict=True)]
        parts: list[Op] = []
        for image, sign in (("before", -1), ("after", 1)):
            row = _labelled(op, image)
            given = [ctx.names.like(c) for c in columns]
            fields = [
                exp.Dot.build([row.ref, exp.to_identifier(c.label, quoted=True)]) for c in columns
            ]
            parts.append(
                Map(given, True, has_order=False, input=op, items=list(zip(given, fields, strict=True)), sign=sign,
                    where=[exp.Not(this=exp.Is(this=row.ref, expression=exp.null()))])
            )  # fmt: skip
        return Stack(columns, True, has_order=False, parts=parts, is_table=True)


def _labelled(op: Op, label: str) -> Column:
    return next(c for c in op.columns if c.label.lower() == label.lower())


def _parse(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, read="duckdb")
