"""One rule for turning texts and Python values into typed columns: lossless, or not at all.

JSON, CSV and pushed rows share it. `from_text` is the definition; `texts_to_array` gives the same
answers for whole columns and is fast where Arrow's own cast is known to agree.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
import threading
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, DecimalException
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_TIMESTAMP = re.compile(
    r"(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?)?"
    r" ?(Z|[+-]\d{2}(?::?\d{2})?)?",
    re.ASCII,
)
_TIME = re.compile(r"(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d+))?)?", re.ASCII)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
_SPECIAL = {"nan": "nan", "infinity": "inf", "inf": "inf", "-infinity": "-inf", "-inf": "-inf"}
_PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN = 60
_SMALL = 32  # rows below which a failed cast is looked at one by one
_local = threading.local()

# Texts for which Arrow's cast gives the answer of `from_text`, by kind.
_PLAIN_INTEGER = r"^-?(0|[1-9][0-9]*)$"
_PLAIN_DECIMAL = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?$"
_PLAIN_FLOAT = r"^-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,2})?$"
_PLAIN_TIMESTAMP = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,6})?Z?$"
_SECONDS_LENGTH = len("2026-01-31 12:00:00")
_PLAIN_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"

_NAMES = {
    "bool": "BOOLEAN", "int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER",
    "int64": "BIGINT", "uint8": "UTINYINT", "uint16": "USMALLINT", "uint32": "UINTEGER",
    "uint64": "UBIGINT", "float": "FLOAT", "double": "DOUBLE", "string": "VARCHAR",
    "binary": "BLOB", "date32[day]": "DATE", "time64[us]": "TIME",
    "month_day_nano_interval": "INTERVAL",
}  # fmt: skip


def type_name(kind: pa.DataType) -> str:
    """The type in the words of SQL, for messages."""
    if pa.types.is_timestamp(kind):
        return "TIMESTAMPTZ" if kind.tz else "TIMESTAMP"
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_struct(kind):
        return "STRUCT"
    if is_list(kind):
        return "LIST"
    if pa.types.is_map(kind):
        return "MAP"
    if is_text(kind):
        return "VARCHAR"
    return _NAMES.get(str(kind), str(kind))


def shown(value: object) -> str:
    """A value as it stands in a message: short, in quotes if it is text."""
    text = f"'{value}'" if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def is_text(kind: pa.DataType) -> bool:
    """VARCHAR and its relatives, ENUM and JSON among them."""
    if pa.types.is_dictionary(kind):
        return is_text(kind.value_type)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    )


def is_binary(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
    )


def is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )


def is_nested(kind: pa.DataType) -> bool:
    return bool(pa.types.is_struct(kind) or pa.types.is_map(kind) or is_list(kind))


def from_text(text: str, kind: pa.DataType) -> Any:
    """The value that `text` is in a column of `kind`, fit for `pa.array(..., kind)`.

    Numbers may be written in any way that keeps their value ('12.0' is an integer, '1.5' is not);
    times are ISO 8601 (a zone is turned to UTC, without one it is UTC); blobs are base64.

    Raises:
        ValueError: the value does not fit without loss.
    """
    if is_text(kind):
        return text
    if pa.types.is_integer(kind):
        return _integer(text, kind)
    if pa.types.is_decimal(kind):
        return _decimal(text, kind)
    if pa.types.is_floating(kind):
        return _float(text, kind)
    if pa.types.is_boolean(kind):
        if text.lower() in ("true", "false"):
            return text.lower() == "true"
        raise _unfit(text, kind)
    if pa.types.is_timestamp(kind):
        return _timestamp(text, kind)
    if pa.types.is_date32(kind):
        return _date(text, kind)
    if pa.types.is_time(kind):
        return _time(text, kind)
    if is_binary(kind):
        try:
            return base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"{shown(text)} is not base64, as a BLOB must be") from None
    if pa.types.is_interval(kind):
        return _interval(text, kind)
    raise ValueError(f"a column of type {type_name(kind)} cannot be read from text")


def _unfit(text: object, kind: pa.DataType) -> ValueError:
    return ValueError(f"{shown(text)} does not fit {type_name(kind)}")


def _number(text: str, kind: pa.DataType) -> Decimal:
    if not _NUMBER.fullmatch(text):
        raise _unfit(text, kind)
    try:
        return Decimal(text)
    except DecimalException:  # an exponent beyond all bounds
        raise _unfit(text, kind) from None


def _integer(text: str, kind: pa.DataType) -> int:
    number = _number(text, kind)
    # Looked at before int(): '1e999999999' would be computed in full.
    if number.adjusted() > 20 or (number != 0 and number.adjusted() < 0):
        raise _unfit(text, kind)
    value = int(number)
    if value != number or not _fits(value, kind):
        raise _unfit(text, kind)
    return value


def _fits(value: int, kind: pa.DataType) -> bool:
    bits = kind.bit_width
    if pa.types.is_unsigned_integer(kind):
        return bool(0 <= value < 1 << bits)
    return bool(-(1 << (bits - 1)) <= value < 1 << (bits - 1))


def _decimal(text: str, kind: pa.DataType) -> Decimal:
    return _exact_decimal(_number(text, kind), text, kind)


def _exact_decimal(number: Decimal, text: object, kind: pa.DataType) -> Decimal:
    if number == 0:
        return Decimal((0, (0,), -kind.scale))
    if not number.is_finite() or number.adjusted() >= kind.precision - kind.scale:
        raise _unfit(text, kind)
    digits, exponent = number.as_tuple().digits, number.as_tuple().exponent
    drop = -kind.scale - int(exponent)  # digits behind the scale: they must be zeros
    if drop > 0 and (drop >= len(digits) or any(digits[-drop:])):
        raise _unfit(text, kind)
    kept = digits[:-drop] if drop > 0 else digits + (0,) * -drop
    return Decimal((number.as_tuple().sign, kept, -kind.scale))


def _float(text: str, kind: pa.DataType) -> float:
    special = _SPECIAL.get(text.lower())
    if special is not None:
        return float(special)
    if not _NUMBER.fullmatch(text):
        raise _unfit(text, kind)
    return _checked_float(float(text), text, kind)


def _checked_float(value: float, text: object, kind: pa.DataType) -> float:
    limit = {16: 65504.0, 32: 3.4028234663852886e38}.get(kind.bit_width, 1.7976931348623157e308)
    if not math.isfinite(value):
        if isinstance(text, str):  # written with digits, so it overflowed
            raise _unfit(text, kind)
        return value
    if abs(value) > limit:
        raise _unfit(text, kind)
    return value


def _timestamp(text: str, kind: pa.DataType) -> int:
    part = _TIMESTAMP.fullmatch(text)
    if not part:
        raise _unfit(text, kind)
    day, hours, minutes, seconds, fraction, zone = part.groups()
    if zone and hours is None:
        raise _unfit(text, kind)
    try:
        moment = datetime.combine(
            date.fromisoformat(day),
            time(int(hours or 0), int(minutes or 0), int(seconds or 0)),
            UTC,
        )
    except ValueError:
        raise _unfit(text, kind) from None
    whole = int((moment - _EPOCH) // timedelta(seconds=1)) - _offset_s(zone, text, kind)
    scale = _PER_SECOND[kind.unit]
    value = whole * scale + _fraction(fraction, scale, text, kind)
    if not -(2**63) < value < 2**63:
        raise _unfit(text, kind)
    return value


def _offset_s(zone: str | None, text: str, kind: pa.DataType) -> int:
    if not zone or zone == "Z":
        return 0
    hours, minutes = int(zone[1:3]), int(zone[3:].lstrip(":") or 0)
    if hours > 23 or minutes > 59:
        raise _unfit(text, kind)
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60)


def _fraction(digits: str | None, scale: int, text: str, kind: pa.DataType) -> int:
    wanted = len(str(scale)) - 1
    digits = digits or ""
    if digits[wanted:].strip("0"):
        raise _unfit(text, kind)
    return int(digits[:wanted].ljust(wanted, "0") or 0)


def _date(text: str, kind: pa.DataType) -> date:
    try:
        if _DATE.fullmatch(text):
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise _unfit(text, kind)


def _time(text: str, kind: pa.DataType) -> int:
    part = _TIME.fullmatch(text)
    if not part or int(part[1]) > 23 or int(part[2]) > 59 or int(part[3] or 0) > 59:
        raise _unfit(text, kind)
    scale = _PER_SECOND[kind.unit]
    whole = int(part[1]) * 3600 + int(part[2]) * 60 + int(part[3] or 0)
    return whole * scale + _fraction(part[4], scale, text, kind)


def _interval(text: str, kind: pa.DataType) -> Any:
    import duckdb

    if not hasattr(_local, "connection"):
        _local.connection = duckdb.connect()
    try:
        # A relation of Arrow, because Python's timedelta has no months.
        query = _local.connection.sql("SELECT CAST(? AS INTERVAL)", params=[text])
        return query.to_arrow_table().column(0)[0].as_py()
    except duckdb.Error:
        raise _unfit(text, kind) from None


def texts_to_array(texts: pa.Array, kind: pa.DataType) -> tuple[pa.Array, dict[int, str]]:
    """A column from a string array by the rule of `from_text`; NULL stays NULL.

    Returns:
        The column (NULL where a text does not fit) and the reasons by index.
    """
    if is_text(kind):
        return texts.cast(kind), {}
    reasons: dict[int, str] = {}
    parts = _convert(texts, kind, 0, reasons)
    return parts[0] if len(parts) == 1 else pa.concat_arrays(parts), reasons


def _convert(
    texts: pa.Array, kind: pa.DataType, at: int, reasons: dict[int, str]
) -> list[pa.Array]:
    fast = _fast(texts, kind)
    if fast is not None:
        return [fast]
    if len(texts) > _SMALL:
        half = len(texts) // 2
        return _convert(texts[:half], kind, at, reasons) + _convert(
            texts[half:], kind, at + half, reasons
        )
    values: list[Any] = []
    for i, text in enumerate(texts.to_pylist()):
        try:
            values.append(None if text is None else from_text(text, kind))
        except ValueError as e:
            values.append(None)
            reasons[at + i] = str(e)
    return [pa.array(values, kind)]


def _fast(texts: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """The whole column by Arrow's cast, if every text is of a form for which it is right."""
    pattern, unit_ok = "", True
    if pa.types.is_integer(kind):
        pattern = _PLAIN_INTEGER
    elif pa.types.is_decimal128(kind):
        pattern = _PLAIN_DECIMAL
    elif pa.types.is_float64(kind):
        pattern = _PLAIN_FLOAT
    elif pa.types.is_timestamp(kind):
        pattern, unit_ok = _PLAIN_TIMESTAMP, kind.unit in ("us", "ns")
    elif pa.types.is_date32(kind):
        pattern = _PLAIN_DATE
    if not pattern or not unit_ok:
        return None
    if (
        not _are_seconds(texts, kind)
        and pc.all(pc.match_substring_regex(texts, pattern)).as_py() is False
    ):
        return None
    try:
        if pa.types.is_timestamp(kind):
            naive = pc.utf8_rtrim(texts, "Z").cast(pa.timestamp(kind.unit))
            return None if _has_year_0(naive) else naive.cast(pa.int64()).cast(kind)
        column = texts.cast(kind)
        return None if pa.types.is_date32(kind) and _has_year_0(column) else column
    except pa.ArrowInvalid:
        return None


