"""The tables to read: which, with which columns, and in which Arrow types.

The types come from the table's definition and are the same for the snapshot and for the log.
`TINYINT(1)` (BOOLEAN) stays a number, so that a 2 in it is not lost; TIMESTAMP is UTC; TIME may be
negative and beyond a day, so it is an interval; BIT(1) is true or false and a longer BIT a number.
"""

from __future__ import annotations

import difflib
import fnmatch
import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.connectors.mysql_cdc.values import MAX_ARROW_DECIMAL, Bad, Converted
from stream_magic.errors import ConnectorError

SYSTEM_DATABASES = ("information_schema", "mysql", "performance_schema", "sys")
_INTEGERS = {
    "tinyint": (pa.int8(), pa.uint8()), "smallint": (pa.int16(), pa.uint16()),
    "mediumint": (pa.int32(), pa.uint32()), "int": (pa.int32(), pa.uint32()),
    "bigint": (pa.int64(), pa.uint64()),
}  # fmt: skip
_PLAIN = {
    "float": pa.float32(), "double": pa.float64(), "date": pa.date32(),
    "datetime": pa.timestamp("us"), "timestamp": pa.timestamp("us"), "time": pa.duration("us"),
    "year": pa.int16(), "char": pa.string(), "varchar": pa.string(), "tinytext": pa.string(),
    "text": pa.string(), "mediumtext": pa.string(), "longtext": pa.string(), "enum": pa.string(),
    "set": pa.string(), "json": pa.string(), "uuid": pa.string(), "inet4": pa.string(),
    "inet6": pa.string(),
}  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column as declared in the database.

    Attributes:
        name: of the column.
        kind: its type's name: 'bigint', 'decimal', 'uuid'.
        type: the Arrow type that we give it.
    """

    name: str
    kind: str
    type: pa.DataType


@dataclass(frozen=True)
class Table:
    """A table to read.

    Attributes:
        database: of the table.
        name: of the table.
        columns: to read.
        is_transactional: False for engines that a snapshot cannot freeze.
        ignored: columns that are not read: computed ones, for which the log has no values, and
            those that the statement does not declare.
    """

    database: str
    name: str
    columns: tuple[Column, ...]
    is_transactional: bool = True
    ignored: frozenset[str] = frozenset()

    @property
    def path(self) -> str:
        return f"{self.database}.{self.name}"

    @property
    def key(self) -> tuple[str, str]:
        return self.database, self.name


def arrow_type(
    kind: str, column_type: str, precision: int | None, scale: int | None
) -> pa.DataType:
    """The Arrow type of a column of information_schema (DATA_TYPE, COLUMN_TYPE, ...)."""
    if kind in _INTEGERS:
        return _INTEGERS[kind]["unsigned" in column_type]
    if kind == "decimal":
        digits = precision or 10
        fits = digits <= MAX_ARROW_DECIMAL
        return pa.decimal128(digits, scale or 0) if fits else pa.string()
    if kind == "bit":
        return pa.bool_() if precision == 1 else pa.uint64()
    return _PLAIN.get(kind, pa.binary())


def find_tables(cursor: Any, patterns: Sequence[str], default_database: str | None) -> list[Table]:
    """The tables that 'shop.orders' or 'shop.*' name, in this order.

    Raises:
        ConnectorError: SM4103 there is no such table.
    """
    cursor.execute(
        "SELECT table_schema, table_name, engine FROM information_schema.tables"
        " WHERE table_type LIKE '%%TABLE%%' AND table_schema NOT IN (%s, %s, %s, %s)"
        " ORDER BY table_schema, table_name",
        SYSTEM_DATABASES,
    )
    engines = {(row[0], row[1]): str(row[2] or "") for row in cursor.fetchall()}
    found: dict[tuple[str, str], None] = {}
    for pattern in patterns:
        database, name = split_name(pattern, default_database)
        matching = [
            key
            for key in engines
            if fnmatch.fnmatchcase(key[0], database) and fnmatch.fnmatchcase(key[1], name)
        ]
        if not matching:
            raise _no_table(f"{database}.{name}", [f"{d}.{n}" for d, n in engines])
        found.update(dict.fromkeys(matching))
    return [_describe(cursor, d, n, engines[d, n]) for d, n in found]


def split_name(pattern: str, default_database: str | None) -> tuple[str, str]:
    """'shop.orders' -> ('shop', 'orders'); a bare name is of the URL's database."""
    database, dot, name = pattern.replace("`", "").partition(".")
    if dot:
        return database, name
    if default_database is None:
        raise ConnectorError(
            "SM4103",
            f"table '{pattern}' has no database",
            hint=f"write tables = 'DATABASE.{pattern}', or name the database in the url",
        )
    return default_database, database


def _no_table(path: str, known: list[str]) -> ConnectorError:
    close = difflib.get_close_matches(path, known, n=1)
    if close:
        hint = f"did you mean '{close[0]}'?"
    elif known:
        hint = f"this user can see: {', '.join(known[:10])}{', ...' if len(known) > 10 else ''}"
    else:
        hint = "this user can see no table: GRANT SELECT ON DATABASE.* TO the user"
    return ConnectorError("SM4103", f"there is no table '{path}'", hint=hint)


def _describe(cursor: Any, database: str, name: str, engine: str) -> Table:
    cursor.execute(
        "SELECT column_name, data_type, column_type, numeric_precision, numeric_scale, extra"
        " FROM information_schema.columns WHERE table_schema = %s AND table_name = %s"
        " ORDER BY ordinal_position",
        (database, name),
    )
    columns, computed = [], set()
    for column, data_type, column_type, precision, scale, extra in cursor.fetchall():
        if "VIRTUAL" in _text(extra).upper():
            computed.add(column)
            continue
        kind, full = _text(data_type).lower(), _text(column_type).lower()
        columns.append(Column(column, kind, arrow_type(kind, full, precision, scale)))
    is_transactional = engine.upper() in ("INNODB", "ROCKSDB")
    return Table(database, name, tuple(columns), is_transactional, frozenset(computed))


