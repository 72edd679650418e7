"""Window functions in FROM become operations; the SQL here is what docs/language gives as their meaning."""

from __future__ import annotations

from dataclasses import replace

import sqlglot
from sqlglot import exp

from stream_magic.core.change import SEQ
from stream_magic.planner.context import Context
from stream_magic.planner.logical import SEVERAL, Column, Map, Op, Parted, Stack
from stream_magic.planner.over import first_of_each
from stream_magic.planner.window_sql import windows
from stream_magic.planner.windows import WindowCall, bucket


class WindowAssigner:
    """Adds `window_start` and `window_end` to rows, or makes a change stream the table that it describes."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def apply(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        made = self._make(call, op, node)
        if isinstance(made, Map):
            made.rule = call.detail
        return made

    def _make(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        make = {
            "tumble": self._tumble, "hop": self._listed, "cumulate": self._listed, "session": self._session,
            "tumble_rows": self._rows, "hop_rows": self._rows, "latest": self._latest,
        }[call.function]  # fmt: skip
        return make(call, op, node)

    # --- time ------------------------------------------------------------------------------------

    def _ends(self, call: WindowCall, op: Op) -> tuple[Column, Column, Column]:
        """The time, and new columns for a window's start and end."""
        time = _labelled(op, call.time_column)
        kind = call.shown[1][-1]
        end = self._ctx.names.new("window_end", kind)
        start = self._ctx.names.new("window_start", kind)
        if time.is_time and op.has_watermark:
            start.window = end.window = end.name
        return time, start, end

    def _tumble(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        del node
        time, start, end = self._ends(call, op)
        first = _parse(bucket(time.name, call.sizes[0], time.type, call.shift))
        last = _parse(
            f"{bucket(time.name, call.sizes[0], time.type, call.shift)} + {call.sizes[0]}"
        )
        return _extended(op, [(start, first), (end, last)], checked=end)

    def _listed(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        """HOP and CUMULATE: a row is in several windows."""
        del node
        time, start, end = self._ends(call, op)
        if call.function == "cumulate" and start.window:
            start.window = SEVERAL
        listed_sql, start_sql, end_sql = windows(call, time.name, time.type)
        pair = [(start, start_sql), (end, end_sql)]
        listed = f"CASE WHEN {time.name} IS NULL THEN [NULL] ELSE {listed_sql} END"
        alias = f"_sm_x{self._ctx.names.new('', '').name}"
        unnest = exp.Unnest(
            expressions=[_parse(listed)],
            alias=exp.TableAlias(this=exp.to_identifier(alias), columns=[exp.to_identifier("_w")]),
        )
        w = self._ctx.names.new("_w", call.shown[1][-1])
        opened = Map(
            [*op.columns, w], op.is_changelog, op.has_watermark, op.lateness_us, op.has_order,
            input=op, keeps=True, joins=[exp.Join(this=unnest, on=exp.true())], joined=[(w, exp.column("_w", table=alias))],
        )  # fmt: skip
        items = [(c, _parse(sql.replace("_w", w.name) if "_w" in sql else sql)) for c, sql in pair]
        made = _extended(opened, items, checked=end)
        made.columns = [c for c in made.columns if c is not w]
        return made

    # --- sessions and counts -------------------------------------------------------------------------

    def _session(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        del node
        time = _labelled(op, call.time_column)
        op = _extended(op, [], checked=time)
        keys = [_labelled(op, k) for k in call.keys]
        part = "PARTITION BY " + ", ".join([*(k.name for k in keys)]) + " " if keys else ""
        inner_part = "PARTITION BY " + ", ".join([*(k.name for k in keys), "_s"])
        gap, t = call.sizes[0], time.name
        fresh = f"SELECT *, CASE WHEN lag({t}) OVER ({part}ORDER BY {t}) + {gap} < {t} THEN 1 ELSE 0 END AS _f FROM _sm_i0"
        numbered = f"SELECT *, sum(_f) OVER ({part}ORDER BY {t}) AS _s FROM ({fresh})"
        kind = call.shown[1][-1]
        start, end = (
            self._ctx.names.new("window_start", kind),
            self._ctx.names.new("window_end", kind),
        )
        items = [
            (start, f"CAST(min({t}) OVER ({inner_part}) AS {kind})"),
            (end, f"CAST(max({t}) OVER ({inner_part}) + {gap} AS {kind})"),
        ]
        return self._parted(op, keys, items, f"FROM ({numbered})", "sessions of touched keys")

    def _rows(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        if not op.has_order:
            raise self._ctx.refuse(
                "SM3056", f"{call.function.upper()} goes by arrival, and that is not settled where rows are changed",
                "read a stream whose rows are only added", node,
            )  # fmt: skip
        keys = [_labelled(op, k) for k in call.keys]
        part = "PARTITION BY " + ", ".join(k.name for k in keys) + " " if keys else ""
        size = call.sizes[-1]
        slide = call.sizes[0]
        numbered = f"(SELECT *, row_number() OVER ({part}ORDER BY {SEQ}) - 1 AS _r FROM _sm_i0)"
        first = f"(floor((_r - {size}) / {slide})::BIGINT + 1) * {slide}"
        opened = f"(SELECT *, unnest(range({first}, _r + 1, {slide})) AS _w FROM {numbered})"
        start, end = (
            self._ctx.names.new("window_start", "BIGINT"),
            self._ctx.names.new("window_end", "BIGINT"),
        )
        items = [(start, "_w"), (end, f"_w + {size}")]
        return self._parted(
            op, keys, items, f"FROM {opened}", "rows counted by key", by_arrival=True
        )

    def _parted(
        self, op: Op, keys: list[Column], items: list[tuple[Column, str]], body: str, rule: str, *, by_arrival: bool = False
    ) -> Op:  # fmt: skip
        kept = [replace(self._ctx.names.like(c), is_time=False, window="") for c in op.columns]
        return Parted(
            [*kept, *(c for c, _ in items)], True, has_order=False, inputs=[op], keys=[keys],
            key_sql=[k.name for k in keys],
            items=[*((k, c.name) for k, c in zip(kept, op.columns, strict=True)), *items],
            body=body, by_arrival=by_arrival, rule=rule,
        )  # fmt: skip

    # --- tables ----------------------------------------------------------------------------------

    def _latest(self, call: WindowCall, op: Op, node: exp.Expr) -> Op:
        ctx = self._ctx
        if call.keys:
            if not op.has_order:
                raise ctx.refuse(
                    "SM3056", "latest(...) goes by arrival, and that is not settled where rows are changed",
                    "read the changed rows as they are: they are a table already", node,
                )  # fmt: skip
            newest = exp.Ordered(this=exp.column(SEQ), desc=True, nulls_first=False)
            keys = [_labelled(op, k) for k in call.keys]
            found = first_of_each(ctx, op, keys, [newest], by_arrival=True)
            found.columns = list(found.columns)
            return found
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
        return Stack(columns, True, has_order=False, parts=parts)


def _labelled(op: Op, label: str) -> Column:
    return next(c for c in op.columns if c.label.lower() == label.lower())


def _parse(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, read="duckdb")


def _extended(op: Op, items: list[tuple[Column, exp.Expr]], checked: Column) -> Map:
    return Map(
        [*op.columns, *(c for c, _ in items)], op.is_changelog, op.has_watermark, op.lateness_us, op.has_order,
        input=op, items=items, keeps=True, checked=checked,
    )  # fmt: skip
