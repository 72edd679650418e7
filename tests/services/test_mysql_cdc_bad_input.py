"""What goes wrong outside: each message says what to do, and no row is lost silently."""

from __future__ import annotations

import socket

import pytest

from servers.mariadb import MariaDbServer
from stream_magic.connectors.mysql_cdc import MysqlCdcOptions, MysqlCdcSource
from stream_magic.contracts.source import SourceContext
from stream_magic.core.clock import SystemClock
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.security.secrets import Secret
from support.mysql import Database, Read, make_source, read_rows, read_snapshot, read_until

pytestmark = pytest.mark.services


def problem(source: MysqlCdcSource) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        source.check()
    return caught.value


def test_a_wrong_password_is_said_without_the_password(database: Database) -> None:
    error = problem(database.source("t", password=Secret("sesame-7")))
    assert (error.code, error.transient) == ("SM4102", False)
    assert "user 'cdc'" in str(error)
    assert "sesame" not in str(error)


def test_an_unreachable_server_may_come_back() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"mysql://cdc:sesame-7@127.0.0.1:{free.getsockname()[1]}"
        options = MysqlCdcOptions(url=url, tables=("a.b",))
        source = MysqlCdcSource(options, SourceContext("s", "main", SystemClock()))
        error = problem(source)
    assert (error.code, error.transient) == ("SM4101", True)
    assert "sesame" not in str(error)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("postgresql://a:sesame-7@b/c", "postgresql://a:***@b/c"),
        ("127.0.0.1:3306", "127.0.0.1"),
        ("mysql://h:port", "mysql://h:port"),
    ],
)
def test_a_url_that_is_none_is_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError, match="does not name a MySQL") as caught:
        MysqlCdcSource(
            MysqlCdcOptions(url=url, tables=("a.b",)), SourceContext("s", "main", SystemClock())
        )
    assert caught.value.code == "SM7041"
    assert says in str(caught.value)


def test_a_table_that_does_not_exist_suggests_a_close_one(database: Database) -> None:
    database.execute("CREATE TABLE orders (n INT)")
    error = problem(database.source("order"))
    assert error.code == "SM4103"
    assert f"did you mean '{database.name}.orders'?" in str(error)


def test_a_table_without_a_database_says_where_to_put_it(mariadb: MariaDbServer) -> None:
    assert "write tables = 'DATABASE.orders'" in str(problem(make_source(mariadb, ("orders",))))


def test_a_server_without_a_log_says_what_to_configure() -> None:
    with MariaDbServer(binlog=False) as server:
        server.execute("CREATE DATABASE a", "CREATE TABLE a.b (n INT)")
        error = problem(make_source(server, ("a.b",)))
    assert (error.code, error.transient) == ("SM4104", False)
    assert "log_bin is OFF" in error.message
    assert error.hint is not None
    assert "[mysqld] log_bin = bin" in error.hint
    assert "SET GLOBAL binlog_row_metadata = 'FULL'" in error.hint


def test_settings_that_lose_rows_or_names_are_refused_with_the_statements_that_mend_them() -> None:
    wrong = {
        "binlog-format": "STATEMENT",
        "binlog-row-image": "MINIMAL",
        "binlog-row-metadata": "NO_LOG",
    }
    with MariaDbServer(settings=wrong) as server:
        server.execute("CREATE DATABASE a", "CREATE TABLE a.b (n INT)")
        source = make_source(server, ("a.b",))
        error = problem(source)
        assert error.hint is not None
        statements = [part.split(";")[0] for part in error.hint.split("SET GLOBAL ")[1:]]
        assert len(statements) == 3
        server.execute(*(f"SET GLOBAL {s}" for s in statements))
        source.check()


def test_missing_rights_are_named_with_the_grant(database: Database) -> None:
    user = f"poor_{database.name}"
    database.execute("CREATE TABLE t (n INT)", f"CREATE USER {user}@'%'")
    source = make_source(database.server, (f"{database.name}.t",), user, password=None)
    assert problem(source).code == "SM4103"  # what it may not see is not there for it
    database.execute(f"GRANT INSERT ON {database.name}.t TO {user}@'%'")
    error = problem(source)
    assert error.code == "SM4105"
    assert f"GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%';" in str(error)
    database.execute(f"GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%'")
    error = problem(source)
    assert "may not read" in error.message
    assert error.hint is not None
    database.execute(error.hint.partition(": ")[2])
    source.check()
    source.open(None)  # that is all it takes
    read_snapshot(source)
    source.close()


