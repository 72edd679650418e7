"""Writes MySQL binary log events after the layouts that MySQL documents.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_replication_binlog_event.html and
the pages of `mysql::binlog::event`. There is no MySQL server to test with; so these bytes are read by
our reader and by mysql-replication, which must find the same in them.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any
from uuid import UUID

TINY, SHORT, LONG, FLOAT, DOUBLE, LONGLONG, INT24, DATE, YEAR = 1, 2, 3, 4, 5, 8, 9, 10, 13
VARCHAR, BIT, TIMESTAMP2, DATETIME2, TIME2, JSON, NEWDECIMAL = 15, 16, 17, 18, 19, 245, 246
ENUM, SET, BLOB, STRING, GEOMETRY = 247, 248, 252, 254, 255
UTF8MB4, LATIN1, BINARY = 255, 8, 63
NUMBERS = {TINY, SHORT, INT24, LONG, LONGLONG, NEWDECIMAL, FLOAT, DOUBLE, YEAR}


@dataclass(frozen=True)
class Col:
    """A column of a table map: `meta` as the type asks for it, in the order of its bytes."""

    name: str
    type: int
    meta: bytes = b""
    is_unsigned: bool = False
    collation: int = UTF8MB4
    members: tuple[str, ...] = ()


class Log:
    """Makes events with rising positions; `stream` is what a server would send."""

    def __init__(self, *, checksums: bool = True, timestamp: int = 1_700_000_000) -> None:
        self.checksums = checksums
        self.timestamp = timestamp
        self.pos = 4
        self.events: list[bytes] = []

    def add(self, kind: int, body: bytes, flags: int = 0, *, artificial: bool = False) -> Log:
        size = 19 + len(body) + (4 if self.checksums else 0)
        self.pos += 0 if artificial else size
        end = 0 if artificial else self.pos
        event = struct.pack("<IBIIIH", self.timestamp, kind, 1, size, end, flags) + body
        if self.checksums:
            event += struct.pack("<I", zlib.crc32(event))
        self.events.append(event)
        return self

    def rotate(self, file: str, pos: int = 4, *, artificial: bool = False) -> Log:
        self.add(
            4,
            struct.pack("<Q", pos) + file.encode(),
            0x20 if artificial else 0,
            artificial=artificial,
        )
        self.pos = pos
        return self

    def format_description(self, version: str = "8.4.3") -> Log:
        lengths = bytes([0] * 18 + [8] + [0] * 3 + [8, 8, 8] + [0] * 4 + [10, 10, 10] + [0] * 9)
        body = struct.pack("<H50sIB", 4, version.encode(), self.timestamp, 19) + lengths
        # Its own checksum is always there; the byte before it speaks for the others.
        body += bytes([1 if self.checksums else 0])
        return self.add(15, body if self.checksums else body + b"\0\0\0\0")

    def gtid(self, source: str, number: int) -> Log:
        body = b"\x01" + UUID(source).bytes + struct.pack("<QB", number, 2)
        return self.add(33, body + struct.pack("<QQ", 0, 1))

    def anonymous(self) -> Log:
        return self.add(
            34, b"\x01" + bytes(16) + struct.pack("<QB", 0, 2) + struct.pack("<QQ", 0, 1)
        )

    def query(self, text: str, database: str = "shop") -> Log:
        head = struct.pack("<IIBHH", 7, 0, len(database), 0, 3) + b"\x00\x01\x02"
        return self.add(2, head + database.encode() + b"\0" + text.encode())

    def xid(self, number: int) -> Log:
        return self.add(16, struct.pack("<Q", number))

    def table_map(
        self, table_id: int, table: str, columns: Sequence[Col], database: str = "shop"
    ) -> Log:
        body = table_id.to_bytes(6, "little") + b"\x01\x00"
        body += bytes([len(database)]) + database.encode() + b"\0"
        body += bytes([len(table)]) + table.encode() + b"\0"
        body += packed(len(columns)) + bytes(_logged_type(c) for c in columns)
        meta = b"".join(c.meta for c in columns)
        body += packed(len(meta)) + meta + b"\xff" * ((len(columns) + 7) // 8)
        return self.add(19, body + _metadata(columns))

    def rows(
        self,
        op: str,
        table_id: int,
        count: int,
        images: Sequence[bytes],
        present: int | None = None,
    ) -> Log:
        """`images` of updates are before, after, before, after, ..."""
        kind = {"c": 30, "u": 31, "d": 32}[op]
        every = (1 << count) - 1 if present is None else present
        bitmap = every.to_bytes((count + 7) // 8, "little")
        head = table_id.to_bytes(6, "little") + struct.pack("<HH", 1, 2) + packed(count)
        return self.add(kind, head + bitmap * (2 if op == "u" else 1) + b"".join(images))

    @property
    def stream(self) -> bytes:
        """Packets, as they come over the wire; 16 MB and more are split."""
        result = b""
        for number, event in enumerate(self.events):
            packet = b"\0" + event
            while True:
                part, packet = packet[:0xFFFFFF], packet[0xFFFFFF:]
                result += len(part).to_bytes(3, "little") + bytes([number & 255]) + part
                if len(part) < 0xFFFFFF:
                    break
        return result


def image(columns: Sequence[Col], values: Sequence[Any]) -> bytes:
    """One row: the bitmap of NULLs and the values, encoded by `encode`."""
    nulls = sum(1 << i for i, v in enumerate(values) if v is None)
    data = nulls.to_bytes((len(columns) + 7) // 8, "little")
    return data + b"".join(
        encode(c, v) for c, v in zip(columns, values, strict=True) if v is not None
    )


def encode(column: Col, value: Any) -> bytes:
    """A value as MySQL logs it."""
    kind, meta = column.type, column.meta
    widths = {TINY: 1, SHORT: 2, INT24: 3, LONG: 4, LONGLONG: 8}
    if kind in widths:
        return int(value).to_bytes(widths[kind], "little", signed=not column.is_unsigned)
    if kind == FLOAT:
        return struct.pack("<f", value)
    if kind == DOUBLE:
        return struct.pack("<d", value)
    if kind == YEAR:
        return bytes([value - 1900])
    if kind == DATE:
        return (value.year << 9 | value.month << 5 | value.day).to_bytes(3, "little")
    if kind == NEWDECIMAL:
        return _decimal(value, meta[0], meta[1])
    if kind == DATETIME2:
        return _datetime2(value, meta[0])
    if kind == TIMESTAMP2:
        seconds = int((value - datetime(1970, 1, 1)).total_seconds())  # noqa: DTZ001
        return seconds.to_bytes(4, "big") + _fraction(value.microsecond, meta[0])
    if kind == TIME2:
        return _time2(value, meta[0])
    if kind == BIT:
        return int(value).to_bytes(meta[1] + (1 if meta[0] else 0), "big")
    if kind == ENUM:
        return (column.members.index(value) + 1).to_bytes(meta[1], "little")
    if kind == SET:
        bits = sum(1 << column.members.index(m) for m in value.split(",") if m)
        return bits.to_bytes(meta[1], "little")
    if kind == JSON:
        data = json_document(value)
        return len(data).to_bytes(meta[0], "little") + data
    data = (
        value.encode("cp1252" if column.collation == LATIN1 else "utf-8")
        if isinstance(value, str)
        else value
    )
    if kind in (BLOB, GEOMETRY):
        return len(data).to_bytes(meta[0], "little") + data
    longest = (
        int.from_bytes(meta, "little")
        if kind == VARCHAR
        else meta[1] + ((meta[0] & 0x30 ^ 0x30) << 4)
    )
    return len(data).to_bytes(2 if longest > 255 else 1, "little") + data


def string_meta(length: int) -> bytes:
    """Of CHAR(n) with `length` bytes: two bits of it hide, inverted, in the type's byte."""
    return bytes([STRING ^ ((length & 0x300) >> 4), length & 0xFF])


