"""Changes: a stream's delta is an Arrow table, a changelog's has a weight for each row.

A changelog is a Z-set as in DBSP (Budiu et al., VLDB 2023): +1 adds a row, -1 takes one away.
Names that begin with `_sm_` are the engine's own and never leave it; `_weight` is reserved.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

WEIGHT = "_weight"
SEQ = "_sm_seq"  # arrival number in the app
LATE_BY = "_sm_wm"  # watermark (us) that this row is judged by; NULL before there is one
HIDDEN_PREFIX = "_sm_"
WEIGHT_FIELD = pa.field(WEIGHT, pa.int64())
SEQ_FIELD = pa.field(SEQ, pa.int64())
LATE_FIELD = pa.field(LATE_BY, pa.int64())

END_OF_TIME = 2**63 - 1  # a watermark: no row comes any more
BEFORE_TIME = -(2**63)  # a watermark: nothing is known yet


def is_hidden(name: str) -> bool:
    """True for the engine's own columns (also of the weight)."""
    return name == WEIGHT or name.startswith(HIDDEN_PREFIX)


def visible_schema(schema: pa.Schema) -> pa.Schema:
    """The schema as users see it."""
    return pa.schema([f for f in schema if not is_hidden(f.name)])


def visible(table: pa.Table, *, with_weight: bool = False) -> pa.Table:
    """The user's columns; `with_weight` appends `_weight`, +1 where the table has none."""
    shown = table.select([n for n in table.column_names if not is_hidden(n)])
    if not with_weight:
        return shown
    if WEIGHT in table.column_names:
        weights = table.column(WEIGHT)
    else:
        weights = pa.chunked_array([pa.repeat(pa.scalar(1, pa.int64()), table.num_rows)])
    return shown.append_column(WEIGHT_FIELD, weights)


def in_order(table: pa.Table) -> pa.Table:
    """The rows in order of arrival; a hash join may have shuffled them."""
    if SEQ not in table.column_names or table.num_rows < 2:
        return table
    seq = table.column(SEQ).to_numpy()
    if (seq[1:] >= seq[:-1]).all():
        return table
    # A stable sort goes along runs that are in order, as joins give them: twice as fast as Arrow's.
    return table.take(pa.array(np.argsort(seq, kind="stable")))
