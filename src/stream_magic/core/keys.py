"""Which keys may be compared outside DuckDB."""

from __future__ import annotations

import pyarrow as pa


def key_family(kind: pa.DataType) -> str | None:
    """Keys of one family are equal in Arrow exactly if they are in DuckDB; None: compare them in DuckDB only."""
    if pa.types.is_integer(kind):
        return "integer" if not pa.types.is_uint64(kind) else None
    if pa.types.is_string(kind):
        return "text"
    if pa.types.is_date32(kind) or pa.types.is_timestamp(kind) or pa.types.is_boolean(kind):
        return str(kind)
    return None