def json_document(value: Any) -> bytes:
    kind, data = _json(value)
    return bytes([kind]) + data


def packed(number: int) -> bytes:
    """A length-encoded integer."""
    if number < 251:
        return bytes([number])
    if number < 1 << 16:
        return b"\xfc" + number.to_bytes(2, "little")
    return b"\xfd" + number.to_bytes(3, "little")


def _logged_type(column: Col) -> int:
    """ENUM and SET travel as STRING, with their own type in the metadata."""
    return STRING if column.type in (ENUM, SET) else column.type


def _metadata(columns: Sequence[Col]) -> bytes:
    def field(kind: int, data: bytes) -> bytes:
        return bytes([kind]) + packed(len(data)) + data if data else b""

    def texts(values: Sequence[str]) -> bytes:
        return b"".join(packed(len(v.encode())) + v.encode() for v in values)

    def members(kind: int) -> bytes:
        chosen = [c for c in columns if c.type == kind]
        return b"".join(packed(len(c.members)) + texts(c.members) for c in chosen)

    unsigned = [c.is_unsigned for c in columns if c.type in NUMBERS]
    bits = bytes(
        sum(0x80 >> i for i, on in enumerate(unsigned[at : at + 8]) if on)
        for at in range(0, len(unsigned), 8)
    )
    characters = [c.collation for c in columns if c.type in (STRING, VARCHAR, BLOB)]
    choices = [c.collation for c in columns if c.type in (ENUM, SET)]
    default = max(set(characters), key=characters.count) if characters else 0
    default_field = packed(default) + b"".join(
        packed(i) + packed(c) for i, c in enumerate(characters) if c != default
    )
    return (
        field(1, bits)
        + field(2, default_field if characters else b"")
        + field(4, texts([c.name for c in columns]))
        + field(5, members(SET))
        + field(6, members(ENUM))
        + field(11, b"".join(packed(c) for c in choices))
    )


