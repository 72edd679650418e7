"""MySQL's own log, written byte by byte, read by us and by mysql-replication."""

# ruff: noqa: DTZ001 - a DATETIME has no zone
from __future__ import annotations

import json
import warnings
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from stream_magic.connectors.mysql_cdc.log import LogReader
from stream_magic.connectors.mysql_cdc.position import LogPosition
from stream_magic.connectors.mysql_cdc.rows import Batch
from stream_magic.connectors.mysql_cdc.tables import Column, Table, arrow_type
from stream_magic.connectors.mysql_cdc.wire import Framing, RawEvent
from stream_magic.errors import ConnectorError
from support import mysql_events as my
from support.mysql_events import Col, Log, image

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
CHARSETS = {my.UTF8MB4: "utf8mb4", my.LATIN1: "latin1", my.BINARY: "binary"}

# column, declared type, precision, scale, two values
COLUMNS: list[tuple[Col, str, int | None, int | None, Any, Any]] = [
    (Col("tiny", my.TINY), "tinyint", None, None, -128, 127),
    (Col("born", my.YEAR), "year", None, None, 1999, 2155),
    (Col("small", my.SHORT, is_unsigned=True), "smallint unsigned", None, None, 65535, 0),
    (Col("medium", my.INT24), "mediumint", None, None, -(2**23), 2**23 - 1),
    (Col("int_u", my.LONG, is_unsigned=True), "int unsigned", None, None, 2**32 - 1, 0),
    (Col("big_u", my.LONGLONG, is_unsigned=True), "bigint unsigned", None, None, 2**64 - 1, 0),
    (Col("big", my.LONGLONG), "bigint", None, None, -(2**63), 2**63 - 1),
    (Col("ratio", my.FLOAT, b"\x04"), "float", None, None, 0.5, -1.25),
    (Col("wide", my.DOUBLE, b"\x08"), "double", None, None, 0.1, -1e300),
    (
        Col("precise", my.NEWDECIMAL, bytes([30, 10])), "decimal", 30, 10,
        Decimal("-12345678901234567890.0123456789"), Decimal("0E-10"),
    ),
    (Col("price", my.NEWDECIMAL, bytes([10, 2])), "decimal", 10, 2, Decimal("99999999.99"), Decimal("-0.01")),
    (Col("code", my.STRING, my.string_meta(40)), "char", None, None, "ab", "日本"),
    (Col("long_code", my.STRING, my.string_meta(1000)), "char", None, None, "é" * 250, ""),
    (Col("note", my.VARCHAR, b"\x90\x01"), "varchar", None, None, "a 🎂", ""),
    (Col("old", my.VARCHAR, b"\x14\x00", collation=my.LATIN1), "varchar", None, None, "Müßig", "x"),
    (Col("raw", my.BLOB, b"\x02", collation=my.BINARY), "blob", None, None, b"\0\xff", b"\1"),
    (Col("body", my.BLOB, b"\x03"), "mediumtext", None, None, "🐧" * 20000, "x"),
    (Col("day", my.DATE), "date", None, None, date(1000, 1, 1), date(9999, 12, 31)),
    (Col("at6", my.DATETIME2, b"\x06"), "datetime", None, None, datetime(2026, 2, 28, 23, 59, 59, 999999), datetime(1000, 1, 1)),
    (Col("at0", my.DATETIME2, b"\x00"), "datetime", None, None, datetime(2026, 2, 28, 1, 2, 3), datetime(1969, 12, 31)),
    (Col("stamp", my.TIMESTAMP2, b"\x03"), "timestamp", None, None, datetime(2026, 7, 1, 12, 0, 0, 125000), datetime(1970, 1, 1, 0, 0, 1)),
    (Col("span", my.TIME2, b"\x03"), "time", None, None, timedelta(hours=838, milliseconds=999), -timedelta(hours=9)),
    (Col("bits", my.BIT, b"\x05\x00"), "bit", 5, None, 21, 0),
    (Col("status", my.ENUM, bytes([my.ENUM, 1]), members=("new", "späť")), "enum", None, None, "späť", "new"),
    (Col("tags", my.SET, bytes([my.SET, 1]), members=("a", "b", "ü")), "set", None, None, "a,ü", "b"),
    (Col("place", my.GEOMETRY, b"\x04"), "point", None, None, b"\0\0\0\0\1", b"\0\0\0\0\2"),
    (Col("last", my.LONG, is_unsigned=True), "int unsigned", None, None, 4_000_000_000, 1),
]  # fmt: skip
COLS = [c[0] for c in COLUMNS]


