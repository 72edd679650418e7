"""Late rows: judged row by row, by what the watermark was when the row arrived."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME, LATE_BY, SEQ
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.state import ArrowInput, Database
from stream_magic.language.binder import quote
from stream_magic.planner.nodes import WINDOW_END

CLOSED = "late: its window had closed when the row came"
PASSED = "late: the watermark had passed it when the row came"


class LateRows:
    """Finds late rows by an expression over their columns, in microseconds."""

    def __init__(
        self, late_us: str, columns: Sequence[str], types: Sequence[str], schema: pa.Schema, database: Database
    ) -> None:  # fmt: skip
        self._database = database
        number = database.number()
        self._input = ArrowInput(pa.schema([schema.field(n) for n in (*columns, LATE_BY)]))
        self._name = f"_judged{number}"
        database.register(self._name, self._input)
        casts = [f"CAST({quote(c)} AS {t}) AS {quote(c)}" for c, t in zip(columns, types, strict=True)]  # fmt: skip
        self._judge = database.select(
            f"SELECT coalesce({LATE_BY} >= ({late_us}), false) AS is_late "
            f"FROM (SELECT {', '.join([*casts, LATE_BY])} FROM {self._name})"
        )

    def without(self, rows: pa.Table, turn: Turn) -> pa.Table:
        """The rows that are in time; the others go to the errors."""
        self._input.table = rows.select(self._input.table.schema.names)
        is_late = self._judge.run().column("is_late")
        return _without(rows, is_late, PASSED, turn)

    def close(self) -> None:
        self._database.unregister(self._name)


def without_late(rows: pa.Table, lateness_us: int, turn: Turn, reason: str = CLOSED) -> pa.Table:
    """The rows whose window was open when they came; the others go to the errors."""
    if rows.num_rows == 0:
        return rows
    end = pc.add(rows.column(WINDOW_END), pa.scalar(lateness_us, pa.int64()))
    is_late = pc.fill_null(pc.greater_equal(rows.column(LATE_BY), end), fill_value=False)
    return _without(rows, is_late, reason, turn)


def closed_until(watermark_us: int, lateness_us: int) -> int | None:
    """Windows with an end at or below this are closed; None if none can be yet."""
    if watermark_us == BEFORE_TIME:
        return None
    return watermark_us if watermark_us == END_OF_TIME else watermark_us - lateness_us


def _without(rows: pa.Table, is_late: pa.ChunkedArray, reason: str, turn: Turn) -> pa.Table:
    if not pc.any(is_late).as_py():
        return rows
    turn.errors.add(rows.filter(is_late).column(SEQ).to_pylist(), "SM5003", reason)
    return rows.filter(pc.invert(is_late))
