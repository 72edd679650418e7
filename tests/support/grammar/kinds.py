"""Types of columns and the values that they hold.

A family says what may be done with a column: `integer` and `real` hold small values that arithmetic
cannot overflow, `wide` and `float` the huge ones, NaN and infinities. `opaque` is only handed on.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

START = datetime(2026, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is


@dataclass(frozen=True)
class Kind:
    """A declared type, its family and values to draw from (NULL is drawn beside them)."""

    sql: str
    family: str
    values: tuple[Any, ...]


SMALL = (-3, -1, 0, 1, 2, 2, 3, 5)
_TIMES = tuple(
    START + timedelta(seconds=s) for s in (-90000, -1, 0, 0, 1, 10, 59, 86400, 2_700_000)
)
_TEXTS = ("", "a", "b", "A", "aa", "日本", "🙂", 'it\'s; "quoted"', "a\nb", " x ", "1", "%", "\\")
_MONTHS = ((0, 0, 1_000_000_000), (0, 1, 0), (1, 0, 0), (0, 0, 0), (0, 0, -1_000))

TAME = (
    Kind("TINYINT", "integer", SMALL),
    Kind("SMALLINT", "integer", SMALL),
    Kind("INTEGER", "integer", SMALL),
    Kind("BIGINT", "integer", SMALL),
    Kind("HUGEINT", "integer", tuple(Decimal(n) for n in SMALL)),
    Kind("UTINYINT", "natural", (0, 1, 2, 2, 3, 5)),
    Kind("UINTEGER", "natural", (0, 1, 2, 2, 3, 5)),
    Kind("DOUBLE", "real", (0.0, 0.1, 1.5, 1.5, -2.25, 100.0)),
    Kind("FLOAT", "real", (0.0, 0.5, 1.5, 1.5, -2.25, 100.0)),
    Kind("DECIMAL(9,2)", "decimal", tuple(Decimal(t) for t in ("0", "0.01", "1.50", "1.50", "-2.25", "100"))),
    Kind("VARCHAR", "text", _TEXTS),
    Kind("BOOLEAN", "boolean", (True, False)),
    Kind("DATE", "date", (date(1969, 12, 31), date(2024, 2, 29), date(2026, 1, 1), date(2026, 1, 1))),
    Kind("TIMESTAMP", "timestamp", _TIMES),
    Kind("TIMESTAMPTZ", "timestamptz", tuple(t.replace(tzinfo=UTC) for t in _TIMES)),
)  # fmt: skip
WILD = (
    Kind("TINYINT", "wide", (-128, 127, 0, 1)),
    Kind("SMALLINT", "wide", (-32768, 32767, 0)),
    Kind("USMALLINT", "wide", (65535, 0, 1)),
    Kind("INTEGER", "wide", (-(2**31), 2**31 - 1, 0)),
    Kind("UINTEGER", "wide", (2**32 - 1, 0)),
    Kind("BIGINT", "wide", (-(2**63), 2**63 - 1, 2**53 + 1, 2**53, 0)),
    Kind("UBIGINT", "wide", (2**64 - 1, 2**63, 0)),
    Kind("HUGEINT", "wide", (Decimal(2**100), Decimal(-(2**100)), Decimal(0))),
    Kind("UHUGEINT", "wide", (Decimal(2**100), Decimal(0))),
    Kind("DOUBLE", "float", (math.nan, math.inf, -math.inf, -0.0, 0.0, 1e300, 1.5)),
    Kind("FLOAT", "float", (math.nan, math.inf, -math.inf, -0.0, 0.0, 1.5)),
    Kind("DECIMAL(38,10)", "wide", (Decimal("-12345678901234567890.0123456789"), Decimal("1E-10"), Decimal(0))),
    Kind("DATE", "day", (date(1, 1, 1), date(9999, 12, 31), date(2026, 1, 1))),
    Kind("TIMESTAMP", "moment", (datetime(1, 1, 1), datetime(9999, 12, 31), START)),  # noqa: DTZ001
    Kind("TIMESTAMP_MS", "moment", (START, START + timedelta(milliseconds=1))),
    Kind("TIMESTAMP_S", "moment", (START, START + timedelta(seconds=1))),
    Kind("TIME_NS", "time", (time(0, 0), time(23, 59, 59, 999999), time(12, 0))),
    Kind("DOUBLE[]", "nested", ([], [math.nan, None], [-math.inf, 0.5], [1e300])),
    Kind("VARCHAR[]", "nested", ([], [""], ["a", None], ["it's", "日本"])),
    Kind("TIMESTAMP_NS", "moment", (START, START + timedelta(microseconds=1))),
    Kind("TIME", "time", (time(0, 0), time(23, 59, 59, 999999), time(12, 0))),
    Kind("INTERVAL", "interval", tuple(pa.MonthDayNano(m) for m in _MONTHS)),
    Kind("BLOB", "blob", (b"", b"\x00\xff", b"a", b"a")),
    Kind("UUID", "uuid", tuple(f"00000000-0000-0000-0000-00000000000{n}" for n in range(3))),
    Kind("STRUCT(a INTEGER, b VARCHAR)", "struct", ({"a": 1, "b": "x"}, {"a": None, "b": ""}, {"a": 2, "b": None})),
    Kind("INTEGER[]", "list", ([], [1], [3, None, 1], [2, 2])),
    Kind("INTEGER[2]", "array", ([1, 2], [0, None])),
    Kind("STRUCT(a INTEGER)[]", "nested", ([], [{"a": 1}], [{"a": None}, {"a": 2}], [None])),
    Kind("MAP(VARCHAR, INTEGER)", "map", ([], [("a", 1)], [("b", None), ("a", 2)])),
    Kind("ENUM('x', 'y', 'z')", "enum", ("x", "y", "z")),
    Kind("JSON", "json", ('{"a": 1}', "[1, null]", '"t"', "null", "1.5")),
)  # fmt: skip

# Families whose values may be compared, grouped and ordered exactly.
EXACT = frozenset(
    [
        "integer",
        "natural",
        "real",
        "decimal",
        "text",
        "boolean",
        "date",
        "timestamp",
        "timestamptz",
        "wide",
        "float",
        "day",
        "moment",
        "time",
        "interval",
        "blob",
        "uuid",
        "struct",
        "list",
        "array",
        "nested",
        "enum",
    ]
)
NUMBERS = ("integer", "natural", "real", "decimal")
LITERALS = {
    "integer": ("1", "-2", "0", "3::BIGINT"), "natural": ("1", "2::UTINYINT"), "real": ("1.5::DOUBLE", "0.25::DOUBLE"),
    "decimal": ("1.25", "-0.5"), "text": ("'a'", "''", "'it''s'"), "boolean": ("true", "false", "NULL::BOOLEAN"),
    "date": ("DATE '2026-01-01'",), "timestamp": ("TIMESTAMP '2026-01-01 00:00:10'",),
    "timestamptz": ("TIMESTAMPTZ '2026-01-01 00:00:00+00'",), "list": ("[1, 2]", "[]::INTEGER[]"),
    "struct": ("{'a': 1, 'b': 'x'}",), "interval": ("INTERVAL 1 DAY",), "map": ("MAP {'a': 1}",),
    "float": ("'nan'::DOUBLE",), "wide": ("9223372036854775807",),
}  # fmt: skip
