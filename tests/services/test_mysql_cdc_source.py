"""Nothing lost, nothing twice: snapshot and log, resuming, restarts, big transactions."""

from __future__ import annotations

import signal
import threading
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from servers.mariadb import MariaDbServer
from servers.shop import ShopTraffic, create_shop
from stream_magic.connectors.mysql_cdc import MysqlCdcSource
from stream_magic.errors import ConnectorError
from support.mysql import Database, Read, make_source, read_rows, read_snapshot, read_until

pytestmark = pytest.mark.services


def replay(rows: pa.Table, key: str) -> dict[Any, dict[str, Any]]:
    """The table that the changes describe; an impossible change fails."""
    table: dict[Any, dict[str, Any]] = {}
    for change in rows.to_pylist():
        before, after = change["before"], change["after"]
        if change["op"] in "rc":
            assert before is None
            assert after[key] not in table, "a row came twice"
        else:
            assert table.pop(before[key]) == before
        if after is not None:
            table[after[key]] = after
    return table


@pytest.fixture(scope="module")
def shop(mariadb: MariaDbServer) -> MariaDbServer:
    create_shop(mariadb, orders=2000)
    return mariadb


def orders_of(server: MariaDbServer) -> dict[Any, dict[str, Any]]:
    source = make_source(server, ("shop.orders",))
    source.open(None)
    rows = read_snapshot(source).rows
    source.close()
    return replay(rows, "order_id")


def test_snapshot_and_log_join_without_gap_or_overlap_while_two_threads_write(
    shop: MariaDbServer,
) -> None:
    source = make_source(shop, ("shop.orders",))
    for attempt in range(3):
        writers = [ShopTraffic(shop, rate=1e9, seed=10 * attempt + n) for n in range(2)]
        # Each worker changes orders of its own only, so that none misses its target.
        for n, writer in enumerate(writers):
            rows = shop.query(f"SELECT order_id FROM shop.orders WHERE order_id % 2 = {n}")
            writer._known = [row[0] for row in rows]
            writer._prices = dict(shop.query("SELECT product_id, price FROM shop.product_info"))
        for writer in writers:
            writer.start()
        source.open(None)
        found = read_snapshot(source, max_rows=100)
        log = read_until(source, lambda r: r.rows.num_rows > 300)
        for writer in writers:
            writer.stop()
        end = shop.query("SELECT @@gtid_binlog_pos")[0][0]
        found.batches += log.batches
        while found.batches[-1].position["gtid"] != end:
            found.batches += read_until(source, lambda r: True).batches
        assert found.errors == []
        assert replay(found.rows, "order_id") == orders_of(shop)
    source.close()


def test_resuming_after_every_small_batch_gives_each_row_once(shop: MariaDbServer) -> None:
    source = make_source(shop, ("shop.orders",), snapshot="never")
    source.open(None)
    start = read_snapshot(source).batches[-1].position
    ShopTraffic(shop, seed=3).run(20)
    shop.execute(
        "UPDATE shop.orders SET quantity = quantity + 1 WHERE order_id <= 15",
        "INSERT INTO shop.customers VALUES (9999, 'Nobody', 'DE', '2020-01-01')",
        "DELETE FROM shop.customers WHERE customer_id = 9999",
    )
    expected = 20 + shop.query("SELECT count(*) FROM shop.orders WHERE order_id <= 15")[0][0]
    whole = read_rows(source, expected).rows
    for max_rows in (1, 7):
        position, pieces = start, Read()
        while pieces.rows.num_rows < expected if pieces.batches else True:
            source.open(position)
            pieces.batches += read_until(source, lambda r: r.rows.num_rows > 0, max_rows).batches
            position = pieces.batches[-1].position
        assert pieces.rows.equals(whole)
    source.close()


def test_rows_are_numbered_in_their_transaction_and_carry_its_gtid(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT)")
    source = database.source("t", snapshot="never")
    source.open(None)
    read_snapshot(source)
    database.execute(
        "BEGIN", "INSERT INTO t VALUES (1), (2)", "DELETE FROM t WHERE n = 1", "COMMIT",
        "INSERT INTO t VALUES (3)",
    )  # fmt: skip
    found = read_rows(source, 4)
    source.close()
    last = database.query("SELECT @@gtid_binlog_pos")[0][0]
    origins = found.column("source")
    assert [o["row"] for o in origins] == [1, 2, 3, 1]
    assert len({o["gtid"] for o in origins[:3]}) == 1
    assert origins[3]["gtid"] == origins[3]["transaction"] == last
    assert {(o["database"], o["table"]) for o in origins} == {(database.name, "t")}
    assert origins[0]["pos"] < origins[2]["pos"] < origins[3]["pos"]
    assert all(o["file"].startswith("bin.") for o in origins)


