"""What operators with state give out: rows with arrival numbers and single weights."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stream_magic.core.change import SEQ_FIELD, WEIGHT, WEIGHT_FIELD


def numbered(rows: pa.Table, seq: int, schema: pa.Schema) -> pa.Table:
    """Rows made from several arrive with the last of them; the schema's engine columns in its order."""
    numbers = pa.chunked_array([pa.repeat(pa.scalar(seq, pa.int64()), rows.num_rows)])
    return one_by_one(rows.append_column(SEQ_FIELD, numbers).select(schema.names).cast(schema))


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
