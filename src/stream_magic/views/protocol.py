"""The messages to the browser: rows as columns.

Numbers that a double holds exactly travel as little-endian Float64, dates and times as
Float64 microseconds, everything else as JSON. A BIGINT beyond 2^53 and a DECIMAL travel as
text with every digit, marked as numbers.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.views.words import sql_type

EXACT = 2**53  # integers up to here are exact in a double
TEXT_LIMIT = 1000  # characters of a cell that travel; the CSV has them all
ITEMS_LIMIT = 50  # items of a list or map that travel

Message: TypeAlias = dict[str, Any]


def encode_rows(table: pa.Table) -> Message:
    """`{"count": n, "columns": [{name, type, kind, values, nulls?, ...}]}`."""
    columns = [encode_column(f, table.column(i)) for i, f in enumerate(table.schema)]
    return {"count": table.num_rows, "columns": columns}


def encode_heads(schema: pa.Schema) -> Message:
    """The columns of a table without rows yet."""
    return encode_rows(schema.empty_table())


def encode_column(field: pa.Field, values: pa.ChunkedArray) -> Message:
    """One column; `kind` tells the browser how to read and show it."""
    head: Message = {"name": field.name, "type": sql_type(field.type)}
    kind = field.type
    if isinstance(kind, pa.BaseExtensionType):
        is_uuid = kind.extension_name == "arrow.uuid"
        values, kind = values.cast(kind.storage_type), kind.storage_type
        if is_uuid:
            return head | {"kind": "code", "values": [_uuid(v) for v in values.to_pylist()]}
    if pa.types.is_dictionary(kind):
        values, kind = values.cast(kind.value_type), kind.value_type
    return head | _encoder(kind)(values)


def _encoder(kind: pa.DataType) -> Callable[[pa.ChunkedArray], Message]:
    t = pa.types
    if t.is_integer(kind):
        return _integers
    if t.is_floating(kind):
        return _floats
    if t.is_decimal(kind):
        return _decimals
    if t.is_timestamp(kind) or t.is_date(kind) or t.is_time(kind) or t.is_duration(kind):
        return _times
    if t.is_boolean(kind):
        return lambda values: {"kind": "bool", "values": values.to_pylist()}
    if t.is_nested(kind):
        return lambda values: {"kind": "nested", "values": [_tree(v) for v in _pylist(values)]}
    if t.is_binary(kind) or t.is_large_binary(kind) or t.is_fixed_size_binary(kind):
        return lambda values: {"kind": "code", "values": [_blob(v) for v in values.to_pylist()]}
    return lambda values: {"kind": "text", "values": [_cut(v) for v in _pylist(values)]}


def _pylist(values: pa.ChunkedArray) -> list[Any]:
    if pa.types.is_map(values.type):
        return [None if v is None else dict(v) for v in values.to_pylist()]
    return list(values.to_pylist())


def _integers(values: pa.ChunkedArray) -> Message:
    limits = pc.min_max(values).as_py()
    low, high = limits["min"] or 0, limits["max"] or 0
    if low >= -EXACT and high <= EXACT:
        return {"kind": "number", "integer": True} | _doubles(values)
    return {"kind": "digits", "values": [_digits(v) for v in values.to_pylist()]}


def _floats(values: pa.ChunkedArray) -> Message:
    return {"kind": "number", "integer": False} | _doubles(values)


def _decimals(values: pa.ChunkedArray) -> Message:
    return {"kind": "digits", "values": [_digits(v) for v in values.to_pylist()]}


def _digits(value: int | Decimal | None) -> str | None:
    return None if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)


def _times(values: pa.ChunkedArray) -> Message:
    kind = values.type
    if pa.types.is_date(kind):
        what, values = "date", values.cast(pa.timestamp("us"))
    elif pa.types.is_time(kind):
        what, values = "time", values.cast(pa.time64("us"), safe=False)
    elif pa.types.is_duration(kind):
        what, values = "interval", values.cast(pa.duration("us"), safe=False)
    else:
        what, values = "timestamp", values.cast(pa.timestamp("us", kind.tz), safe=False)
    message: Message = {"kind": what, "zone": getattr(kind, "tz", None)}
    return message | _doubles(values.cast(pa.int64()))


def _doubles(values: pa.ChunkedArray) -> Message:
    nulls = values.is_null()
    filled = values.fill_null(0).cast(pa.float64(), safe=False) if values.null_count else values
    message: Message = {"values": filled.to_numpy().astype("<f8").tobytes()}
    if values.null_count:
        message["nulls"] = nulls.to_numpy().astype(np.uint8).tobytes()
    return message


def _cut(value: Any) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= TEXT_LIMIT else text[:TEXT_LIMIT] + "\u2026"


def _uuid(value: bytes | None) -> str | None:
    if value is None:
        return None
    h = value.hex()
    return "-".join((h[:8], h[8:12], h[12:16], h[16:20], h[20:]))


def _blob(value: bytes | None) -> str | None:
    if value is None:
        return None
    head = " ".join(f"{b:02x}" for b in value[:3])
    return f"{head} \u2026 {_size(len(value))}" if len(value) > 3 else head or "0 B"


def _size(n: int) -> str:
    for unit, size in (("MiB", 2**20), ("KiB", 2**10)):
        if n >= size:
            return f"{n / size:.1f} {unit}"
    return f"{n} B"


def _tree(value: Any) -> Any:
    """A nested value: plain JSON where JSON is exact, else `{"n": digits}`, `{"t": text}`, `{"s": fields}`, `{"l": items}`."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, dict):
        pairs = list(value.items())[:ITEMS_LIMIT]
        return {"s": [[k if isinstance(k, str) else _scalar(k), _tree(v)] for k, v in pairs],
                "size": len(value)}  # fmt: skip
    if isinstance(value, list | tuple):
        return {"l": [_tree(v) for v in value[:ITEMS_LIMIT]], "size": len(value)}
    if isinstance(value, int):
        return value if -EXACT <= value <= EXACT else {"n": str(value)}
    if isinstance(value, float):
        return value if math.isfinite(value) else {"t": str(value)}
    if isinstance(value, Decimal):
        return {"n": _digits(value)}
    return _cut(value) if isinstance(value, str) else {"t": _scalar(value)}


def _scalar(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return f"{value.total_seconds():g} s"
    return _blob(value) or "" if isinstance(value, bytes) else str(value)


def to_csv(table: pa.Table) -> str:
    """RFC 4180 with a head; NULL is empty, '' is quoted, nested values are JSON."""
    lines = [",".join(_csv_cell(n) for n in table.column_names)]
    columns = [_csv_column(c) for c in table.columns]
    lines += [",".join(cells) for cells in zip(*columns, strict=True)]
    return "\r\n".join(lines) + "\r\n"


def _csv_column(values: pa.ChunkedArray) -> list[str]:
    return ["" if v is None else _csv_cell(_csv_text(v)) for v in _pylist(values)]


def _csv_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=_csv_text)
    if isinstance(value, bytes):
        return value.hex()
    return _scalar(value) if isinstance(value, datetime | date | time | timedelta) else str(value)


def _csv_cell(text: str) -> str:
    if text and not any(c in text for c in '",\r\n'):
        return text
    return '"' + text.replace('"', '""') + '"'
