"""What a MySQL server is asked, and what is made of its answers, with a cursor that knows them."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

import pymysql
import pytest

from stream_magic.connectors.mysql_cdc import charsets, server
from stream_magic.connectors.mysql_cdc.position import (
    LogPosition,
    add_mariadb_gtid,
    add_mysql_gtid,
    encode_mysql_gtids,
)
from stream_magic.connectors.mysql_cdc.server import Address, Facts
from stream_magic.connectors.mysql_cdc.snapshot import begin
from stream_magic.connectors.mysql_cdc.wire import dump_command, refusal
from stream_magic.errors import ConnectorError

UUID = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
OTHER = "4e11fa47-71ca-11e1-9e33-c80aa9429562"
READY = {
    "log_bin": "ON", "binlog_format": "ROW", "binlog_row_image": "FULL",
    "binlog_row_metadata": "FULL", "server_id": "1",
}  # fmt: skip


class FakeCursor:
    """Answers statements by their beginning; an exception is raised."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.asked: list[str] = []
        self._rows: Sequence[Any] = ()

    def execute(self, sql: str, args: Any = None) -> None:
        self.asked.append(sql)
        answer = next((a for start, a in self.answers.items() if sql.startswith(start)), ())
        if isinstance(answer, Exception):
            raise answer
        self._rows = answer

    def fetchall(self) -> Sequence[Any]:
        return self._rows


def mysql(**variables: str) -> Facts:
    return Facts({**READY, **variables}, "8.4.3")


def test_a_mysql_snapshot_holds_the_lock_for_an_instant_only() -> None:
    cursor = FakeCursor(
        {"SHOW BINARY LOG STATUS": [("binlog.000007", "157", "", "", f"{UUID}:1-5,\n{OTHER}:1")]}
    )
    position = begin(cursor, mysql(gtid_mode="ON"))
    assert position == LogPosition("mysql", "binlog.000007", 157, f"{UUID}:1-5,{OTHER}:1")
    assert cursor.asked == [
        "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ",
        "FLUSH TABLES WITH READ LOCK",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        "SHOW BINARY LOG STATUS",
        "UNLOCK TABLES",
    ]


def test_an_older_mysql_is_asked_in_the_older_words() -> None:
    cursor = FakeCursor(
        {
            "SHOW BINARY LOG STATUS": pymysql.err.ProgrammingError(1064, "syntax"),
            "SHOW MASTER STATUS": [("mysql-bin.000001", "4", "", "", f"{UUID}:1-5")],
        }
    )
    position = begin(cursor, mysql(gtid_mode="OFF"))
    assert position == LogPosition("mysql", "mysql-bin.000001", 4, None)
    assert cursor.asked[-1] == "UNLOCK TABLES"


def test_the_lock_is_given_back_when_something_fails() -> None:
    cursor = FakeCursor(
        {
            "SHOW BINARY LOG STATUS": pymysql.err.ProgrammingError(1064, "syntax"),
            "SHOW MASTER STATUS": pymysql.err.OperationalError(1227, "denied"),
        }
    )
    with pytest.raises(pymysql.err.OperationalError):
        begin(cursor, mysql())
    assert cursor.asked[-1] == "UNLOCK TABLES"


def test_a_set_with_tags_falls_back_to_file_and_offset() -> None:
    cursor = FakeCursor({"SHOW BINARY LOG STATUS": [("b.1", "4", "", "", f"{UUID}:tag:1-5")]})
    assert begin(cursor, mysql(gtid_mode="ON")).gtid is None


def test_mysql_gtid_sets_grow_and_are_encoded_as_mysql_replication_does() -> None:
    from pymysqlreplication.gtid import GtidSet

    state = ""
    for number in (1, 2, 5, 7, 6, 3):
        state = add_mysql_gtid(state, f"{UUID}:{number}")
    assert state == f"{UUID}:1-3:5-7"
    state = add_mysql_gtid(state, f"{OTHER}:9")
    assert encode_mysql_gtids(state) == GtidSet(state).encoded()


def test_mariadb_gtids_keep_the_last_of_each_domain() -> None:
    assert add_mariadb_gtid("", "0-1-5") == "0-1-5"
    assert add_mariadb_gtid("0-1-5,7-1-9", "0-2-6") == "0-2-6,7-1-9"