def _fraction(us: int, digits: int) -> bytes:
    width = (digits + 1) // 2
    return (us // 100 ** (3 - width)).to_bytes(width, "big")


def _datetime2(value: datetime, digits: int) -> bytes:
    day = (value.year * 13 + value.month) << 5 | value.day
    clock = value.hour << 12 | value.minute << 6 | value.second
    return ((day << 17 | clock) + (1 << 39)).to_bytes(5, "big") + _fraction(
        value.microsecond, digits
    )


def _time2(value: timedelta, digits: int) -> bytes:
    width = (digits + 1) // 2
    us = abs(value) // timedelta(microseconds=1)
    seconds, us = divmod(us, 1_000_000)
    whole = seconds // 3600 << 12 | seconds // 60 % 60 << 6 | seconds % 60
    number = whole << 8 * width | us // 100 ** (3 - width)
    offset = 1 << (23 + 8 * width)
    return (offset - number if value < timedelta(0) else offset + number).to_bytes(3 + width, "big")


def _decimal(value: Decimal, precision: int, scale: int) -> bytes:
    widths = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)
    with localcontext(prec=80):
        digits = str(abs(int(value.scaleb(scale)))).rjust(precision, "0")
    whole, fraction = digits[: precision - scale], digits[precision - scale :]
    groups = [whole[: len(whole) % 9]] if len(whole) % 9 else []
    rest = whole[len(whole) % 9 :]
    groups += [rest[i : i + 9] for i in range(0, len(rest), 9)]
    groups += [fraction[i : i + 9] for i in range(0, len(fraction), 9)]
    data = bytearray(b"".join(int(g).to_bytes(widths[len(g)], "big") for g in groups))
    if value < 0:
        data = bytearray(b ^ 0xFF for b in data)
    data[0] ^= 0x80
    return bytes(data)


def _json(value: Any) -> tuple[int, bytes]:
    """Type and data of a value in a small document."""
    if value is None or isinstance(value, bool):
        return 4, bytes([{None: 0, True: 1, False: 2}[value]])
    if isinstance(value, int):
        if -(2**15) <= value < 2**15:
            return 5, struct.pack("<h", value)
        return (
            (7, struct.pack("<i", value)) if abs(value) < 2**31 else (9, struct.pack("<q", value))
        )
    if isinstance(value, float):
        return 11, struct.pack("<d", value)
    if isinstance(value, str):
        data = value.encode()
        return 12, bytes([len(data)]) + data  # up to 127 bytes
    keys = [k.encode() for k in value] if isinstance(value, dict) else []
    items = [_json(v) for v in (value.values() if isinstance(value, dict) else value)]
    at = 4 + 4 * len(keys) + 3 * len(items)
    head, tail, entries = b"", b"", b""
    for key in keys:
        head += struct.pack("<HH", at + len(tail), len(key))
        tail += key
    for kind, data in items:
        if kind in (4, 5):
            entries += bytes([kind]) + data.ljust(2, b"\0")
        else:
            entries += bytes([kind]) + struct.pack("<H", at + len(tail))
            tail += data
    size = struct.pack("<HH", len(items), at + len(tail))
    return (0 if isinstance(value, dict) else 2), size + head + entries + tail
