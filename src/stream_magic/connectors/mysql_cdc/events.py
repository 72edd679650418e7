"""What the events of the log say, after MySQL's and MariaDB's documented layouts.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication.html and
https://mariadb.com/docs/server/reference/clientserver-protocol/replication-protocol
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from uuid import UUID

from stream_magic.connectors.mysql_cdc import charsets

QUERY, STOP, ROTATE, FORMAT_DESCRIPTION, XID = 2, 3, 4, 15, 16
TABLE_MAP, INCIDENT, XA_PREPARE, PARTIAL_UPDATE = 19, 26, 38, 39
GTID, ANONYMOUS_GTID, TRANSACTION_PAYLOAD, GTID_TAGGED = 33, 34, 40, 42
MARIADB_GTID, QUERY_COMPRESSED = 162, 165
IGNORED = frozenset(
    # STOP, INTVAR, RAND, USER_VAR, IGNORABLE, ROWS_QUERY, PREVIOUS_GTIDS, group replication's
    # two, and MariaDB's annotation, checkpoint, GTID list and start of encryption
    {STOP, 5, 13, 14, 28, 29, 35, 36, 37, 160, 161, 163, 164}
)
IGNORABLE_FLAG = 0x80
ARTIFICIAL_FLAG = 0x20

INSERT, UPDATE, DELETE = "c", "u", "d"
ROWS = {
    23: INSERT, 24: UPDATE, 25: DELETE, 30: INSERT, 31: UPDATE, 32: DELETE,
    166: INSERT, 167: UPDATE, 168: DELETE, 169: INSERT, 170: UPDATE, 171: DELETE,
}  # fmt: skip
_ROWS_V2 = frozenset({30, 31, 32, 169, 170, 171})
_ROWS_COMPRESSED = range(166, 172)

# Types of columns in a table map.
TINY, SHORT, LONG, FLOAT, DOUBLE, TIMESTAMP, LONGLONG, INT24 = 1, 2, 3, 4, 5, 7, 8, 9
DATE, TIME, DATETIME, YEAR, NEWDATE, VARCHAR, BIT = 10, 11, 12, 13, 14, 15, 16
TIMESTAMP2, DATETIME2, TIME2, VECTOR, JSON, NEWDECIMAL = 17, 18, 19, 242, 245, 246
ENUM, SET, BLOB, VAR_STRING, STRING, GEOMETRY = 247, 248, 252, 253, 254, 255
_NUMERIC = frozenset({TINY, SHORT, INT24, LONG, LONGLONG, NEWDECIMAL, FLOAT, DOUBLE, YEAR})
_ONE_BYTE_META = frozenset(
    {FLOAT, DOUBLE, TIMESTAMP2, DATETIME2, TIME2, BLOB, GEOMETRY, JSON, VECTOR}
)
_TWO_BYTE_META = frozenset({BIT, NEWDECIMAL, VAR_STRING, STRING, ENUM, SET})
_CHARACTER = frozenset({STRING, VAR_STRING, VARCHAR, BLOB})


@dataclass(frozen=True)
class LogColumn:
    """A column as the table map describes it.

    Attributes:
        name: '' unless binlog_row_metadata is FULL.
        code: its type in the log.
        size: bytes of a length prefix (BLOB, JSON, GEOMETRY), of ENUM, SET and BIT, the greatest
            length of CHAR and VARCHAR, the precision of a DECIMAL.
        scale: of a DECIMAL, or digits of fractional seconds.
        is_unsigned: of a number.
        charset: of texts; 'binary' for bytes.
        members: values of ENUM and SET.
    """

    name: str
    code: int
    size: int = 0
    scale: int = 0
    is_unsigned: bool = False
    charset: str = charsets.BINARY
    members: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableMap:
    """Which table the following row events are of, and its columns at that time."""

    database: str
    table: str
    columns: tuple[LogColumn, ...]

    @property
    def has_names(self) -> bool:
        return all(c.name for c in self.columns)


@dataclass(frozen=True)
class Rows:
    """Rows of one event, still raw.

    Attributes:
        op: 'c', 'u' or 'd'.
        table_id: of its table map.
        present: which columns the first images hold (bit i: column i); of an update, the old rows.
        present_after: of an update, the new rows; else as `present`.
        column_count: number of the table's columns.
        images: the rows one after the other.
    """

    op: str
    table_id: int
    present: int
    present_after: int
    column_count: int
    images: bytes


@dataclass(frozen=True)
class Query:
    """A statement in the log."""

    database: str
    text: str


def table_id_of(body: bytes) -> int:
    return int.from_bytes(body[:6], "little")


def parse_rotate(body: bytes) -> tuple[str, int]:
    """(file, offset) where the log goes on."""
    return body[8:].rstrip(b"\0").decode(), int.from_bytes(body[:8], "little")


def parse_mysql_gtid(body: bytes) -> str:
    return f"{UUID(bytes=body[1:17])}:{int.from_bytes(body[17:25], 'little')}"


def parse_mariadb_gtid(body: bytes, server_id: int) -> tuple[str, bool]:
    """(GTID, whether a single statement makes up the whole transaction)."""
    sequence, domain, flags = struct.unpack_from("<QIB", body)
    return f"{domain}-{server_id}-{sequence}", bool(flags & 1)


def parse_query(body: bytes, *, is_compressed: bool = False) -> Query:
    _, _, database_length, _, status_length = struct.unpack_from("<IIBHH", body)
    at = 13 + status_length
    database = body[at : at + database_length].decode("utf-8", errors="replace")
    text = body[at + database_length + 1 :]
    if is_compressed:
        text = _uncompress(text)
    return Query(database, text.decode("utf-8", errors="replace"))


def parse_rows(kind: int, body: bytes) -> Rows:
    at = 8
    if kind in _ROWS_V2:
        at += int.from_bytes(body[8:10], "little")  # extra data, its own length included
    count, at = _packed_int(body, at)
    width = (count + 7) // 8
    present = int.from_bytes(body[at : at + width], "little")
    at += width
    after = present
    if ROWS[kind] == UPDATE:
        after = int.from_bytes(body[at : at + width], "little")
        at += width
    images = body[at:]
    if kind in _ROWS_COMPRESSED:
        images = _uncompress(images)
    return Rows(ROWS[kind], table_id_of(body), present, after, count, images)


def _uncompress(data: bytes) -> bytes:
    """MariaDB's log_bin_compress: a byte with algorithm and width, the size, zlib."""
    width = data[0] & 0x07
    return zlib.decompress(data[1 + width :])


