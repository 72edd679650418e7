"""Turns the raw values of one column into Arrow, the whole column at once.

A value that cannot be told (bytes that are no text, 31 February) is reported by its index; it is
never replaced by another. Zero dates ('0000-00-00', also with a zero month or day) are NULL, as
the server's own drivers have it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa

from stream_magic.connectors.mysql_cdc import charsets, events
from stream_magic.connectors.mysql_cdc.decode import decimal_width
from stream_magic.connectors.mysql_cdc.events import LogColumn

Bad = dict[int, str]
"""Reasons by index of the value."""
Converted = tuple[pa.Array, Bad]
Raw = Sequence[Any]

DAY_US = 86_400_000_000
MAX_ARROW_DECIMAL = 38

_INTS = {
    events.TINY: (pa.int8(), pa.uint8()), events.SHORT: (pa.int16(), pa.uint16()),
    events.INT24: (pa.int32(), pa.uint32()), events.LONG: (pa.int32(), pa.uint32()),
    events.LONGLONG: (pa.int64(), pa.uint64()),
}  # fmt: skip


def to_arrow(raw: Raw, column: LogColumn) -> Converted:
    """The column's values in the type that is natural for them."""
    code = column.code
    if code == events.INT24:
        return _int24(raw, is_unsigned=column.is_unsigned), {}
    if code in _INTS:
        return pa.array(raw, _INTS[code][column.is_unsigned]), {}
    if code in _SIMPLE:
        return _SIMPLE[code](raw)
    if code in (events.TIMESTAMP2, events.DATETIME2, events.TIME2):
        return _WITH_FRACTION[code](raw, column.scale)
    if code == events.NEWDECIMAL:
        return _decimal(raw, column.size, column.scale), {}
    if code == events.BIT:
        return _bits(raw), {}
    if code == events.ENUM:
        return _enum(raw, column.members)
    if code == events.SET:
        return _set(raw, column.members)
    if code == events.JSON:
        return _each(raw, _json_text, pa.string())
    if column.charset == charsets.BINARY:
        return _bytes(raw, column), {}
    return _text(raw, column.charset)


def _each(raw: Raw, convert: Callable[[Any], Any], type_: pa.DataType) -> Converted:
    """Value by value, for what is rare or small."""
    values: list[Any] = []
    bad: Bad = {}
    for i, value in enumerate(raw):
        try:
            values.append(None if value is None else convert(value))
        except (ValueError, TypeError, KeyError, IndexError) as error:
            values.append(None)
            bad[i] = str(error)
    return pa.array(values, type_), bad