def test_the_dump_command_follows_the_position() -> None:
    by_set = dump_command(LogPosition("mysql", "b.1", 99, f"{UUID}:1-5"), 42)
    data = encode_mysql_gtids(f"{UUID}:1-5")
    assert by_set == struct.pack("<BHIIQI", 0x1E, 4, 42, 0, 4, len(data)) + data
    by_file = dump_command(LogPosition("mysql", "b.1", 99, None), 42)
    assert by_file == struct.pack("<BIHI", 0x12, 99, 0, 42) + b"b.1"
    by_domain = dump_command(LogPosition("mariadb", "b.1", 99, "0-1-5"), 42)
    assert by_domain == struct.pack("<BIHI", 0x12, 4, 0, 42)


def test_a_position_survives_json() -> None:
    import json

    position = LogPosition("mariadb", "bin.000001", 2**33, "0-1-5", 17)
    assert LogPosition.from_json(json.loads(json.dumps(position.to_json()))) == position


@pytest.mark.parametrize(
    ("variables", "mends"),
    [
        ({"log_bin": "OFF"}, "[mysqld] log_bin = bin"),
        ({"server_id": "0"}, "[mysqld] server_id = 1"),
        ({"binlog_format": "MIXED"}, "SET GLOBAL binlog_format = 'ROW';"),
        ({"binlog_row_image": "NOBLOB"}, "SET GLOBAL binlog_row_image = 'FULL';"),
        ({"binlog_row_metadata": "MINIMAL"}, "SET GLOBAL binlog_row_metadata = 'FULL';"),
        ({"binlog_row_value_options": "PARTIAL_JSON"}, "SET GLOBAL binlog_row_value_options = '';"),
        ({"binlog_transaction_compression": "ON"}, "binlog_transaction_compression = OFF;"),
    ],
)
def test_each_setting_that_is_wrong_has_its_statement(
    variables: dict[str, str], mends: str
) -> None:
    assert server.not_ready(mysql()) is None
    error = server.not_ready(mysql(**variables))
    assert error is not None
    assert mends in str(error.hint)


@pytest.mark.parametrize(
    ("grants", "missing"),
    [
        (["GRANT ALL PRIVILEGES ON *.* TO `u`@`%`"], ""),
        (["GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO `u`@`%`"], ""),
        (["GRANT USAGE ON *.* TO `u`@`%`", "GRANT `reader`@`%` TO `u`@`%`"], ""),
        (["GRANT USAGE ON *.* TO `u`@`%`"], "REPLICATION SLAVE, REPLICATION CLIENT"),
        (["GRANT REPLICATION SLAVE ADMIN ON *.* TO `u`@`%`"], "REPLICATION SLAVE"),
        (["GRANT REPLICATION SLAVE ON *.* TO `u`@`%`"], "REPLICATION CLIENT"),
    ],
)
def test_missing_rights_are_found_among_the_grants(grants: list[str], missing: str) -> None:
    cursor = FakeCursor({"SHOW GRANTS": [(g,) for g in grants]})
    address = Address.parse("mysql://u@h:1", None, "preferred", None)
    if not missing:
        server.check_grants(cursor, address, mysql())
        return
    with pytest.raises(ConnectorError) as caught:
        server.check_grants(cursor, address, mysql())
    assert f"GRANT {missing}" in str(caught.value.hint)


def test_a_refusal_of_the_server_says_whether_trying_again_helps() -> None:
    gone = refusal(b"\xff" + (1236).to_bytes(2, "little") + b"#HY000Could not find first log file")
    assert (gone.code, gone.transient) == ("SM4106", False)
    denied = refusal(b"\xff" + (1227).to_bytes(2, "little") + b"#42000Access denied")
    assert (denied.code, denied.transient) == ("SM4110", False)


def test_character_sets_are_read_as_the_server_means_them() -> None:
    for charset, data, text in [
        ("latin1", b"\x80\x81", "€\x81"),
        ("utf8mb4", "🎂".encode(), "🎂"),
        ("ucs2", b"\x04\x16", "Ж"),
        ("cp1251", b"\xc6", "Ж"),
        ("sjis", "日本".encode("shift_jis"), "日本"),
    ]:
        decode = charsets.decoder(charset)
        assert decode is not None
        assert decode(data) == text
    assert charsets.decoder("geostd8") is None