def parse_table_map(body: bytes, charset_of: Callable[[int], str], *, is_mariadb: bool) -> TableMap:
    """A table map.

    Args:
        body: of the event.
        charset_of: name of the character set of a collation's number.
        is_mariadb: MariaDB counts GEOMETRY columns among those with a character set.
    """
    at = 8
    database = body[at + 1 : at + 1 + body[at]].decode("utf-8", errors="replace")
    at += body[at] + 2
    table = body[at + 1 : at + 1 + body[at]].decode("utf-8", errors="replace")
    at += body[at] + 2
    count, at = _packed_int(body, at)
    types = body[at : at + count]
    meta_length, at = _packed_int(body, at + count)
    columns = _columns(types, body[at : at + meta_length])
    at += meta_length + (count + 7) // 8
    fields = _fields(body, at)
    with_charset = _CHARACTER | {GEOMETRY} if is_mariadb else _CHARACTER
    named = _with_metadata(columns, fields, charset_of, with_charset)
    return TableMap(database, table, named)


def _columns(types: bytes, meta: bytes) -> list[LogColumn]:
    columns, at = [], 0
    for logged in types:
        code, size, scale = logged, 0, 0
        if code == VARCHAR:
            size, at = int.from_bytes(meta[at : at + 2], "little"), at + 2
        elif code in _ONE_BYTE_META:
            size, at = meta[at], at + 1
            if code in (TIMESTAMP2, DATETIME2, TIME2):
                size, scale = 0, size
        elif code in _TWO_BYTE_META:
            first, second = meta[at], meta[at + 1]
            at += 2
            if code == NEWDECIMAL:
                size, scale = first, second
            elif code == BIT:
                size = second + (1 if first else 0)
            elif first in (ENUM, SET):
                code, size = first, second
            else:
                # Two high bits of a CHAR's length hide, inverted, in its type's byte.
                code, size = STRING, ((((first << 8 | second) >> 4) & 0x300) ^ 0x300) + second
        columns.append(LogColumn("", code, size, scale))
    return columns


