"""Values as the server's text protocol gives them, turned into Arrow by the column."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa

from stream_magic.connectors.mysql_cdc.tables import Column
from stream_magic.connectors.mysql_cdc.values import Bad, Converted

_TIME = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")


def from_text(values: Sequence[Any], column: Column) -> Converted:
    """The values in the column's type; what cannot be told is bad."""
    if column.kind in ("date", "datetime", "timestamp"):
        values = [None if v is None or "-00" in v else v for v in values]
    elif column.kind == "time":
        values = [None if v is None else _time_us(v) for v in values]
    elif column.kind == "bit":
        numbers = [None if v is None else int.from_bytes(v, "big") for v in values]
        return pa.array(numbers, pa.uint64()).cast(column.type), {}
    if pa.types.is_duration(column.type) or pa.types.is_binary(column.type):
        return pa.array(values, column.type), {}
    if pa.types.is_string(column.type):
        return pa.array(values, pa.string()), {}
    texts = pa.array(values, pa.string())
    try:
        return _cast(texts, column.type), {}
    except pa.ArrowInvalid:
        return _one_by_one(texts, lambda text: _cast(text, column.type), column.type)


def _cast(texts: pa.Array, type_: pa.DataType) -> pa.Array:
    return texts.cast(pa.float64()).cast(type_) if pa.types.is_float32(type_) else texts.cast(type_)


def _one_by_one(
    texts: pa.Array, convert: Callable[[pa.Array], pa.Array], type_: pa.DataType
) -> Converted:
    parts: list[pa.Array] = []
    bad: Bad = {}
    for i in range(len(texts)):
        try:
            parts.append(convert(texts.slice(i, 1)))
        except pa.ArrowInvalid as error:
            parts.append(pa.nulls(1, type_))
            bad[i] = str(error)
    return pa.concat_arrays(parts), bad


def _time_us(text: str) -> int:
    """'-838:59:59.000001' -> microseconds."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is not a time")
    sign, hours, minutes, seconds, fraction = found.groups()
    us = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1_000_000
    us += int((fraction or "").ljust(6, "0"))
    return -us if sign else us