def test_a_snapshot_of_a_table_without_transactions_is_refused(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT) ENGINE = MyISAM")
    error = problem(database.source("t"))
    assert error.code == "SM4111"
    source = database.source("t", snapshot="never")
    source.open(None)
    read_snapshot(source)
    database.execute("INSERT INTO t VALUES (1), (2)")
    assert read_rows(source, 2).column("after") == [{"n": 1}, {"n": 2}]
    source.close()


@pytest.fixture
def following(database: Database) -> tuple[Database, MysqlCdcSource]:
    database.execute(
        "CREATE TABLE t (id INT PRIMARY KEY, note VARCHAR(20), size INT)",
        "CREATE TABLE other (id INT)",
    )
    source = database.source("t")
    source.open(None)
    read_snapshot(source)
    return database, source


def test_columns_added_dropped_and_moved_in_mid_stream(
    following: tuple[Database, MysqlCdcSource],
) -> None:
    database, source = following
    database.execute(
        "INSERT INTO t VALUES (1, 'one', 10)",
        "ALTER TABLE t ADD COLUMN colour VARCHAR(9) FIRST",
        "INSERT INTO t VALUES ('red', 2, 'two', 20)",
        "ALTER TABLE t DROP COLUMN note",
        "ALTER TABLE t MODIFY COLUMN size INT FIRST",
        "INSERT INTO t VALUES (30, 'blue', 3)",
        "UPDATE t SET size = 31 WHERE id = 3",
    )
    found = read_rows(source, 5)
    assert found.column("after") == [
        {"id": 1, "note": "one", "size": 10},
        {"id": 2, "note": "two", "size": 20},
        {"id": 3, "note": None, "size": 30},
        {"id": 3, "note": None, "size": 31},
    ]
    assert [e.reason for e in found.errors] == [
        f"{database.name}.t has columns that are not read: colour; run the cell again"
    ]
    assert "colour" in source.detail
    source.open(found.batches[-1].position)
    database.execute("DELETE FROM t WHERE id = 3")
    again = read_until(source, lambda r: r.rows.num_rows == 1)
    assert again.rows.schema == found.rows.schema  # the columns of a running source stay
    source.close()
    assert "colour" in database.source("t").schema().field("after").type.names


def test_a_column_of_a_new_type_gives_its_values_where_they_fit_and_errors_where_not(
    following: tuple[Database, MysqlCdcSource],
) -> None:
    database, source = following
    database.execute(
        "ALTER TABLE t MODIFY COLUMN size BIGINT",
        "INSERT INTO t VALUES (1, 'fits', 7), (2, 'too big', 3000000000), (3, 'none', NULL)",
        "ALTER TABLE t MODIFY COLUMN size VARCHAR(20)",
        "INSERT INTO t VALUES (4, 'a text', 'many'), (5, 'none', NULL)",
    )
    found = read_rows(source, 5)
    assert [(r["id"], r["size"]) for r in found.column("after")] == [(1, 7), (3, None), (5, None)]
    too_big, text = found.errors
    assert "3000000000" in too_big.reason
    assert b"too big" in too_big.raw
    assert b"fits" not in too_big.raw
    assert "column 'size' is now string" in text.reason
    assert b"a text" in text.raw
    assert text.position.startswith("bin.")
    source.close()


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("TRUNCATE TABLE t", "all rows went with one statement"),
        ("TRUNCATE `t`", "all rows went with one statement"),
        ("DROP TABLE IF EXISTS other, t", "all rows went with one statement"),
        ("RENAME TABLE t TO t2", "was renamed"),
    ],
)
def test_a_statement_that_empties_the_table_is_reported(
    following: tuple[Database, MysqlCdcSource], statement: str, says: str
) -> None:
    database, source = following
    database.execute("INSERT INTO t VALUES (1, 'x', 1)", statement)
    found = read_rows(source, 2)
    (error,) = found.errors
    assert says in error.reason
    assert f"{database.name}.t" in error.reason
    assert statement.encode()[:8] in error.raw
    source.open(found.batches[-1].position)
    database.execute(
        "CREATE TABLE IF NOT EXISTS t (id INT PRIMARY KEY, note VARCHAR(20), size INT)"
    )
    database.execute("INSERT INTO t VALUES (2, 'y', 1)")
    assert read_rows(source, 1).column("after")[0]["id"] == 2  # it was reported once
    source.close()