def _text(value: Any) -> str:
    """MySQL 8 gives some columns of information_schema as bytes."""
    return value.decode() if isinstance(value, bytes) else str(value)


def union_fields(tables: Sequence[Table]) -> list[pa.Field]:
    """Columns of `before` and `after`: those of all tables, by name.

    Raises:
        ConnectorError: SM4108 two tables have a column of one name and different types.
    """
    owners: dict[str, tuple[Table, Column]] = {}
    for table in tables:
        for column in table.columns:
            other, same = owners.setdefault(column.name, (table, column))
            if same.type != column.type:
                raise ConnectorError(
                    "SM4108",
                    f"column '{column.name}' is {same.type} in {other.path}"
                    f" and {column.type} in {table.path}",
                    hint="read these tables by one source each",
                )
    return [pa.field(name, column.type) for name, (_, column) in owners.items()]


def declared_tables(tables: Sequence[Table], fields: Sequence[pa.Field]) -> list[Table]:
    """The tables with only the declared columns, in the declared types; all if none are declared."""
    if not fields:
        return list(tables)
    types = {f.name: f.type for f in fields}
    return [
        replace(
            table,
            columns=tuple(replace(c, type=types[c.name]) for c in table.columns if c.name in types),
            ignored=table.ignored | {c.name for c in table.columns if c.name not in types},
        )
        for table in tables
    ]


def fit(values: pa.Array, column: Column) -> Converted:
    """Values as the log has them in the declared type; what does not fit is bad, never another value."""
    if values.type == column.type and column.kind not in _FROM_BYTES:
        return values, {}
    if pa.types.is_binary(values.type) and column.kind in _FROM_BYTES:
        return _each(values, _FROM_BYTES[column.kind], column)
    if not _may_cast(values.type, column.type):
        return _none_fits(values, column)
    try:
        return values.cast(column.type), {}
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return _each(values, lambda v: pa.scalar(v, values.type).cast(column.type).as_py(), column)


def _may_cast(have: pa.DataType, want: pa.DataType) -> bool:
    """Only casts that keep the value or fail."""
    kinds: tuple[Callable[[pa.DataType], bool], ...] = (
        pa.types.is_integer, pa.types.is_decimal, pa.types.is_floating, pa.types.is_temporal,
    )  # fmt: skip
    if have == want or (pa.types.is_integer(have) and pa.types.is_boolean(want)):
        return bool(have in (want, pa.uint64()))
    if pa.types.is_integer(have) and pa.types.is_decimal(want):
        return True
    return any(kind(have) and kind(want) for kind in kinds)


def _none_fits(values: pa.Array, column: Column) -> Converted:
    valid = pc.indices_nonzero(pc.is_valid(values)).to_pylist()
    reason = (
        f"column '{column.name}' is now {values.type}; this source was declared with {column.type}"
    )
    return pa.nulls(len(values), column.type), {int(i): reason for i in valid}


def _each(values: pa.Array, convert: Callable[[Any], Any], column: Column) -> Converted:
    result: list[Any] = []
    bad: Bad = {}
    for i, value in enumerate(values.to_pylist()):
        try:
            result.append(None if value is None else convert(value))
        except (ValueError, TypeError, OSError, pa.ArrowException) as error:
            result.append(None)
            bad[i] = f"column '{column.name}': {error}"
    return pa.array(result, column.type), bad


def _uuid(value: bytes) -> str:
    return str(UUID(bytes=value))


def _inet6(value: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET6, value)


_FROM_BYTES: dict[str, Callable[[bytes], str]] = {
    "uuid": _uuid,
    "inet4": lambda value: str(ipaddress.IPv4Address(value)),
    "inet6": _inet6,
}

_STATEMENT = re.compile(
    r"^\s*(?:/\*.*?\*/\s*)*(truncate(?:\s+table)?|drop\s+(?:table|database|schema)"
    r"|rename\s+table|insert|replace|update|delete|load\s+data|xa\s+rollback)\b",
    re.IGNORECASE | re.DOTALL,
)


def harmful_statement(text: str, database: str, tables: Sequence[Table]) -> str | None:
    """Why a statement in the log means changes that no row event tells; None if it does not."""
    found = _STATEMENT.match(text)
    if found is None:
        return None
    verb = " ".join(found.group(1).lower().split())
    if verb == "xa rollback":
        return "an XA transaction was rolled back after its rows had been logged"
    names = [t.path for t in tables if _mentions(text, t, database)]
    if verb in ("drop database", "drop schema"):
        names = [t.path for t in tables if re.search(rf"\b{re.escape(t.database)}\b", text)]
    if not names:
        return None
    listed = ", ".join(names)
    if verb.startswith(("truncate", "drop")):
        return f"{listed}: all rows went with one statement; the log has no delete for each"
    if verb.startswith("rename"):
        return f"{listed} was renamed: its changes are no longer read; run the cell again"
    return (
        f"{listed} was changed by a statement that is not logged as rows; in that session:"
        " SET SESSION binlog_format = 'ROW'"
    )


def _mentions(text: str, table: Table, database: str) -> bool:
    name = re.escape(table.name)
    qualified = rf"[`\b]?{re.escape(table.database)}`?\s*\.\s*`?{name}(?![\w$])"
    if re.search(qualified, text, re.IGNORECASE):
        return True
    if table.database != database:
        return False
    return re.search(rf"(?<![\w$.`])`?{name}(?![\w$])", text, re.IGNORECASE) is not None
