"""Operations that go by time or by arrival become nodes: sessions, OVER that waits for the watermark, windows of rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa

from stream_magic.core.change import (
    LATE_BY,
    LATE_FIELD,
    SEQ_FIELD,
    WEIGHT_FIELD,
    is_hidden,
    visible_schema,
)
from stream_magic.language.binder import EmptyTable, typed_columns
from stream_magic.language.catalog import CLOCK_RELATION
from stream_magic.planner.arrival_nodes import Clocked, Fill, Number
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.extents import NO_SESSION, Bounds
from stream_magic.planner.level import Level
from stream_magic.planner.logical import ByClock, Closing, Filled, Numbered, Op, Parted, Sessioned
from stream_magic.planner.nodes import SESSION, WINDOW_END, Compute, Node, Read, Sessions, Waiting


class TimedLowering:
    """Makes nodes whose rows go by time, or by the order in which they came.

    Args:
        ctx: of the query.
        level: gives the statement of an operation, not finished.
        seal: finishes it with these columns.
    """

    def __init__(
        self, ctx: Context, level: Callable[[Op, set[str]], Level], seal: Callable[[Level, Sequence[tuple[str, Column]]], Compute],
    ) -> None:  # fmt: skip
        self._ctx = ctx
        self._level = level
        self._seal = seal

    def sessions(self, op: Sessioned, needed: set[str]) -> tuple[Sessions, list[Column]]:
        """The rows with the session of each, or with its bounds."""
        kept = needed | {k.name for k in op.keys}
        columns = [c for c in op.input.columns if c.name in kept] or op.input.columns[:1]
        level = self._level(op.input, {c.name for c in (*columns, op.time)})
        level.checked = level.columns[op.time.name]
        before = self._seal(level, [(c.name, c) for c in columns])
        bounds = Bounds(op.start.name, op.end.name, op.end.type, op.gap_us)
        shown, hidden = list(visible_schema(before.schema)), [SEQ_FIELD, LATE_FIELD]
        given = list(columns)
        if op.is_numbered:
            hidden.append(pa.field(SESSION, pa.int64()))
        else:
            shown += self._ctx.binder.columns(f"SELECT {bounds.sql('s')} FROM {NO_SESSION}").schema
            given += [op.start, op.end]
            if op.is_changelog:
                hidden = [SEQ_FIELD, WEIGHT_FIELD]
        made = Sessions(
            before, tuple(c.name for c in columns), before.types, tuple(k.name for k in op.keys), op.lateness_us,
            "numbers" if op.is_numbered else "rows" if op.is_changelog else "closed", bounds, pa.schema([*shown, *hidden]),
            tuple(k.label for k in op.keys),
        )  # fmt: skip
        return made, given

    def by_clock(self, op: ByClock) -> tuple[Clocked, list[Column]]:
        """Rows that the clock closes windows for; the watermark that they had is left out."""
        columns = list(op.columns)
        level = self._level(op.input, {c.name for c in columns})
        level.hidden.pop(LATE_BY, None)
        before = self._seal(level, [(c.name, c) for c in columns])
        schema = pa.schema([*before.schema, LATE_FIELD])
        return Clocked(before, Read(CLOCK_RELATION), schema, before.types), columns

    def waiting(self, op: Parted, closing: Closing) -> tuple[Node, list[Column]]:
        """Window functions whose rows are told once."""
        (below,) = op.inputs
        level = self._level(below, {c.name for c in below.columns})
        level.checked = level.columns[closing.time.name]
        before = self._seal(level, [(c.name, c) for c in below.columns])
        names = tuple(c.name for c in below.columns)
        items = ", ".join([*(f"{sql} AS {c.name}" for c, sql in op.items), WINDOW_END])
        text = f"SELECT {items} {op.body}"
        kept = EmptyTable("_sm_i0", typed_columns([*names, WINDOW_END], [*before.types, "BIGINT"]))
        bound = self._ctx.bind_text(text, [kept])
        for (c, _), t in zip(op.items, bound.types, strict=False):
            c.type = t
        made = Waiting(
            before, names, before.types, text.replace("_sm_i0", "{0}"), pa.schema([*list(bound.schema)[:-1], SEQ_FIELD]),
            bound.types[:-1], closing.ahead_us, closing.behind_us, tuple(closing.last_rows), op.rule,
        )  # fmt: skip
        return made, [c for c, _ in op.items]

    def numbered(self, op: Numbered, needed: set[str]) -> tuple[Node, list[Column]]:
        """The rows with their numbers."""
        names = needed | {k.name for k in op.keys}
        kept = [c for c in op.input.columns if c.name in names] or op.input.columns[:1]
        before = self._below(op.input, kept)
        shown = [before.schema.field(c.name) for c in kept]
        hidden = [f for f in before.schema if is_hidden(f.name) and f.name != WINDOW_END]
        made = Number(
            before, tuple(k.name for k in op.keys), op.number.name,
            pa.schema([*shown, pa.field(op.number.name, pa.int64()), *hidden]), (*before.types, "BIGINT"),
            tuple(k.label for k in op.keys),
        )  # fmt: skip
        return made, [*kept, op.number]

    def filled(self, op: Filled, needed: set[str]) -> tuple[Node, list[Column]]:
        """The rows of full windows."""
        names = needed | {c.name for c in (*op.keys, op.number, op.end)}
        read = [c for c in op.input.columns if c.name in names]
        before = self._below(op.input, read)
        kept = [c for c in read if c is not op.number]
        kinds = dict(zip(before.visible, before.types, strict=True))
        made = Fill(
            before, tuple(k.name for k in op.keys), op.number.name, op.end.name,
            pa.schema([*(before.schema.field(c.name) for c in kept), SEQ_FIELD]), before.types,
            tuple(kinds[c.name] for c in kept), tuple(k.label for k in op.keys),
        )  # fmt: skip
        return made, kept

    def _below(self, op: Op, columns: Sequence[Column]) -> Compute:
        level = self._level(op, {c.name for c in columns})
        return self._seal(level, [(c.name, c) for c in columns])
