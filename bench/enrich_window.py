"""Generator -> lookup in a cache of a million rows -> tumbling count, against one DuckDB batch query."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import stream_magic
from bench.result import Result, best_rates

ROWS, EPOCH_ROWS, PRODUCTS = 2_000_000, 100_000, 1_000_000
WINDOW = "INTERVAL 10 SECONDS"


def measure() -> Result:
    with tempfile.TemporaryDirectory() as folder:
        catalogue = _catalogue()
        path = Path(folder) / "products.parquet"
        pq.write_table(catalogue, path)
        orders = _orders()
        ours, reference = best_rates(
            ROWS, lambda: _stream(path, orders), lambda: _batch(catalogue, orders)
        )
    return Result("enrich and count per window", ours, reference, "DuckDB batch", 0.25)


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


def _stream(path: Path, orders: pa.Table) -> None:
    app = stream_magic.App("bench")
    app.execute(
        f"""
        CREATE SOURCE o (product_id BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'memory', queue_rows = 10000000);
        CREATE CACHE p KEY (product_id) WITH (connector = 'file', path = '{path}');
        CREATE STREAM e AS SELECT o.ts, p.category FROM o JOIN p ON p.product_id = o.product_id;
        CREATE STREAM w AS SELECT window_start, category, count(*) AS n FROM TUMBLE(e, ts, {WINDOW})
          GROUP BY window_start, window_end, category EMIT ON WINDOW CLOSE;
        """
    )
    for start in range(0, orders.num_rows, EPOCH_ROWS):
        app.push("o", orders.slice(start, EPOCH_ROWS))
        app.step()
    app.end("o")
    app.step()
    app.close()


def _batch(catalogue: pa.Table, orders: pa.Table) -> None:
    with duckdb.connect() as con:
        con.register("o", orders)
        con.register("c", catalogue)
        con.execute("CREATE TABLE p AS FROM c")
        con.sql(
            f"SELECT time_bucket({WINDOW}, ts) AS w, category, count(*) AS n FROM o JOIN p USING (product_id) GROUP BY ALL"
        ).to_arrow_table()


if __name__ == "__main__":
    print(measure())
