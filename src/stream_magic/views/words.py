"""Numbers, durations and type names in the words of the views."""

from __future__ import annotations

import pyarrow as pa

MINUS = "\u2212"


def number(value: float, decimals: int = 0) -> str:
    """1208 -> '1,208', with a true minus."""
    return f"{value:,.{decimals}f}".replace("-", MINUS)


def rate(per_s: float) -> str:
    """Below 10 one decimal, else none."""
    return number(per_s, 1 if 0 < per_s < 9.95 else 0)


def count(n: int, word: str) -> str:
    """'1 row', '2,418 rows'."""
    return f"{number(n)} {word}" if n == 1 else f"{number(n)} {word}s"


def duration(seconds: float) -> str:
    """One unit, then two: '86 ms', '4.2 s', '14 s', '4 min 12 s', '2 h 5 min'."""
    if seconds < 0.9995:
        return f"{max(0, round(seconds * 1000))} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return _two(whole, 60, "min", 1, "s")
    return (
        _two(whole, 3600, "h", 60, "min") if whole < 86400 else _two(whole, 86400, "d", 3600, "h")
    )


def _two(whole: int, size: int, big: str, unit: int, small: str) -> str:
    rest = whole % size // unit
    return f"{whole // size} {big}" + (f" {rest} {small}" if rest else "")


_SIMPLE = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER", pa.int64(): "BIGINT",
    pa.uint8(): "UTINYINT", pa.uint16(): "USMALLINT", pa.uint32(): "UINTEGER", pa.uint64(): "UBIGINT",
    pa.float16(): "FLOAT", pa.float32(): "FLOAT", pa.float64(): "DOUBLE",
    pa.string(): "VARCHAR", pa.large_string(): "VARCHAR", pa.string_view(): "VARCHAR",
    pa.binary(): "BLOB", pa.large_binary(): "BLOB", pa.binary_view(): "BLOB",
    pa.date32(): "DATE", pa.date64(): "DATE", pa.null(): "NULL",
}  # fmt: skip


def sql_type(kind: pa.DataType) -> str:
    """The SQL name of an Arrow type, short for nested ones."""
    if kind in _SIMPLE:
        return _SIMPLE[kind]
    if isinstance(kind, pa.BaseExtensionType):
        return {"arrow.uuid": "UUID", "arrow.json": "JSON"}.get(
            kind.extension_name, sql_type(kind.storage_type)
        )
    if pa.types.is_decimal(kind):
        return f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_timestamp(kind):
        return f"TIMESTAMP, {kind.tz}" if kind.tz else "TIMESTAMP"
    if pa.types.is_dictionary(kind):
        return sql_type(kind.value_type)
    tests = {
        "TIME": pa.types.is_time, "INTERVAL": _is_interval, "STRUCT": pa.types.is_struct,
        "MAP": pa.types.is_map, "LIST": _is_list, "BLOB": pa.types.is_fixed_size_binary,
    }  # fmt: skip
    return next((name for name, test in tests.items() if test(kind)), str(kind).upper())


def _is_interval(kind: pa.DataType) -> bool:
    return bool(pa.types.is_duration(kind) or pa.types.is_interval(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    )
