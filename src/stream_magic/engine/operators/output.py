"""What operators with state give out: rows with arrival numbers and single weights."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import LATE_BY, LATE_FIELD, SEQ_FIELD, WEIGHT, WEIGHT_FIELD
from stream_magic.engine.operators.base import Turn
from stream_magic.planner.nodes import WINDOW_END


def numbered(rows: pa.Table, seq: int, schema: pa.Schema) -> pa.Table:
    """Rows made from several arrive with the last of them; the schema's engine columns in its order."""
    numbers = pa.chunked_array([pa.repeat(pa.scalar(seq, pa.int64()), rows.num_rows)])
    rows = rows.append_column(SEQ_FIELD, numbers)
    if LATE_BY in schema.names:  # what closes is never late
        rows = rows.append_column(LATE_FIELD, pa.nulls(rows.num_rows, LATE_FIELD.type))
    return one_by_one(rows.select(schema.names).cast(schema))


def at_close(rows: pa.Table, turn: Turn, lateness_us: int, schema: pa.Schema) -> pa.Table:
    """Results of windows that have closed (`_sm_wend`): each came with the row that closed it, and is never late."""
    if not rows.num_rows or turn.timeline is None:
        return schema.empty_table()
    ends = rows.column(WINDOW_END).to_numpy()
    rows = rows.append_column(SEQ_FIELD, pa.array(turn.timeline.reached(ends + lateness_us)))
    rows = rows.append_column(LATE_FIELD, pa.nulls(rows.num_rows, LATE_FIELD.type))
    return rows.select(schema.names).cast(schema)


def micros(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Microseconds since 1970 in UTC; nanoseconds are cut."""
    kind = times.type
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return pc.cast(times, pa.timestamp("us", zone), safe=False).cast(pa.int64())


def one_by_one(rows: pa.Table) -> pa.Table:
    """A row with weight 2 becomes two rows with weight 1."""
    if WEIGHT not in rows.column_names or not rows.num_rows:
        return rows
    weights = rows.column(WEIGHT).to_numpy()
    counts = np.abs(weights)
    if counts.max() == 1 == counts.min():
        return rows
    rows = rows.take(pa.array(np.repeat(np.arange(len(counts)), counts)))
    signs = pa.array(np.repeat(np.sign(weights), counts))
    return rows.set_column(rows.column_names.index(WEIGHT), WEIGHT_FIELD, signs)