def _has_year_0(times: pa.Array) -> bool:
    """Arrow reads `0000`, which is no year to the rule. In nanoseconds it would not fit."""
    if times.type == pa.timestamp("ns"):
        return False
    return (
        pc.less(pc.min(times), pa.scalar(date(1, 1, 1), pa.date32()).cast(times.type)).as_py()
        is True
    )


def _are_seconds(texts: pa.Array, kind: pa.DataType) -> bool:
    """All may be `2026-01-31 12:00:00`: of that length Arrow takes no other form, and this is cheap to see."""
    if not pa.types.is_timestamp(kind):
        return False
    lengths = pc.min_max(pc.binary_length(texts)).as_py()
    return bool(lengths["min"] == lengths["max"] == _SECONDS_LENGTH)


def coerce(value: Any, kind: pa.DataType) -> Any:
    """A Python value as it fits a column of `kind`, by the same rule.

    Raises:
        ValueError: it does not fit without loss.
    """
    if value is None:
        return None
    if isinstance(value, str):
        return from_text(value, kind)
    if hasattr(value, "item") and not isinstance(value, bytes):  # a NumPy scalar
        return coerce(value.item(), kind)
    if pa.types.is_struct(kind):
        return _struct(value, kind)
    if pa.types.is_map(kind):
        if not isinstance(value, dict):
            raise _unfit(value, kind)
        return [(coerce(k, kind.key_type), coerce(v, kind.item_type)) for k, v in value.items()]
    if is_list(kind):
        if not isinstance(value, list | tuple):
            raise _unfit(value, kind)
        return [coerce(v, kind.value_type) for v in value]
    return _scalar(value, kind)


