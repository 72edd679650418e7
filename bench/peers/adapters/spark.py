"""Apache Spark Structured Streaming in this process: local[2], Parquet files on a memory file system, all of them available at once.

`availableNow` takes the files in a few large micro-batches, state is kept by the in-memory provider, two shuffle partitions: what its
guide advises for throughput on one machine.
"""

from __future__ import annotations

import shutil
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.peers.peer import Peer
from bench.peers.queries import FEW, FILTER, GAP_S, SLIDE_S, WINDOW_S

_CORES = 2
_FILES, _FILES_A_BATCH = 20, 4
_MEMORY = Path("/dev/shm")
_HEAP = "6g"
_CLOSED = {"hopping_count", "tumbling_max", "tumbling_count", "session_count"}


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = ("pyspark>=4.0,<4.4",)
    reads = (
        f"{_FILES} Parquet files in a memory file system, {_FILES_A_BATCH} in each micro-batch; the result goes to the noop sink, and once "
        "to a table, to be checked; windows are told as they close; starting the query is timed"
    )

    def __init__(self, query: str, tables: dict[str, pa.Table]) -> None:
        super().__init__(query, tables)
        from pyspark.sql import SparkSession

        self._folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.exists() else None))
        for name, table in tables.items():
            _write(self._folder / name, table)
        if query in _CLOSED:
            _write_end(self._folder / "bid", tables["bid"])
        made = SparkSession.builder.master(f"local[{_CORES}]").config("spark.driver.memory", _HEAP)
        for key, value in {
            "spark.ui.enabled": "false",
            "spark.sql.shuffle.partitions": str(_CORES),
            "spark.sql.session.timeZone": "UTC",
            "spark.sql.execution.arrow.pyspark.enabled": "true",
        }.items():
            made = made.config(key, value)
        self._spark = made.getOrCreate()
        self._spark.sparkContext.setLogLevel("ERROR")
        self._mode = "update" if query.startswith("sum_") else "append"
        self._runs = 0

    def run(self) -> None:
        self._go(self._result().writeStream.format("noop").outputMode(self._mode))

    def answer(self) -> pa.Table:
        """Of a changelog the whole result, which the sink in memory keeps after each micro-batch."""
        mode = "complete" if self._mode == "update" else "append"
        self._go(self._result().writeStream.format("memory").queryName("result").outputMode(mode))
        return self._spark.table("result").toArrow()

    def close(self) -> None:
        self._spark.stop()
        shutil.rmtree(self._folder)

    def _go(self, writer: Any) -> None:
        self._runs += 1
        place = self._folder / f"checkpoint{self._runs}"
        writer.option("checkpointLocation", str(place)).trigger(
            availableNow=True
        ).start().awaitTermination()
        shutil.rmtree(place)

    def _result(self) -> Any:
        return _QUERIES[self.query]({n: self._live(n) for n in self.tables})

    def _live(self, name: str) -> Any:
        folder = str(self._folder / name)
        schema = self._spark.read.parquet(folder).schema
        live = (
            self._spark.readStream.schema(schema)
            .option("maxFilesPerTrigger", _FILES_A_BATCH)
            .parquet(folder)
        )
        return live.withWatermark("ts", "0 seconds")


def _write(folder: Path, table: pa.Table) -> None:
    folder.mkdir()
    rows = -(-table.num_rows // _FILES)
    for i in range(_FILES):
        _put(table.slice(i * rows, rows), folder / f"{i:02}.parquet")


def _write_end(folder: Path, table: pa.Table) -> None:
    """A row long after all others: Spark closes windows by a later row only. It stays in its own window, which does not close."""
    last = pc.max(table["ts"]).cast(pa.timestamp("us", "UTC")).as_py()
    row = {"auction": -1, "bidder": -1, "price": 0, "ts": last + timedelta(hours=1)}
    _put(pa.Table.from_pylist([row]), folder / "end.parquet")


def _put(table: pa.Table, path: Path) -> None:
    """Times with a zone: those without are no event times to Spark."""
    times = table["ts"].cast(pa.timestamp("us", "UTC"))
    pq.write_table(
        table.set_column(table.column_names.index("ts"), "ts", times), path, compression="none"
    )


def _map(live: dict[str, Any]) -> Any:
    from pyspark.sql.functions import col

    return live["bid"].select("auction", "bidder", (col("price") * 0.908).alias("price"), "ts")


def _filter(live: dict[str, Any]) -> Any:
    return live["bid"].where(f"auction % {FILTER} = 0").select("auction", "price")


def _hopping_count(live: dict[str, Any]) -> Any:
    from pyspark.sql.functions import window

    hops = live["bid"].groupBy(
        "auction", window("ts", f"{WINDOW_S} seconds", f"{SLIDE_S} seconds").alias("w")
    )
    return hops.count().selectExpr("auction", "w.start AS w", "count AS n")


def _tumbling_max(live: dict[str, Any]) -> Any:
    from pyspark.sql.functions import window

    return (
        live["bid"]
        .groupBy(window("ts", f"{WINDOW_S} seconds").alias("w"))
        .max("price")
        .selectExpr("w.start AS w", "`max(price)` AS m")
    )


def _tumbling_count(live: dict[str, Any]) -> Any:
    from pyspark.sql.functions import window

    counts = live["bid"].groupBy("bidder", window("ts", f"{WINDOW_S} seconds").alias("w")).count()
    return counts.selectExpr("bidder", "w.start AS w", "count AS n")


def _sum_100(live: dict[str, Any]) -> Any:
    return live["bid"].selectExpr(f"auction % {FEW} AS k", "price").groupBy("k").sum("price")


def _sum_200k(live: dict[str, Any]) -> Any:
    return live["bid"].groupBy("bidder").sum("price")


def _session_count(live: dict[str, Any]) -> Any:
    from pyspark.sql.functions import session_window

    counts = (
        live["bid"].groupBy("bidder", session_window("ts", f"{GAP_S} seconds").alias("w")).count()
    )
    return counts.selectExpr("bidder", "w.start AS w", "count AS n")


def _window_join(live: dict[str, Any]) -> Any:
    from pyspark.sql.functions import window

    bid, ask = (
        t.select("*", window("ts", f"{WINDOW_S} seconds").alias("w")).drop("ts")
        for t in live.values()
    )
    return bid.join(ask, ["bidder", "w"]).selectExpr("bidder", "price", "seller", "w.start AS w")


_QUERIES = {
    "map": _map,
    "filter": _filter,
    "hopping_count": _hopping_count,
    "tumbling_max": _tumbling_max,
    "tumbling_count": _tumbling_count,
    "sum_100": _sum_100,
    "sum_200k": _sum_200k,
    "session_count": _session_count,
    "window_join": _window_join,
}