def table_of(columns: list[tuple[Col, str, int | None, int | None, Any, Any]]) -> Table:
    declared = [
        Column(c.name, kind.split()[0], arrow_type(kind.split()[0], kind, precision, scale))
        for c, kind, precision, scale, _, _ in columns
    ]
    return Table("shop", "t", tuple(declared))


SMALL = [Col("id", my.LONG), Col("note", my.VARCHAR, b"\x90\x01")]
SMALL_TABLE = Table(
    "shop", "t", (Column("id", "int", pa.int32()), Column("note", "varchar", pa.string()))
)
START = LogPosition("mysql", "binlog.000001", 4, f"{UUID}:1-5")


class Wire:
    """Events of a log, through our framing, fed in small pieces."""

    def __init__(self, log: Log, piece: int = 1000) -> None:
        self._framing = Framing(has_checksums=log.checksums)
        self._data = log.stream
        self._piece = piece
        self._at = 0

    def next(self, timeout_s: float) -> RawEvent | None:
        while (event := self._framing.next()) is None and self._at < len(self._data):
            self._framing.feed(self._data[self._at : self._at + self._piece])
            self._at += self._piece
        return event


def reader(log: Log, table: Table = SMALL_TABLE, start: LogPosition = START) -> LogReader:
    fields = [pa.field(c.name, c.type) for c in table.columns]
    return LogReader(Wire(log), start, [table], fields, CHARSETS.__getitem__)


def read_all(log_reader: LogReader, max_rows: int = 10_000) -> Batch:
    batches = []
    while (batch := log_reader.read(max_rows, 0)).rows.num_rows or batch.errors:
        batches.append(batch)
    return Batch(
        pa.concat_tables([b.rows for b in batches]), [e for b in batches for e in b.errors]
    )


def begin(log: Log, number: int) -> Log:
    return log.gtid(UUID, number).query("BEGIN")


def new_log(**kwargs: Any) -> Log:
    return Log(**kwargs).rotate("binlog.000001", artificial=True).format_description()


def read_with_library(log: Log) -> list[tuple[str, dict[str, Any]]]:
    """(kind of event, its values) as mysql-replication has them."""
    from pymysql.protocol import MysqlPacket
    from pymysqlreplication import row_event
    from pymysqlreplication.event import GtidEvent, QueryEvent, RotateEvent, XidEvent
    from pymysqlreplication.packet import BinLogPacketWrapper

    class Control:
        charset = "utf8"

        def _get_dbms(self) -> str:
            return "mysql"

    found: list[tuple[str, dict[str, Any]]] = []
    tables: dict[int, Any] = {}
    allowed = frozenset(
        [row_event.TableMapEvent, row_event.WriteRowsEvent, row_event.UpdateRowsEvent,
         row_event.DeleteRowsEvent, GtidEvent, QueryEvent, RotateEvent, XidEvent]
    )  # fmt: skip
    for raw in log.events:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            packet = BinLogPacketWrapper(
                MysqlPacket(b"\0" + raw, "utf8"), tables, Control(), (8, 4, 3), log.checksums,
                allowed, None, None, None, None, False, False, False, True, False,
            )  # fmt: skip
            event = packet.event
            name = type(event).__name__
            if name == "TableMapEvent":
                tables[event.table_id] = event.get_table()
            elif name == "GtidEvent":
                found.append(("gtid", {"gtid": event.gtid}))
            elif name.endswith("RowsEvent"):
                found.extend((name[0], row) for row in event.rows)
    return found


def in_our_words(column: Col, value: Any) -> Any:
    if isinstance(value, set):
        return ",".join(m for m in column.members if m in value)
    return int(value, 2) if column.type == my.BIT and value is not None else value