def _packed(raw: Raw, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Fixed-width values as a matrix of bytes, and which of them are NULL."""
    nulls = np.fromiter((v is None for v in raw), np.bool_, len(raw))
    zero = bytes(width)
    joined = b"".join(zero if v is None else v for v in raw)
    return np.frombuffer(joined, np.uint8).reshape(len(raw), width), nulls


def _big_endian(cells: np.ndarray) -> np.ndarray:
    value = np.zeros(len(cells), np.int64)
    for i in range(cells.shape[1]):
        value = (value << 8) | cells[:, i]
    return value


def _array(values: np.ndarray, nulls: np.ndarray, type_: pa.DataType) -> pa.Array:
    return pa.array(values, mask=nulls).cast(type_)


def _int24(raw: Raw, *, is_unsigned: bool) -> pa.Array:
    cells, nulls = _packed(raw, 3)
    value = _big_endian(cells[:, ::-1])
    if is_unsigned:
        return _array(value, nulls, pa.uint32())
    return _array(np.where(value >= 1 << 23, value - (1 << 24), value), nulls, pa.int32())


def _days(
    year: np.ndarray, month: np.ndarray, day: np.ndarray, nulls: np.ndarray
) -> tuple[np.ndarray, np.ndarray, Bad]:
    """Days since 1970; NULL for zero dates, bad for days that their month does not have."""
    nulls = nulls | (month == 0) | (day == 0)
    months = np.where(nulls, 0, (year - 1970) * 12 + month - 1).astype("M8[M]")
    days = months.astype("M8[D]") + np.where(nulls, 0, day - 1).astype("m8[D]")
    wrong = ~nulls & (days.astype("M8[M]") != months)
    bad = {
        int(i): f"there is no day {year[i]:04}-{month[i]:02}-{day[i]:02}"
        for i in np.flatnonzero(wrong)
    }
    return days.astype(np.int64), nulls | wrong, bad


def _date(raw: Raw) -> Converted:
    cells, nulls = _packed(raw, 3)
    value = _big_endian(cells[:, ::-1])
    days, nulls, bad = _days(value >> 9, value >> 5 & 15, value & 31, nulls)
    return _array(days.astype(np.int32), nulls, pa.date32()), bad


def _fraction_us(cells: np.ndarray, scale: int) -> np.ndarray:
    """Microseconds from the bytes behind a time: one for each two digits."""
    return _big_endian(cells) * int(100 ** (3 - (scale + 1) // 2))


def _datetime2(raw: Raw, scale: int) -> Converted:
    cells, nulls = _packed(raw, 5 + (scale + 1) // 2)
    value = _big_endian(cells[:, :5]) - (1 << 39)
    year_month = value >> 22
    days, nulls, bad = _days(year_month // 13, year_month % 13, value >> 17 & 31, nulls)
    seconds = (value >> 12 & 31) * 3600 + (value >> 6 & 63) * 60 + (value & 63)
    us = days * DAY_US + seconds * 1_000_000 + _fraction_us(cells[:, 5:], scale)
    return _array(us, nulls, pa.timestamp("us")), bad


def _timestamp2(raw: Raw, scale: int) -> Converted:
    cells, nulls = _packed(raw, 4 + (scale + 1) // 2)
    seconds = _big_endian(cells[:, :4])
    us = seconds * 1_000_000 + _fraction_us(cells[:, 4:], scale)
    return _array(us, nulls | (us == 0), pa.timestamp("us")), {}


def _time2(raw: Raw, scale: int) -> Converted:
    width = (scale + 1) // 2
    cells, nulls = _packed(raw, 3 + width)
    # The sign is that of the whole number, fraction included.
    value = _big_endian(cells) - (1 << (23 + 8 * width))
    size = np.abs(value)
    whole, fraction = size >> 8 * width, size & ((1 << 8 * width) - 1)
    seconds = (whole >> 12 & 0x3FF) * 3600 + (whole >> 6 & 63) * 60 + (whole & 63)
    us = seconds * 1_000_000 + fraction * int(100 ** (3 - width))
    return _array(np.where(value < 0, -us, us), nulls, pa.duration("us")), {}


def _old_datetime(raw: Raw) -> Converted:
    nulls = np.fromiter((v is None for v in raw), np.bool_, len(raw))
    value = np.fromiter((v or 0 for v in raw), np.int64, len(raw))
    date, time = value // 1_000_000, value % 1_000_000
    days, nulls, bad = _days(date // 10_000, date // 100 % 100, date % 100, nulls)
    us = days * DAY_US + _clock_us(time)
    return _array(us, nulls, pa.timestamp("us")), bad


def _old_time(raw: Raw) -> Converted:
    cells, nulls = _packed(raw, 3)
    value = _big_endian(cells[:, ::-1])
    value = np.where(value >= 1 << 23, value - (1 << 24), value)
    us = _clock_us(np.abs(value))
    return _array(np.where(value < 0, -us, us), nulls, pa.duration("us")), {}


def _clock_us(hhmmss: np.ndarray) -> np.ndarray:
    seconds = hhmmss // 10_000 * 3600 + hhmmss // 100 % 100 * 60 + hhmmss % 100
    return np.asarray(seconds * 1_000_000)


def _old_timestamp(raw: Raw) -> Converted:
    return pa.array([v * 1_000_000 if v else None for v in raw], pa.timestamp("us")), {}


def _year(raw: Raw) -> Converted:
    years = [None if v is None else v + 1900 if v else 0 for v in raw]
    return pa.array(years, pa.int16()), {}


def _decimal(raw: Raw, precision: int, scale: int) -> pa.Array:
    """Groups of nine digits, most significant first, four bytes each; the first bit is the sign."""
    cells, nulls = _packed(raw, decimal_width(precision, scale))
    cells = cells.copy()
    cells[:, 0] ^= 0x80
    negative = cells[:, 0] >= 0x80
    cells[negative] ^= 0xFF
    whole, rest = divmod(precision - scale, 9)
    fraction, last = divmod(scale, 9)
    digits = [d for d in (rest, *[9] * (whole + fraction), last) if d]
    if precision <= 18:
        return _small_decimal(_groups(cells, digits), negative, nulls, precision, scale)
    unscaled = [0] * len(raw)
    for size, group in _groups(cells, digits):
        unscaled = [u * 10**size + g for u, g in zip(unscaled, group.tolist(), strict=True)]
    signed = [-u if n else u for u, n in zip(unscaled, negative.tolist(), strict=True)]
    if precision > MAX_ARROW_DECIMAL:
        texts = [_point(v, scale) for v in signed]
        return pa.array(texts, pa.string(), mask=nulls)
    data = b"".join(v.to_bytes(16, "little", signed=True) for v in signed)
    return _decimal128(data, nulls, precision, scale)


def _groups(cells: np.ndarray, digits: list[int]) -> list[tuple[int, np.ndarray]]:
    result, at = [], 0
    for size in digits:
        width = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)[size]
        result.append((size, _big_endian(cells[:, at : at + width])))
        at += width
    return result


def _small_decimal(
    groups: list[tuple[int, np.ndarray]],
    negative: np.ndarray,
    nulls: np.ndarray,
    precision: int,
    scale: int,
) -> pa.Array:
    """Up to 18 digits fit into 64 bits: no Python number is made."""
    value = np.zeros(len(nulls), np.int64)
    for size, group in groups:
        value = value * 10**size + group
    value = np.where(negative, -value, value)
    both = np.empty((len(value), 2), np.int64)
    both[:, 0], both[:, 1] = value, value >> 63
    return _decimal128(both.tobytes(), nulls, precision, scale)


def _decimal128(data: bytes, nulls: np.ndarray, precision: int, scale: int) -> pa.Array:
    valid = pa.py_buffer(np.packbits(~nulls, bitorder="little").tobytes())
    type_ = pa.decimal128(precision, scale)
    return pa.Array.from_buffers(type_, len(nulls), [valid, pa.py_buffer(data)])


def _point(unscaled: int, scale: int) -> str:
    """-12345 with scale 2 -> '-123.45'; more digits than Arrow's 38 travel as text."""
    digits = str(abs(unscaled)).rjust(scale + 1, "0")
    sign = "-" if unscaled < 0 else ""
    return f"{sign}{digits[:-scale]}.{digits[-scale:]}" if scale else f"{sign}{digits}"


def _bits(raw: Raw) -> pa.Array:
    return pa.array([None if v is None else int.from_bytes(v, "big") for v in raw], pa.uint64())


def _enum(raw: Raw, members: tuple[str, ...]) -> Converted:
    """The value's number from 1; 0 is the '' that stands for a value that was none of them."""
    texts = ("", *members)
    return _each(raw, lambda v: texts[int.from_bytes(v, "little")], pa.string())


def _set(raw: Raw, members: tuple[str, ...]) -> Converted:
    def text(value: bytes) -> str:
        bits = int.from_bytes(value, "little")
        return ",".join(m for i, m in enumerate(members) if bits >> i & 1)

    return _each(raw, text, pa.string())


def _bytes(raw: Raw, column: LogColumn) -> pa.Array:
    if column.code == events.STRING:
        # BINARY(n) is logged without its zeros at the end.
        return pa.array(
            [None if v is None else v.ljust(column.size, b"\0") for v in raw], pa.binary()
        )
    return pa.array(raw, pa.binary())


def _text(raw: Raw, charset: str) -> Converted:
    if charset in charsets.UTF8:
        data = pa.array(raw, pa.binary())
        try:
            return data.cast(pa.string()), {}
        except pa.ArrowInvalid:
            pass  # some value is no UTF-8: find out which
    decode = charsets.decoder(charset)
    if decode is None:
        return pa.nulls(len(raw), pa.string()), {
            i: f"the character set {charset} is not known here"
            for i, v in enumerate(raw)
            if v is not None
        }
    return _each(raw, decode, pa.string())


def _json_text(value: bytes) -> str:
    """MySQL's binary JSON (MariaDB's JSON is text)."""
    from pymysqlreplication.json_binary import parse_json

    if not value:
        return "null"
    return _json(parse_json(value[0], value[1:]))


def _json(value: Any) -> str:
    """As the server writes it; `json` itself would make a float of a DECIMAL."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_json(k)}: {_json(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_json, value)) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bytes):
        value = value.decode("utf-8")
    is_plain = value is None or isinstance(value, bool | int | float | str)
    return json.dumps(value if is_plain else str(value), ensure_ascii=False)


_SIMPLE: dict[int, Callable[[Raw], Converted]] = {
    events.FLOAT: lambda raw: (pa.array(raw, pa.float32()), {}),
    events.DOUBLE: lambda raw: (pa.array(raw, pa.float64()), {}),
    events.DATE: _date,
    events.NEWDATE: _date,
    events.TIME: _old_time,
    events.DATETIME: _old_datetime,
    events.TIMESTAMP: _old_timestamp,
    events.YEAR: _year,
}
_WITH_FRACTION: dict[int, Callable[[Raw, int], Converted]] = {
    events.DATETIME2: _datetime2,
    events.TIMESTAMP2: _timestamp2,
    events.TIME2: _time2,
}
