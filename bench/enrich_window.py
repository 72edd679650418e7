"""Generator -> lookup in a cache of a million rows -> tumbling count, against one DuckDB batch query."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import stream_magic
from bench.result import Ratio, rates

ROWS, EPOCH_ROWS, PRODUCTS = 2_000_000, 100_000, 1_000_000
WINDOW = "INTERVAL 10 SECONDS"


def measure() -> list[Ratio]:
    """Loading the cache and planning are not timed, on either side."""
    with tempfile.TemporaryDirectory() as folder:
        catalogue = _catalogue()
        path = Path(folder) / "products.parquet"
        pq.write_table(catalogue, path)
        orders = _orders()
        ours, reference = rates(
            orders.num_rows,
            lambda: _stream_s(path, orders),
            lambda: _batch_s(catalogue, orders),
            rounds=5,
        )
    return [Ratio("enrich and count per window", ours, reference, "DuckDB batch", 0.25)]


def _catalogue() -> pa.Table:
    ids = np.arange(1, PRODUCTS + 1)
    return pa.table(
        {"product_id": ids, "category": pa.array([f"c{i % 12}" for i in range(PRODUCTS)])}
    )


def _orders() -> pa.Table:
    """The generator's own rows, made before the clock runs."""
    app = stream_magic.App("make")
    app.execute(
        f"CREATE SOURCE o WITH (connector = 'generator', rows = {ROWS}, products = {PRODUCTS}, start = '2026-01-01 00:00:00');"
        "CREATE TABLE t AS SELECT after.product_id AS product_id, ts FROM o WHERE after.product_id IS NOT NULL"
    )
    app.start()
    app.drain(600)
    rows = app.sql("SELECT * FROM t").to_arrow_table()
    app.close()
    return rows


def _stream_s(path: Path, orders: pa.Table) -> float:
    app = stream_magic.App("bench")
    app.execute(
        f"""
        CREATE SOURCE o (product_id BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'memory');
        CREATE CACHE p KEY (product_id) WITH (connector = 'file', path = '{path}');
        CREATE STREAM w AS SELECT window_start, p.category, count(*) AS n
          FROM TUMBLE(o, ts, {WINDOW}) AS o JOIN p ON p.product_id = o.product_id
          GROUP BY window_start, window_end, p.category EMIT ON WINDOW CLOSE;
        """
    )
    app.step()
    start = time.perf_counter()
    for at in range(0, orders.num_rows, EPOCH_ROWS):
        app.push("o", orders.slice(at, EPOCH_ROWS))
        app.step()
    app.end("o")
    app.step()
    seconds = time.perf_counter() - start
    app.close()
    return seconds


def _batch_s(catalogue: pa.Table, orders: pa.Table) -> float:
    with duckdb.connect() as con:
        con.register("o", orders)
        con.register("c", catalogue)
        con.execute("CREATE TABLE p AS FROM c")
        start = time.perf_counter()
        con.sql(
            f"SELECT time_bucket({WINDOW}, ts) AS w, category, count(*) AS n FROM o JOIN p USING (product_id) GROUP BY ALL"
        ).to_arrow_table()
        return time.perf_counter() - start
