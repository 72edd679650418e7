"""Where in the log a source goes on: always between two transactions, plus rows already used of the next.

A server takes up only at the end of a transaction ("binlog truncated in the middle of event"
otherwise), but a batch may end inside a big one. So a position says how many rows of the following
transaction have been handed out already; they are read again and left out.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass, replace
from uuid import UUID

from stream_magic.core.epoch import Position

_SOURCE_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class LogPosition:
    """A place in the binary log.

    Attributes:
        flavour: 'mariadb' or 'mysql': whose GTIDs these are.
        file: name of the binary log file.
        pos: offset in that file, at a transaction's end.
        gtid: all transactions before this place, in the server's own words; None without GTIDs.
        used: items (rows and notes) of the next transaction that were handed out.
    """

    flavour: str
    file: str
    pos: int
    gtid: str | None
    used: int = 0

    def to_json(self) -> Position:
        return {
            "flavour": self.flavour,
            "file": self.file,
            "pos": self.pos,
            "gtid": self.gtid,
            "used": self.used,
        }

    @classmethod
    def from_json(cls, position: Position) -> LogPosition:
        gtid = position["gtid"]
        return cls(
            str(position["flavour"]),
            str(position["file"]),
            int(str(position["pos"])),
            None if gtid is None else str(gtid),
            int(str(position["used"])),
        )

    def after(self, file: str, pos: int, gtid: str | None) -> LogPosition:
        """The place behind one more transaction."""
        known = self.gtid
        if known is not None and gtid is not None:
            add = add_mariadb_gtid if self.flavour == "mariadb" else add_mysql_gtid
            known = add(known, gtid)
        return replace(self, file=file, pos=pos, gtid=known, used=0)


def add_mariadb_gtid(state: str, gtid: str) -> str:
    """'0-1-5,1-1-9' and '0-1-6' -> '0-1-6,1-1-9': the last transaction of each domain."""
    domain = gtid.partition("-")[0]
    last = {part.partition("-")[0]: part for part in state.split(",") if part}
    last[domain] = gtid
    return ",".join(last.values())


def parse_mysql_gtids(text: str) -> dict[str, list[tuple[int, int]]]:
    """'UUID:1-5:7, UUID:3' -> closed intervals by server.

    Raises:
        ValueError: it is not a GTID set, or one with tags (MySQL 8.3 and later).
    """
    result: dict[str, list[tuple[int, int]]] = {}
    for part in filter(None, (p.strip() for p in text.split(","))):
        source, *intervals = part.split(":")
        if not _SOURCE_ID.fullmatch(source) or not intervals:
            raise ValueError(f"'{part}' is not a GTID set")
        for interval in intervals:
            first, _, last = interval.partition("-")
            _insert(result.setdefault(source.lower(), []), int(first), int(last or first))
    return result


def format_mysql_gtids(gtids: dict[str, list[tuple[int, int]]]) -> str:
    def text(first: int, last: int) -> str:
        return str(first) if first == last else f"{first}-{last}"

    return ",".join(":".join([s, *(text(*i) for i in ranges)]) for s, ranges in gtids.items())


def add_mysql_gtid(state: str, gtid: str) -> str:
    """'UUID:1-5' and 'UUID:6' -> 'UUID:1-6'."""
    gtids = parse_mysql_gtids(state)
    source, _, number = gtid.partition(":")
    _insert(gtids.setdefault(source.lower(), []), int(number), int(number))
    return format_mysql_gtids(gtids)


def encode_mysql_gtids(text: str) -> bytes:
    """The set as COM_BINLOG_DUMP_GTID wants it (intervals half open)."""
    gtids = parse_mysql_gtids(text)
    data = struct.pack("<Q", len(gtids))
    for source, ranges in gtids.items():
        data += UUID(source).bytes + struct.pack("<Q", len(ranges))
        for first, last in ranges:
            data += struct.pack("<QQ", first, last + 1)
    return data


def _insert(ranges: list[tuple[int, int]], first: int, last: int) -> None:
    """Adds an interval to sorted, disjoint ones; the usual case is to lengthen the last."""
    ranges.append((first, last))
    ranges.sort()
    merged: list[tuple[int, int]] = []
    for low, high in ranges:
        if merged and low <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(high, merged[-1][1]))
        else:
            merged.append((low, high))
    ranges[:] = merged