@pytest.mark.parametrize("checksums", [True, False])
def test_every_type_is_read_as_written_and_as_mysql_replication_reads_it(checksums: bool) -> None:
    one, two = [c[4] for c in COLUMNS], [c[5] for c in COLUMNS]
    none = [None] * len(COLUMNS)
    images = [image(COLS, values) for values in (one, two, none)]
    log = begin(new_log(checksums=checksums), 6).table_map(9, "t", COLS)
    log.rows("c", 9, len(COLS), images)
    log.rows("u", 9, len(COLS), [images[0], images[1], images[1], images[2]])
    log.rows("d", 9, len(COLS), [images[0]]).xid(77)
    rows = read_all(reader(log, table_of(COLUMNS))).rows
    names = [c.name for c in COLS]
    expected = [dict(zip(names, values, strict=True)) for values in (one, two, none)]
    assert rows.column("op").to_pylist() == ["c", "c", "c", "u", "u", "d"]
    assert rows.column("after").to_pylist()[:5] == [*expected, expected[1], expected[2]]
    assert rows.column("before").to_pylist()[3:] == [expected[0], expected[1], expected[0]]
    if not checksums:
        return  # mysql-replication always takes four bytes off
    theirs = [row for kind, row in read_with_library(log) if kind == "W"]
    for row, ours in zip(theirs, expected, strict=True):
        for column in COLS:
            assert in_our_words(column, row["values"][column.name]) == ours[column.name], column


def test_binary_json_is_read_as_mysql_replication_reads_it() -> None:
    documents: list[Any] = [
        {"a": 1, "list": [True, None, "🎂", -5, 70_000, 2**40, 0.5], "sub": {"x": {}}}, [], "text", 7,
    ]  # fmt: skip
    columns = [(Col("doc", my.JSON, b"\x04"), "json", None, None, None, None)]
    images = [image([columns[0][0]], [d]) for d in documents]
    log = begin(new_log(), 6).table_map(9, "t", [columns[0][0]]).rows("c", 9, 1, images).xid(1)
    after = read_all(reader(log, table_of(columns))).rows.column("after").to_pylist()
    assert [json.loads(row["doc"]) for row in after] == documents

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {k.decode(): plain(v) for k, v in value.items()}
        if isinstance(value, list):
            return [plain(v) for v in value]
        return value.decode() if isinstance(value, bytes) else value

    theirs = [plain(row["values"]["doc"]) for kind, row in read_with_library(log) if kind == "W"]
    assert theirs == documents


def test_gtids_are_collected_and_rows_carry_them() -> None:
    log = new_log()
    for number in (6, 7, 9):
        begin(log, number).table_map(9, "t", SMALL)
        log.rows("c", 9, 2, [image(SMALL, (number, "x"))]).xid(number)
    source = reader(log)
    rows = read_all(source).rows.to_pylist()
    assert [r["source"]["gtid"] for r in rows] == [f"{UUID}:{n}" for n in (6, 7, 9)]
    assert [kind for kind, _ in read_with_library(log)] == ["gtid", "W"] * 3
    assert source.position.gtid == f"{UUID}:1-7:9"
    assert rows[0]["ts"] == datetime(2023, 11, 14, 22, 13, 20)


def test_without_gtids_a_transaction_is_named_by_its_place_and_file_and_offset_lead_on() -> None:
    log = new_log().anonymous().query("BEGIN").table_map(9, "t", SMALL)
    log.rows("c", 9, 2, [image(SMALL, (1, "x"))]).xid(1)
    end = log.pos
    log.rotate("binlog.000002").rotate("binlog.000002", artificial=True).format_description()
    start = LogPosition("mysql", "binlog.000001", 4, None)
    source = reader(log, start=start)
    (row,) = read_all(source).rows.to_pylist()
    assert row["source"]["gtid"] is None
    assert row["source"]["transaction"].startswith("binlog.000001:")
    assert source.position == LogPosition("mysql", "binlog.000002", 4, None)
    assert end > 4


def test_a_tagged_gtid_falls_back_to_file_and_offset() -> None:
    log = new_log().add(42, b"\x01" * 30).query("BEGIN").table_map(9, "t", SMALL)
    log.rows("c", 9, 2, [image(SMALL, (1, "x"))]).xid(1)
    source = reader(log)
    read_all(source)
    assert source.position == LogPosition("mysql", "binlog.000001", log.pos, None)


