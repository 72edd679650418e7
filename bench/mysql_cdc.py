"""Rows of a binary log to Arrow, and through an app to a count, against mysql-replication's decoding of the same log."""

from __future__ import annotations

import statistics
import threading
import time
import warnings

import pyarrow as pa
from examples.servers.mariadb import MariaDbServer

import stream_magic
from bench.result import Ratio
from stream_magic.connectors.mysql_cdc import MysqlCdcOptions, MysqlCdcSource
from stream_magic.connectors.mysql_cdc.position import LogPosition
from stream_magic.contracts.source import SourceContext
from stream_magic.core.clock import SystemClock
from stream_magic.security.secrets import Secret

INSERTS, UPDATES, ROUNDS = 100_000, 50_000, 3
CHANGES = INSERTS + UPDATES
TABLE = """
CREATE TABLE shop.orders (
  order_id BIGINT PRIMARY KEY, product_id INT UNSIGNED NOT NULL, amount DECIMAL(12,2) NOT NULL,
  status ENUM('new', 'paid') NOT NULL, note VARCHAR(200), ordered_at DATETIME(6) NOT NULL
) CHARACTER SET utf8mb4
"""


def measure() -> list[Ratio]:
    """One transaction a round. The app's clock runs from its COMMIT; the other two read it again."""
    to_arrow, to_count, library = [], [], []
    with MariaDbServer() as server:
        for _ in range(ROUNDS):
            server.execute("CREATE OR REPLACE DATABASE shop", TABLE)
            begin = _position(server)
            to_count.append(CHANGES / _app_s(server))
            to_arrow.append(CHANGES / _source_s(server, begin))
            library.append(CHANGES / _library_s(server, begin))
    reference = statistics.median(library)
    theirs = "mysql-replication"
    return [
        Ratio("mysql-cdc to Arrow", statistics.median(to_arrow), reference, theirs, 2),
        Ratio("mysql-cdc to a count", statistics.median(to_count), reference, theirs, 2),
    ]


def _position(server: MariaDbServer) -> LogPosition:
    file, pos = server.query("SHOW MASTER STATUS")[0][:2]
    return LogPosition("mariadb", file, pos, server.query("SELECT @@gtid_binlog_pos")[0][0])


def _app_s(server: MariaDbServer) -> float:
    app = stream_magic.App("bench")
    app.execute(
        f"""
        CREATE SECRET db WITH (value = 'cdc');
        CREATE SOURCE orders WITH (connector = 'mysql-cdc', url = '{server.url("cdc")}',
                                   password = secret('db'), tables = 'shop.orders', snapshot = 'never');
        CREATE STREAM picked AS SELECT op, after.order_id, after.amount, before.amount AS old_amount FROM orders;
        CREATE TABLE counted AS SELECT count(*) AS n FROM picked;
        """
    )
    has_all = threading.Event()

    def look(_epoch: int, delta: pa.Table) -> None:
        if CHANGES in delta.column("n").to_pylist():
            has_all.set()

    app["counted"].subscribe(look)
    app.start()
    writer = server.connect(database="shop")
    with writer.cursor() as cursor:
        _wait_for_reader(server)
        cursor.execute("BEGIN")
        cursor.execute(
            "INSERT INTO orders SELECT seq, seq % 60, seq / 7, 1 + seq % 2, CONCAT('note ', seq), NOW(6)"
            f" FROM seq_1_to_{INSERTS}"
        )
        cursor.execute(f"UPDATE orders SET amount = amount + 1 WHERE order_id <= {UPDATES}")
        start = time.perf_counter()
        cursor.execute("COMMIT")
    writer.close()
    if not has_all.wait(300):
        raise TimeoutError(f"not all changes came: {app.status()}")
    seconds = time.perf_counter() - start
    app.close()
    return seconds


def _wait_for_reader(server: MariaDbServer) -> None:
    """Until the app follows the log: what is committed from then on is read."""
    deadline = time.monotonic() + 30
    while not server.query(
        "SELECT 1 FROM information_schema.processlist WHERE command = 'Binlog Dump'"
    ):
        if time.monotonic() > deadline:
            raise TimeoutError("the app does not follow the log")
        time.sleep(0.02)


def _source_s(server: MariaDbServer, begin: LogPosition) -> float:
    options = MysqlCdcOptions(
        url=server.url("cdc"), password=Secret("cdc"), tables=("shop.orders",), snapshot="never"
    )
    source = MysqlCdcSource(options, SourceContext("orders", "bench", SystemClock(), None))
    source.open(begin.to_json())
    left = CHANGES
    start = time.perf_counter()
    while left:
        batch = source.read(20_000, 1.0)
        left -= batch.rows.num_rows if batch is not None else 0
    seconds = time.perf_counter() - start
    source.close()
    return seconds


def _library_s(server: MariaDbServer, begin: LogPosition) -> float:
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import UpdateRowsEvent, WriteRowsEvent

    reader = BinLogStreamReader(
        {"host": "127.0.0.1", "port": server.port, "user": "cdc", "passwd": "cdc"},
        server_id=78,
        log_file=begin.file,
        log_pos=begin.pos,
        resume_stream=True,
        only_events=[WriteRowsEvent, UpdateRowsEvent],
        only_schemas=["shop"],
        enable_logging=False,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        start = time.perf_counter()
        found = sum(len(event.rows) for event in reader)
        seconds = time.perf_counter() - start
    reader.close()
    if found != CHANGES:
        raise AssertionError(f"mysql-replication found {found} rows, not {CHANGES}")
    return seconds