def _fields(body: bytes, at: int) -> dict[int, bytes]:
    """The optional metadata, by number."""
    fields: dict[int, bytes] = {}
    while at < len(body):
        kind = body[at]
        length, at = _packed_int(body, at + 1)
        fields[kind] = body[at : at + length]
        at += length
    return fields


def _with_metadata(
    columns: list[LogColumn],
    fields: dict[int, bytes],
    charset_of: Callable[[int], str],
    with_charset: frozenset[int],
) -> tuple[LogColumn, ...]:
    """The columns with what the fields 1 to 11 of the optional metadata say about them."""
    numbers = [i for i, c in enumerate(columns) if c.code in _NUMERIC]
    unsigned = _flagged(numbers, fields.get(1, b""))
    names = _strings(fields.get(4, b""))
    texts = [i for i, c in enumerate(columns) if c.code in with_charset]
    choices = [i for i, c in enumerate(columns) if c.code in (ENUM, SET)]
    collations = {
        **_collations(texts, fields.get(2), fields.get(3)),
        **_collations(choices, fields.get(10), fields.get(11)),
    }
    members = {ENUM: iter(_lists(fields.get(6, b""))), SET: iter(_lists(fields.get(5, b"")))}
    result = []
    for i, column in enumerate(columns):
        charset = charset_of(collations[i]) if i in collations else charsets.BINARY
        values = next(members[column.code], []) if column.code in members else []
        result.append(
            replace(
                column,
                name=names[i].decode("utf-8") if i < len(names) else "",
                is_unsigned=i in unsigned,
                charset=charset,
                members=tuple(_member(v, charset) for v in values),
            )
        )
    return tuple(result)


def _flagged(columns: list[int], bits: bytes) -> set[int]:
    """Which of the columns have their bit set, highest bit first."""
    return {
        column
        for n, column in enumerate(columns)
        if n // 8 < len(bits) and bits[n // 8] & (0x80 >> (n % 8))
    }


def _collations(columns: list[int], default: bytes | None, each: bytes | None) -> dict[int, int]:
    """Collation numbers by column, from 'all alike but these' or from 'one for each'."""
    if each is not None:
        return dict(zip(columns, _packed_ints(each), strict=False))
    if default is None:
        return {}
    first, *rest = _packed_ints(default)
    result = dict.fromkeys(columns, first)
    for n, collation in zip(rest[::2], rest[1::2], strict=False):
        result[columns[n]] = collation
    return result


def _member(value: bytes, charset: str) -> str:
    decode = charsets.decoder(charset)
    try:
        return decode(value) if decode else value.decode("utf-8")
    except UnicodeError:
        return value.decode("utf-8", errors="replace")


def _strings(data: bytes) -> list[bytes]:
    result, at = [], 0
    while at < len(data):
        length, at = _packed_int(data, at)
        result.append(data[at : at + length])
        at += length
    return result


def _lists(data: bytes) -> list[list[bytes]]:
    result, at = [], 0
    while at < len(data):
        count, at = _packed_int(data, at)
        values = []
        for _ in range(count):
            length, at = _packed_int(data, at)
            values.append(data[at : at + length])
            at += length
        result.append(values)
    return result


def _packed_ints(data: bytes) -> list[int]:
    result, at = [], 0
    while at < len(data):
        value, at = _packed_int(data, at)
        result.append(value)
    return result


def _packed_int(data: bytes, at: int) -> tuple[int, int]:
    """A length-encoded integer and the offset behind it."""
    first = data[at]
    if first < 251:
        return first, at + 1
    width = {252: 2, 253: 3, 254: 8}[first]
    return int.from_bytes(data[at + 1 : at + 1 + width], "little"), at + 1 + width
