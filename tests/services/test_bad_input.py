"""Bad input through the whole app: no row is lost silently, and nothing else stops.

Where each item of the list has its test (checked by tests/house/test_bad_input_list.py):

- wrong password: services/test_bad_input.py::test_a_wrong_password_fails_the_cell_and_is_not_shown
- wrong password: services/test_mysql_cdc_bad_input.py::test_a_wrong_password_is_said_without_the_password
- wrong password: services/test_kafka_source.py::test_wrong_password_is_told_for_good_and_not_shown
- unreachable broker: services/test_bad_input.py::test_an_unreachable_broker_is_a_node_that_reconnects_if_columns_are_declared
- unreachable broker: services/test_bad_input.py::test_an_unreachable_broker_without_columns_fails_the_cell
- missing topic: services/test_bad_input.py::test_a_missing_topic_or_table_fails_the_cell_with_a_suggestion
- missing table: services/test_bad_input.py::test_a_missing_topic_or_table_fails_the_cell_with_a_suggestion
- binlog off: services/test_mysql_cdc_bad_input.py::test_a_server_without_a_log_says_what_to_configure
- binlog not ROW: services/test_mysql_cdc_bad_input.py::test_settings_that_lose_rows_or_names_are_refused_with_the_statements_that_mend_them
- malformed JSON: services/test_bad_input.py::test_malformed_json_among_good_messages_is_kept_with_its_place
- CSV with too many fields: services/test_bad_input.py::test_a_csv_row_with_too_many_fields_is_kept_with_its_line
- NULL keys in the cache: services/test_bad_input.py::test_null_keys_of_a_cache_match_nothing_and_the_last_row_of_a_key_wins
- cache key not unique: services/test_bad_input.py::test_null_keys_of_a_cache_match_nothing_and_the_last_row_of_a_key_wins
- emoji and 4-byte UTF-8: services/test_bad_input.py::test_every_value_goes_from_table_to_topic_to_file_unchanged
- DECIMAL(30,10): services/test_bad_input.py::test_every_value_goes_from_table_to_topic_to_file_unchanged
- unsigned BIGINT: services/test_bad_input.py::test_every_value_goes_from_table_to_topic_to_file_unchanged
- DATETIME(6): services/test_bad_input.py::test_every_value_goes_from_table_to_topic_to_file_unchanged
- JSON and ENUM columns: services/test_bad_input.py::test_every_value_goes_from_table_to_topic_to_file_unchanged
- ALTER TABLE: services/test_bad_input.py::test_columns_added_and_dropped_in_mid_stream_lose_no_row
- ALTER TABLE: services/test_mysql_cdc_bad_input.py::test_columns_added_dropped_and_moved_in_mid_stream
- 5 MB message: services/test_bad_input.py::test_every_value_goes_from_table_to_topic_to_file_unchanged
- 5 MB message: services/test_kafka_source.py::test_a_five_megabyte_message_is_read_among_small_ones
- empty file: services/test_bad_input.py::test_an_empty_file_is_complete_at_once_and_without_columns_asks_for_them
- truncated file: services/test_bad_input.py::test_a_file_rotated_or_truncated_while_it_is_read_loses_nothing
- truncated file: unit/connectors/test_files_source.py::test_truncation_begins_the_file_again_and_says_so
- rotated file: services/test_bad_input.py::test_a_file_rotated_or_truncated_while_it_is_read_loses_nothing
- rotated file: unit/connectors/test_files_source.py::test_rotation_reads_the_old_file_to_its_end_first
- SQL typo in the third statement: unit/app/test_execute.py::test_a_cell_with_an_error_in_its_third_statement_changes_nothing
- SQL typo in the third statement: notebook/test_cells.py::test_a_typo_in_the_third_statement_shows_our_lines_alone_and_applies_nothing
- the same cell twice: unit/app/test_execute.py::test_running_the_same_cell_twice_changes_nothing_and_keeps_state
- interrupting the kernel: notebook/test_cells.py::test_interrupting_a_cell_that_asks_the_outside_leaves_the_app_as_it_was
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from servers.kafka import free_ports
from stream_magic import App
from stream_magic.errors import ConnectorError, StreamMagicError
from support.history import until

pytestmark = pytest.mark.services


@pytest.fixture
def app() -> Iterator[App]:
    app = App("bad")
    yield app
    app.close()


def count(app: App, name: str) -> int:
    return int(app.sql(f"SELECT count(*) FROM {name}").fetchall()[0][0])


def wait_for(app: App, name: str, rows: int) -> None:
    until(lambda: count(app, name) >= rows, f"{rows} rows of {name}: {app.status()}")
    assert count(app, name) == rows


def test_a_wrong_password_fails_the_cell_and_is_not_shown(app: App, database, kafka, topic) -> None:
    database.execute("CREATE TABLE t (id INT PRIMARY KEY)")
    topic.create()
    app.execute("CREATE SECRET word WITH (value = 'sesame-7')")
    log_in = f"brokers = '{kafka.bootstrap_with_login}', topic = '{topic.name}', username = 'shop'"
    connectors = {
        "SOURCE s": f"connector = 'mysql-cdc', url = '{database.server.url('cdc')}', tables = '{database.name}.t'",
        "SOURCE s (id INT)": f"connector = 'kafka', security = 'sasl_plaintext', {log_in}",
        "CACHE s KEY (id)": "connector = 'database', table = 't',"
        f" url = '{database.server.url('cdc', database.name)}'",
    }
    for what, options in connectors.items():
        with pytest.raises(StreamMagicError) as caught:
            app.execute(
                "CREATE SOURCE good (id INT) WITH (connector = 'memory');"
                f"CREATE {what} WITH ({options}, password = secret('word'))"
            )
        assert "sesame" not in str(caught.value)
        assert not caught.value.transient
        assert app.names() == []


def test_an_unreachable_broker_is_a_node_that_reconnects_if_columns_are_declared(app: App) -> None:
    [port] = free_ports(1)
    app.execute(
        "CREATE SOURCE other (id INT) WITH (connector = 'memory');"
        f"CREATE SOURCE s (id INT) WITH (connector = 'kafka', brokers = '127.0.0.1:{port}', topic = 't')"
        " FORMAT json; CREATE TABLE r AS SELECT count(*) AS n FROM other;"
    )
    app.start()
    until(lambda: app.status()["s"]["state"] == "reconnecting", "reconnecting")
    assert f"127.0.0.1:{port}" in app.status()["s"]["message"]
    app.push("other", [{"id": 1}])
    until(lambda: app.sql("SELECT n FROM r").fetchall() == [(1,)], "the others go on")


def test_an_unreachable_broker_without_columns_fails_the_cell(app: App) -> None:
    [port] = free_ports(1)
    with pytest.raises(ConnectorError) as caught:
        app.execute(
            f"CREATE SOURCE s WITH (connector = 'kafka', brokers = '127.0.0.1:{port}', topic = 't')"
            " FORMAT json"
        )
    assert "declare columns" in str(caught.value)
    assert app.names() == []


def test_a_missing_topic_or_table_fails_the_cell_with_a_suggestion(
    app: App, database, kafka, topic
) -> None:
    topic.create()
    database.execute("CREATE TABLE orders (id INT PRIMARY KEY)")
    app.execute("CREATE SECRET word WITH (value = 'cdc')")
    with pytest.raises(ConnectorError, match=f"(?s)no topic.*did you mean.*{topic.name}"):
        app.execute(
            f"CREATE SOURCE s (id INT) WITH (connector = 'kafka', brokers = '{kafka.bootstrap}',"
            f" topic = '{topic.name}s') FORMAT json"
        )
    with pytest.raises(ConnectorError, match=f"(?s)did you mean.*{database.name}.orders"):
        app.execute(
            f"CREATE SOURCE s WITH (connector = 'mysql-cdc', url = '{database.server.url('cdc')}',"
            f" password = secret('word'), tables = '{database.name}.order')"
        )
    assert app.names() == []


def test_malformed_json_among_good_messages_is_kept_with_its_place(app: App, kafka, topic) -> None:
    topic.create()
    bad = [b'{"id": 2', b"", b'{"id": 1.5}', b"\xff\xfe", b'{"id": 3}{"id": 4}', b"null", None]
    good = [b'{"id": 1, "amount": 12.50}', b'{"id": "7"}', b'{"extra": [1, {"x": null}], "id": 8}']
    topic.put([good[0], *bad, *good[1:]])
    app.execute(
        f"CREATE SOURCE s (id INT, amount DECIMAL(10,2)) WITH (connector = 'kafka',"
        f" brokers = '{kafka.bootstrap}', topic = '{topic.name}') FORMAT json;"
        "CREATE TABLE r AS SELECT count(*) AS n, sum(id) AS ids FROM s;"
    )
    app.start()
    wait_for(app, "s", 3)
    wait_for(app, "errors.s", len(bad))
    assert app.sql("SELECT * FROM r").fetchall() == [(3, 16)]
    found = app.sql("SELECT raw, position, reason FROM errors.s ORDER BY position").fetchall()
    assert [raw for raw, _, _ in found] == [b or b"" for b in bad]
    assert all(topic.name in place and reason for _, place, reason in found)
    topic.put([b'{"id": 9}'])
    wait_for(app, "s", 4)
    assert app.status()["s"]["errors"] == len(bad)


def test_a_csv_row_with_too_many_fields_is_kept_with_its_line(app: App, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('id,name\n1,kite\n2,tent,blue\n3,"a, b"\n4,"open\n5,lamp\n')
    app.execute(
        f"CREATE SOURCE s WITH (connector = 'file', path = '{tmp_path}/a.csv') FORMAT csv;"
        "CREATE TABLE r AS SELECT id, name FROM s;"
    )
    app.start()
    app.drain()
    names = app.sql("SELECT name FROM r ORDER BY id").fetchall()
    assert [n for (n,) in names if n != "lamp"] == ["kite", "a, b"]
    errors = app.sql("SELECT raw, position FROM errors.s").fetchall()
    assert errors[0][0].strip() == b"2,tent,blue"
    assert "3" in errors[0][1]
    lost = 5 - len(names) - len(errors)
    assert lost == 0, (names, errors)


def test_null_keys_of_a_cache_match_nothing_and_the_last_row_of_a_key_wins(
    app: App, database
) -> None:
    database.execute(
        "CREATE TABLE t (n INT AUTO_INCREMENT PRIMARY KEY, id INT, name VARCHAR(20))",
        "INSERT INTO t (id, name) VALUES (1, 'first'), (NULL, 'none'), (1, 'second'), (2, 'two'),"
        " (NULL, 'nobody'), (1, 'third')",
    )
    app.execute(
        f"CREATE CACHE c KEY (id) WITH (connector = 'database', query = 'SELECT * FROM t ORDER BY n',"
        f" url = '{database.server.url('shop', database.name)}');"
        "CREATE SOURCE s (id INT) WITH (connector = 'memory');"
        "CREATE STREAM j AS SELECT s.id, c.name FROM s LEFT JOIN c ON c.id = s.id;"
        "CREATE STREAM i AS SELECT s.id, c.name FROM s JOIN c ON c.id = s.id;"
    )
    app.push("s", [{"id": 1}, {"id": None}, {"id": 2}, {"id": 3}])
    app.drain()
    wanted = [(1, "third"), (None, None), (2, "two"), (3, None)]
    assert app.sql("SELECT * FROM j").fetchall() == wanted
    assert app.sql("SELECT * FROM i").fetchall() == [(1, "third"), (2, "two")]
    reasons = app.sql("SELECT reason, decode(raw) FROM errors.c").fetchall()
    assert len(reasons) == 2
    assert all("comes again" in reason for reason, _ in reasons)
    assert ["first" in raw or "second" in raw for _, raw in reasons] == [True, True]


VALUES = [
    (1, "kite 🪁 für 💶 \U00010348", "12345678901234567890.0123456789", 18446744073709551615,
     "2026-02-28 23:59:59.999999", '{"a": [1, null, "ö🎂"], "b": {"c": 1e2}}', "späť"),
    (2, 'comma, "quote"\nline \\ back\ttab', "-0.0000000001", 0,
     "1000-01-01 00:00:00", "[]", "new"),
    (3, None, None, None, None, None, None),
    (4, "", "0", 9223372036854775808, "9999-12-31 23:59:59.000001", '"text"', "new"),
]  # fmt: skip


def test_every_value_goes_from_table_to_topic_to_file_unchanged(
    app: App, database, kafka, topic, tmp_path: Path
) -> None:
    """Emoji, DECIMAL(30,10), unsigned BIGINT, DATETIME(6), JSON, ENUM, and a text of 5 MB."""
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, note LONGTEXT, price DECIMAL(30,10), big BIGINT UNSIGNED,"
        " at DATETIME(6), doc JSON, status ENUM('new', 'späť')) CHARACTER SET utf8mb4"
    )
    connection = database.server.connect(database=database.name)
    insert = "INSERT INTO t VALUES (%s, %s, %s, %s, %s, %s, %s)"
    long_note = "🎂" * 1_310_720  # 5 MB of UTF-8
    with connection.cursor() as cursor:
        cursor.executemany(insert, VALUES[:2])
    app.execute(
        "CREATE SECRET word WITH (value = 'cdc');"
        f"CREATE SOURCE changes WITH (connector = 'mysql-cdc', url = '{database.server.url('cdc')}',"
        f" password = secret('word'), tables = '{database.name}.t');"
        "CREATE STREAM rows AS SELECT after.id, after.note, after.price, after.big, after.at, after.doc,"
        " after.status FROM changes;"
        f"CREATE TARGET out FROM rows WITH (connector = 'kafka', brokers = '{kafka.bootstrap}',"
        f" topic = '{topic.name}', key = 'id', partitions = 1) FORMAT json;"
        f"CREATE SOURCE back WITH (connector = 'kafka', brokers = '{kafka.bootstrap}',"
        f" topic = '{topic.name}') FORMAT json;"
        f"CREATE TARGET files FROM back WITH (connector = 'file', path = '{tmp_path}/csv') FORMAT csv;"
    )
    app.start()
    wait_for(app, "back", 2)
    with connection.cursor() as cursor:
        cursor.executemany(insert, VALUES[2:])
        cursor.execute(insert, (5, long_note, *[None] * 5))
    connection.close()
    wait_for(app, "back", 5)
    assert app.schema("back") == app.schema("rows")
    assert (
        app.sql("SELECT * FROM back ORDER BY id").fetchall()
        == app.sql("SELECT * FROM rows ORDER BY id").fetchall()
    )
    app.stop()
    assert {n: s["errors"] for n, s in app.status().items() if s["errors"]} == {}
    csv.field_size_limit(10_000_000)
    [file] = (tmp_path / "csv").glob("*.csv")
    with file.open(newline="", encoding="utf-8") as stream:
        found = list(csv.reader(stream))[1:]
    truth = database.query(
        "SELECT id, note, CAST(price AS CHAR), CAST(big AS CHAR), CAST(at AS CHAR), doc, status FROM t ORDER BY id"
    )
    for line, row in zip(found, truth, strict=True):
        at = line[4] + ("." if "." not in line[4] and line[4] else "")
        assert (line[0], line[1], line[2], line[3]) == tuple(
            "" if v is None else str(v) for v in row[:4]
        )
        assert at.ljust(26, "0") == row[4] if row[4] else line[4] == ""
        assert (json.loads(line[5]) if line[5] else None) == (
            json.loads(row[5]) if row[5] else None
        )
        assert line[6] == (row[6] or "")
    assert found[4][1] == long_note


def test_columns_added_and_dropped_in_mid_stream_lose_no_row(app: App, database) -> None:
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, old VARCHAR(9), name VARCHAR(9))",
        "INSERT INTO t VALUES (1, 'x', 'one')",
    )
    app.execute(
        "CREATE SECRET word WITH (value = 'cdc');"
        f"CREATE SOURCE s WITH (connector = 'mysql-cdc', url = '{database.server.url('cdc')}',"
        f" password = secret('word'), tables = '{database.name}.t');"
        "CREATE STREAM r AS SELECT op, after.id, after.old, after.name FROM s;"
    )
    app.start()
    wait_for(app, "r", 1)
    database.execute(
        "INSERT INTO t VALUES (2, 'y', 'two')",
        "ALTER TABLE t ADD COLUMN more INT FIRST, DROP COLUMN old",
        "INSERT INTO t VALUES (7, 3, 'three')",
        "UPDATE t SET name = 'eins' WHERE id = 1",
    )
    wait_for(app, "r", 4)
    assert app.sql("SELECT * FROM r").fetchall() == [
        ("r", 1, "x", "one"), ("c", 2, "y", "two"), ("c", 3, None, "three"), ("u", 1, None, "eins"),
    ]  # fmt: skip
    assert app.status()["s"]["state"] == "running"


def test_an_empty_file_is_complete_at_once_and_without_columns_asks_for_them(
    app: App, tmp_path: Path
) -> None:
    (tmp_path / "empty.csv").touch()
    place = f"WITH (connector = 'file', path = '{tmp_path}/empty.csv') FORMAT csv"
    with pytest.raises(StreamMagicError) as caught:
        app.execute(f"CREATE SOURCE s {place}")
    assert "columns" in str(caught.value)
    app.execute(f"CREATE SOURCE s (id INT) {place}; CREATE TABLE r AS SELECT count(*) AS n FROM s;")
    app.start()
    app.drain()
    assert app.status()["s"]["state"] == "complete"
    assert app.sql("SELECT n FROM r").fetchall() == [(0,)]


def test_a_file_rotated_or_truncated_while_it_is_read_loses_nothing(
    app: App, tmp_path: Path
) -> None:
    log = tmp_path / "app.log"
    log.write_text('{"id": 1}\n{"id": 2}\n')
    app.execute(
        f"CREATE SOURCE s (id INT) WITH (connector = 'file', path = '{log}', mode = 'tail') FORMAT json;"
        "CREATE STREAM r AS SELECT id FROM s;"
    )
    app.start()
    wait_for(app, "r", 2)
    with log.open("a") as stream:
        stream.write('{"id": 3}\n')
    log.rename(tmp_path / "app.log.1")
    log.write_text('{"id": 4}\n{"id": 5}\n{"id": 6}\n')
    wait_for(app, "r", 6)
    log.write_text('{"id": 7}\n')
    wait_for(app, "r", 7)
    assert app.sql("SELECT id FROM r").fetchall() == [(i,) for i in range(1, 8)]
    said = app.sql("SELECT reason FROM errors.s").fetchall()
    assert all("short" in reason or "trunc" in reason for (reason,) in said)