def _struct(value: Any, kind: pa.DataType) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unfit(value, kind)
    names = {kind.field(i).name.lower(): kind.field(i).name for i in range(kind.num_fields)}
    given: dict[str, Any] = {}
    for name, inner in value.items():
        field = names.get(str(name).lower())  # without case, as in SQL
        if field is None:
            raise ValueError(
                f"the STRUCT has no field '{name}', it has: {', '.join(names.values())}"
            )
        if field in given:
            raise ValueError(f"the STRUCT has field '{field}' twice")
        given[field] = inner
    return {n: coerce(given.get(n), kind.field(n).type) for n in names.values()}


def _scalar(value: Any, kind: pa.DataType) -> Any:
    if isinstance(value, bool):
        if pa.types.is_boolean(kind):
            return value
        if is_text(kind):
            return str(value).lower()
        raise _unfit(str(value).lower(), kind)
    if isinstance(value, int | float | Decimal):
        return _from_number(value, kind)
    if isinstance(value, bytes | bytearray | memoryview) and is_binary(kind):
        return bytes(value)
    try:
        pa.array([value], kind)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        raise _unfit(value, kind) from None
    return value


def _from_number(value: float | Decimal, kind: pa.DataType) -> Any:
    if is_text(kind):
        return str(value)
    if pa.types.is_integer(kind):
        if not math.isfinite(value) or value != int(value):
            raise _unfit(value, kind)
        if not _fits(int(value), kind):
            raise _unfit(value, kind)
        return int(value)
    if pa.types.is_decimal(kind):
        exact = value if isinstance(value, Decimal) else Decimal(repr(value))
        return _exact_decimal(exact, value, kind)
    if pa.types.is_floating(kind):
        try:
            return _checked_float(float(value), value, kind)
        except OverflowError:
            raise _unfit(value, kind) from None
    raise _unfit(value, kind)