def test_statements_about_other_tables_are_not_reported(
    following: tuple[Database, MysqlCdcSource],
) -> None:
    database, source = following
    database.execute(
        "TRUNCATE TABLE other", "DROP TABLE other", "ANALYZE TABLE t", "CREATE TABLE t_copy LIKE t",
        "INSERT INTO t_copy VALUES (7, 't', 7)", "TRUNCATE t_copy", "INSERT INTO t VALUES (1, 'x', 1)",
    )  # fmt: skip
    assert read_rows(source, 1).errors == []
    source.close()


def test_sessions_with_their_own_log_settings_lead_to_errors_and_not_to_wrong_rows(
    following: tuple[Database, MysqlCdcSource],
) -> None:
    database, source = following
    database.execute("INSERT INTO t VALUES (1, 'one', 1), (2, 'two', 2), (3, 'three', 3)")
    read_rows(source, 3)
    database.execute(
        "SET SESSION binlog_row_image = 'MINIMAL'",
        "UPDATE t SET size = 9 WHERE id < 3",
        "SET SESSION binlog_row_image = 'FULL'",
        "SET SESSION binlog_format = 'STATEMENT'",
        "UPDATE t SET size = 8 WHERE id = 3",
        "SET SESSION binlog_format = 'ROW'",
        "INSERT INTO t VALUES (4, 'four', 4)",
    )
    found = read_rows(source, 4)
    assert [r["id"] for r in found.column("after")] == [4]
    assert [("binlog_row_image" in e.reason, "binlog_format" in e.reason) for e in found.errors] == [
        (True, False), (True, False), (False, True),
    ]  # fmt: skip
    source.close()


def test_rows_logged_without_names_are_errors(
    following: tuple[Database, MysqlCdcSource],
) -> None:
    database, source = following
    database.execute("SET GLOBAL binlog_row_metadata = 'MINIMAL'")
    database.execute("INSERT INTO t VALUES (1, 'one', 1)")
    database.execute("SET GLOBAL binlog_row_metadata = 'FULL'")
    database.execute("FLUSH TABLES")
    database.execute("INSERT INTO t VALUES (2, 'two', 2)")
    found = read_rows(source, 2)
    assert [r["id"] for r in found.column("after")] == [2]
    assert "SET GLOBAL binlog_row_metadata = 'FULL'" in found.errors[0].reason
    source.close()


def test_a_value_that_is_no_date_is_an_error_in_snapshot_and_log(database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id INT, day DATE)",
        "SET sql_mode = 'ALLOW_INVALID_DATES'",
        "INSERT INTO t VALUES (1, '2026-02-31'), (2, '2026-02-28')",
    )
    source = database.source("t")
    source.open(None)
    first = read_snapshot(source)
    database.execute("DELETE FROM t")
    log = read_rows(source, 2)
    source.close()
    for found, side in ((first, "after"), (log, "before")):
        assert [r["id"] for r in found.column(side)] == [2]
        assert len(found.errors) == 1
        assert "day" in found.errors[0].reason


def test_a_position_that_the_log_no_longer_has_asks_for_a_new_snapshot(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT)")
    source = database.source("t")
    source.open(None)
    position = read_snapshot(source).batches[-1].position
    assert position is not None
    source.open({**position, "gtid": "0-1-999999999"})
    with pytest.raises(ConnectorError) as caught:
        read_until(source, lambda r: False)
    assert (caught.value.code, caught.value.transient) == ("SM4106", False)
    assert "snapshot = 'initial'" in str(caught.value)
    source.close()


def test_file_and_offset_do_where_there_are_no_gtids(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT)")
    source = database.source("t", snapshot="never")
    source.open(None)
    position = read_snapshot(source).batches[-1].position
    assert position is not None
    database.execute("INSERT INTO t VALUES (1), (2), (3)", "INSERT INTO t VALUES (4)")
    found = Read()
    position = {**position, "gtid": None}
    for _ in range(4):
        source.open(position)
        found.batches += read_rows(source, 1, max_rows=1).batches
        position = found.batches[-1].position
        assert position is not None
        assert position["gtid"] is None
    source.close()
    assert [r["n"] for r in found.column("after")] == [1, 2, 3, 4]
