"""Keys of messages, made from columns."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

_encode = msgspec.json.Encoder().encode


def message_keys(rows: pa.Table, columns: Sequence[str]) -> list[bytes | None]:
    """A key for each row: one column as its text, several as a JSON object; None if all are NULL.

    Text is its UTF-8, a BLOB its bytes, a number its digits: what other producers write, so that
    equal keys meet in one partition.
    """
    if len(columns) == 1:
        return _texts(rows.column(columns[0]))
    records = rows.select(list(columns)).to_pylist()
    return [
        _encode(record) if any(v is not None for v in record.values()) else None
        for record in records
    ]


def upsert_keys(rows: pa.Table, columns: Sequence[str]) -> list[bytes]:
    """The same for an upsert: every row has a key, and rows of another key have another one.

    A message without a key could never be replaced, so a NULL is written as several columns are:
    `{"id":null}`. A value that looks like such an object is put into one.
    """
    if len(columns) > 1:
        return [_encode(record) for record in rows.select(list(columns)).to_pylist()]
    name = columns[0]
    values = rows.column(name)
    head = b"{" + _encode(name) + b":"
    return [
        _encode({name: values[i].as_py()}) if text is None or text.startswith(head) else text
        for i, text in enumerate(_texts(values))
    ]


def _texts(column: pa.ChunkedArray) -> list[bytes | None]:
    kind = column.type
    if not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        if pa.types.is_nested(kind):
            return [None if v is None else _encode(v) for v in column.to_pylist()]
        if not pa.types.is_string(kind):
            column = pc.cast(column, pa.string())
        column = pc.cast(column, pa.binary())
    values: list[bytes | None] = column.to_pylist()
    return values