def test_a_big_transaction_streams_in_small_batches(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT PRIMARY KEY, note VARCHAR(100))")
    source = database.source("t", snapshot="never")
    source.open(None)
    read_snapshot(source)
    database.execute("INSERT INTO t SELECT seq, REPEAT('x', 80) FROM seq_1_to_100000")
    found = read_rows(source, 100_000, max_rows=999)
    source.close()
    assert max(b.rows.num_rows for b in found.batches) <= 999
    after = found.rows.column("after").combine_chunks()
    assert after.field("n").to_pylist() == list(range(1, 100_001))


def test_a_big_table_streams_in_small_batches_and_has_no_position_before_its_end(
    database: Database,
) -> None:
    database.execute(
        "CREATE TABLE t (n INT PRIMARY KEY)", "INSERT INTO t SELECT seq FROM seq_1_to_50000"
    )
    source = database.source("t")
    source.open(None)
    found = read_snapshot(source, max_rows=1000)
    assert [b.rows.num_rows for b in found.batches] == [1000] * 50 + [0]
    assert [b.position is None for b in found.batches] == [True] * 50 + [False]
    source.open(None)
    assert source.read(10, 1) is not None
    source.close()  # in the middle of the rows
    source.open(None)
    again = read_snapshot(source)
    source.close()
    assert again.rows.column("after").equals(found.rows.column("after"))


def test_a_value_of_5_mb_comes_whole(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT, body LONGTEXT)")
    source = database.source("t", snapshot="never")
    source.open(None)
    read_snapshot(source)
    database.execute(
        "INSERT INTO t VALUES (1, REPEAT('ä', 2500000)), (2, REPEAT('b', 17000000)), (3, 'c')"
    )
    found = read_rows(source, 3)
    snapshot = database.source("t")
    snapshot.open(None)
    after = found.column("after")
    assert after == read_snapshot(snapshot).column("after")
    assert [len(row["body"]) for row in after] == [2_500_000, 17_000_000, 1]
    source.close()
    snapshot.close()


def test_several_tables_share_a_struct_with_all_their_columns(database: Database) -> None:
    database.execute(
        "CREATE TABLE ord_a (id INT, a VARCHAR(9))",
        "CREATE TABLE ord_b (b DATE, id INT)",
        "CREATE TABLE other (id INT)",
        "INSERT INTO ord_a VALUES (1, 'x')",
        "INSERT INTO ord_b VALUES ('2026-01-01', 2)",
    )
    source = database.source("ord_*")
    assert source.schema().field("after").type.names == ["id", "a", "b"]
    source.open(None)
    first = read_snapshot(source)
    database.execute(
        "BEGIN", "INSERT INTO ord_a VALUES (3, 'y')", "INSERT INTO ord_b VALUES (NULL, 4)",
        "INSERT INTO other VALUES (9)", "INSERT INTO ord_a VALUES (5, 'z')", "COMMIT",
    )  # fmt: skip
    log = read_rows(source, 3)
    source.close()
    assert [(r["id"], r["a"]) for r in first.column("after")] == [(1, "x"), (2, None)]
    assert log.column("after") == [
        {"id": 3, "a": "y", "b": None},
        {"id": 4, "a": None, "b": None},
        {"id": 5, "a": "z", "b": None},
    ]
    assert [s["table"] for s in log.column("source")] == ["ord_a", "ord_b", "ord_a"]


def test_one_column_of_two_types_is_refused(database: Database) -> None:
    database.execute("CREATE TABLE a (id INT)", "CREATE TABLE b (id VARCHAR(9))")
    with pytest.raises(ConnectorError, match=r"column 'id' is int32 in .*a and string in .*b"):
        database.source("*").schema()


def test_an_empty_table_and_never_begin_with_a_position(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT)")
    for snapshot in ("initial", "never"):
        source = database.source("t", snapshot=snapshot)
        source.open(None)
        first = source.read(10, 0.1)
        assert first is not None
        assert (first.rows.num_rows, first.position is not None) == (0, True)
        source.close()