def test_every_batch_end_can_be_resumed() -> None:
    log = new_log()
    for number in (6, 7):
        begin(log, number).table_map(9, "t", SMALL)
        log.rows("c", 9, 2, [image(SMALL, (10 * number + i, "x")) for i in range(4)])
        log.rows("u", 9, 2, [image(SMALL, (10 * number, t)) for t in "xyyz"])
        log.xid(number)
    whole = read_all(reader(log)).rows
    assert whole.num_rows == 12
    for max_rows in (1, 3, 5):
        source = reader(log)
        given = 0
        while (batch := source.read(max_rows, 0)).rows.num_rows:
            assert batch.rows.num_rows <= max_rows
            given += batch.rows.num_rows
            position = source.position
            # A server sends what follows the GTIDs of the position, whole transactions only.
            done = {f"{UUID}:1-5": 0, f"{UUID}:1-6": 6, f"{UUID}:1-7": 12}[position.gtid or ""]
            rest = _from_transaction(log, done // 6)
            again = read_all(reader(rest, start=position)).rows if given < 12 else whole.slice(12)
            assert again.column("after").equals(whole.slice(given).column("after"))


def _from_transaction(log: Log, number: int) -> Log:
    """The log without its first transactions (of six events each, after the two at its head)."""
    rest = Log()
    rest.events = log.events[:2] + log.events[2 + 6 * number :]
    return rest


def test_a_statement_and_a_column_map_without_rows_do_not_disturb() -> None:
    log = new_log().gtid(UUID, 6).query("CREATE TABLE u (n INT)").gtid(UUID, 7).query("TRUNCATE t")
    begin(log, 8).query("INSERT INTO shop.t VALUES (1)").xid(8)
    source = reader(log)
    reasons = [e.reason for e in read_all(source).errors]
    assert ["one statement" in r for r in reasons] == [True, False]
    assert "binlog_format = 'ROW'" in reasons[1]
    assert source.position.gtid == f"{UUID}:1-8"


def test_an_image_without_all_columns_is_an_error_and_no_null() -> None:
    log = begin(new_log(), 6).table_map(9, "t", SMALL)
    one_column = b"\x00" + (5).to_bytes(4, "little")
    log.rows("d", 9, 2, [one_column, one_column], present=0b01)
    log.rows("c", 9, 2, [image(SMALL, (1, "x"))]).xid(6)
    batch = read_all(reader(log))
    assert batch.rows.num_rows == 1
    assert [e.raw for e in batch.errors] == [one_column] * 2
    assert "binlog_row_image" in batch.errors[0].reason


def test_rows_that_are_cut_off_are_an_error_and_reading_goes_on() -> None:
    log = begin(new_log(), 6).table_map(9, "t", SMALL)
    good = image(SMALL, (1, "whole"))
    log.rows("c", 9, 2, [good, good[:-3]]).rows("c", 9, 2, [good]).xid(6)
    batch = read_all(reader(log))
    assert [r["id"] for r in batch.rows.column("after").to_pylist()] == [1]
    assert "cannot be read" in batch.errors[0].reason


def test_an_unknown_event_stops_unless_it_may_be_ignored() -> None:
    assert reader(new_log().add(99, b"x", flags=0x80)).read(10, 0).rows.num_rows == 0
    with pytest.raises(ConnectorError, match="event of type 40") as caught:
        reader(new_log().add(40, b"x")).read(10, 0)
    assert caught.value.code == "SM4109"


def test_a_damaged_event_is_refused() -> None:
    log = begin(new_log(), 6)
    log.events[-1] = log.events[-1][:-6] + b"??" + log.events[-1][-4:]
    with pytest.raises(ConnectorError, match="damaged"):
        reader(log).read(10, 0)


def test_an_event_of_more_than_16_mb_is_joined_from_its_packets() -> None:
    columns = [Col("body", my.BLOB, b"\x04")]
    text = "ä" * 9_000_000
    log = begin(new_log(), 6).table_map(9, "t", columns).rows("c", 9, 1, [image(columns, [text])])
    table = Table("shop", "t", (Column("body", "longtext", pa.string()),))
    fields = [pa.field("body", pa.string())]
    source = LogReader(Wire(log.xid(1), 1 << 18), START, [table], fields, CHARSETS.__getitem__)
    assert read_all(source).rows.column("after").to_pylist() == [{"body": text}]


def test_an_xa_transaction_that_is_rolled_back_is_reported() -> None:
    log = new_log().gtid(UUID, 6).query("XA START X'61',X'',1").table_map(9, "t", SMALL)
    log.rows("c", 9, 2, [image(SMALL, (1, "x"))]).query("XA END X'61',X'',1")
    log.add(38, b"\0" + (1).to_bytes(4, "little") + bytes(8))
    log.gtid(UUID, 7).query("XA ROLLBACK X'61',X'',1")
    batch = read_all(reader(log))
    assert batch.rows.num_rows == 1
    assert "XA transaction was rolled back" in batch.errors[0].reason
