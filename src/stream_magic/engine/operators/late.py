"""Late rows: judged row by row, by what the watermark was when the row arrived."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME, LATE_BY, SEQ
from stream_magic.engine.operators.base import Turn
from stream_magic.planner.nodes import WINDOW_END


def without_late(rows: pa.Table, lateness_us: int, turn: Turn) -> pa.Table:
    """The rows whose window was open when they came; the others go to the errors."""
    if rows.num_rows == 0:
        return rows
    end = pc.add(rows.column(WINDOW_END), pa.scalar(lateness_us, pa.int64()))
    is_late = pc.fill_null(pc.greater_equal(rows.column(LATE_BY), end), fill_value=False)
    if not pc.any(is_late).as_py():
        return rows
    reason = "late: its window had closed when the row came"
    turn.errors.add(rows.filter(is_late).column(SEQ).to_pylist(), "SM5003", reason)
    return rows.filter(pc.invert(is_late))


def closed_until(watermark_us: int, lateness_us: int) -> int | None:
    """Windows with an end at or below this are closed; None if none can be yet."""
    if watermark_us == BEFORE_TIME:
        return None
    return watermark_us if watermark_us == END_OF_TIME else watermark_us - lateness_us
