"""Rows a second of mysql-cdc against mysql-replication's own decoding in a bare loop, in one run."""

from __future__ import annotations

import logging
import time
import warnings
from dataclasses import dataclass
from typing import Any

from servers.mariadb import MariaDbServer
from support.mysql import make_source, read_rows, read_snapshot

TABLE = """
CREATE TABLE bench.orders (
  order_id BIGINT AUTO_INCREMENT PRIMARY KEY, product_id INT UNSIGNED NOT NULL,
  amount DECIMAL(12,2) NOT NULL, status ENUM('new', 'paid') NOT NULL, note VARCHAR(200),
  ordered_at DATETIME(6) NOT NULL
) CHARACTER SET utf8mb4
"""


@dataclass(frozen=True)
class Speed:
    """Rows a second; `ratio` is ours by theirs."""

    rows: int
    ours: float
    library: float

    @property
    def ratio(self) -> float:
        return self.ours / self.library


def measure(server: MariaDbServer, rows: int = 100_000, *, one_by_one: bool = False) -> Speed:
    """Writes `rows` rows of six columns in one transaction (or each in its own) and reads them twice."""
    server.execute("CREATE OR REPLACE DATABASE bench", TABLE)
    source = make_source(server, ("bench.orders",), snapshot="never")
    source.open(None)
    position = read_snapshot(source).batches[-1].position
    assert position is not None
    values = "NULL, seq % 60, seq / 7, 1 + seq % 2, CONCAT('note ', seq), NOW(6)"
    if one_by_one:
        server.execute(
            "USE bench",
            f"BEGIN NOT ATOMIC FOR i IN 1..{rows} DO"
            f" INSERT INTO orders VALUES ({values.replace('seq', 'i')}); END FOR; END",
        )
    else:
        server.execute(f"INSERT INTO bench.orders SELECT {values} FROM bench.seq_1_to_{rows}")
    started = time.perf_counter()
    read_rows(source, rows)
    ours = rows / (time.perf_counter() - started)
    source.close()
    return Speed(rows, ours, _library(server, position, rows))


def _library(server: MariaDbServer, position: dict[str, Any], rows: int) -> float:
    from pymysqlreplication import BinLogStreamReader
    from pymysqlreplication.row_event import WriteRowsEvent

    logging.disable(logging.WARNING)
    reader = BinLogStreamReader(
        connection_settings={
            "host": "127.0.0.1", "port": server.port, "user": "cdc", "passwd": "cdc",
        },
        server_id=78, log_file=position["file"], log_pos=position["pos"], resume_stream=True,
        only_events=[WriteRowsEvent], only_schemas=["bench"], enable_logging=False,
    )  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            started = time.perf_counter()
            found = sum(1 for event in reader for _ in event.rows)
            elapsed = time.perf_counter() - started
    finally:
        reader.close()
        logging.disable(logging.NOTSET)
    assert found == rows
    return rows / elapsed