def test_only_declared_columns_come(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT)", "INSERT INTO t VALUES (1)")
    after = pa.struct({"n": pa.int32()})
    source = database.source("t", columns=pa.schema({"after": after, "op": pa.string()}))
    source.open(None)
    assert read_snapshot(source).rows.to_pylist() == [{"after": {"n": 1}, "op": "r"}]
    source.close()


def test_a_log_of_other_tables_still_moves_the_position(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stream_magic.connectors.mysql_cdc.source.POSITION_EVERY_S", 0.0)
    database.execute("CREATE TABLE t (n INT)", "CREATE TABLE u (n INT)")
    source = database.source("t", snapshot="never")
    source.open(None)
    read_snapshot(source)
    database.execute("INSERT INTO u VALUES (1)")
    end = database.query("SELECT @@gtid_binlog_pos")[0][0]
    found = read_until(source, lambda r: r.batches[-1].position["gtid"] == end)
    assert found.rows.num_rows == 0
    source.close()


def read_through_restart(source: MysqlCdcSource, position: Any, found: Read) -> Any:
    """As the engine does it: after a transient error it opens again at the last position."""
    try:
        batch = source.read(50, 0.2)
    except ConnectorError as error:
        if not error.transient:
            raise
        while True:
            try:
                source.open(position)
            except ConnectorError as again:
                if not again.transient:
                    raise
            else:
                return position
    if batch is not None:
        found.batches.append(batch)
        position = batch.position
    return position


@pytest.mark.parametrize("kill", [False, True], ids=["stopped", "killed"])
def test_a_server_restart_while_reading_loses_and_doubles_nothing(kill: bool) -> None:
    with MariaDbServer(settings={"innodb-flush-log-at-trx-commit": "1", "sync-binlog": "1"}) as own:
        create_shop(own, orders=100)
        source = make_source(own, ("shop.orders",))
        source.open(None)
        found = read_snapshot(source)
        position = found.batches[-1].position
        ShopTraffic(own, seed=1).run(200)
        position = read_through_restart(source, position, found)

        def restart() -> None:
            own.stop(kill=kill)
            own.start()
            ShopTraffic(own, seed=2).run(200)

        thread = threading.Thread(target=restart)
        thread.start()
        while thread.is_alive():
            position = read_through_restart(source, position, found)
        end = own.query("SELECT @@gtid_binlog_pos")[0][0]
        while position["gtid"] != end:
            position = read_through_restart(source, position, found)
        source.close()
        log = found.rows.filter(pc.not_equal(found.rows.column("op"), "r"))
        assert log.num_rows == 400
        assert replay(found.rows, "order_id") == orders_of(own)


def test_rotated_and_compressed_logs_are_read_on(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT, note VARCHAR(2000))")
    source = database.source("t", snapshot="never")
    source.open(None)
    read_snapshot(source)
    database.execute(
        "INSERT INTO t VALUES (1, 'a')",
        "FLUSH BINARY LOGS",
        "SET GLOBAL log_bin_compress = ON",
        "INSERT INTO t VALUES (2, REPEAT('b', 1500))",
        "UPDATE t SET n = 3 WHERE n = 2",
        "SET GLOBAL log_bin_compress = OFF",
        "SET GLOBAL binlog_checksum = 'NONE'",
        "INSERT INTO t VALUES (4, 'c')",
        "SET GLOBAL binlog_checksum = 'CRC32'",
        "INSERT INTO t VALUES (5, 'd')",
    )
    found = read_rows(source, 5)
    source.close()
    assert [(r or {}).get("n") for r in found.column("after")] == [1, 2, 3, 4, 5]
    assert found.column("before")[2] == {"n": 2, "note": "b" * 1500}
    assert len({o["file"] for o in found.column("source")}) > 1


def test_a_silent_server_is_not_lost_but_a_hanging_one_is(database: Database) -> None:
    database.execute("CREATE TABLE t (n INT)")
    source = database.source("t", snapshot="never", heartbeat=timedelta(milliseconds=100))
    source.open(None)
    read_snapshot(source)
    assert source.read(10, 1.0) is None  # ten heartbeats long: nothing to say is no error
    process = database.server._process
    process.send_signal(signal.SIGSTOP)
    try:
        with pytest.raises(ConnectorError, match="silent") as caught:
            read_rows(source, 1)
    finally:
        process.send_signal(signal.SIGCONT)
    assert caught.value.transient
    source.close()
