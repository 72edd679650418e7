"""Apache Flink through its Table API in Python: SQL over Arrow batches in memory, on a local cluster with two slots.

The source is the one behind `from_pandas`, with a watermark declared; nothing is computed in Python.
Object reuse, mini-batches and two-phase aggregation are on, as its tuning guide advises.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa

from bench.peers.peer import Peer
from bench.peers.queries import FEW, FILTER, GAP_S, SLIDE_S, WINDOW_S

_PARALLELISM = 2
_BATCH_ROWS = 10_000  # of the Arrow batches, which the readers take in turn
_MINI_BATCH = 50_000
_CONFIG = {
    "parallelism.default": str(_PARALLELISM),
    "pipeline.object-reuse": "true",
    "table.local-time-zone": "UTC",
    "table.exec.mini-batch.enabled": "true",
    "table.exec.mini-batch.allow-latency": "1 s",
    "table.optimizer.agg-phase-strategy": "TWO_PHASE",
}
_TUMBLE = f"TABLE(TUMBLE(TABLE {{}}, DESCRIPTOR(ts), INTERVAL '{WINDOW_S}' SECONDS))"
_HOP = f"TABLE(HOP(TABLE bid, DESCRIPTOR(ts), INTERVAL '{SLIDE_S}' SECONDS, INTERVAL '{WINDOW_S}' SECONDS))"
_SESSION = (
    f"TABLE(SESSION(TABLE bid PARTITION BY bidder, DESCRIPTOR(ts), INTERVAL '{GAP_S}' SECONDS))"
)
_SELECTS = {
    "map": "SELECT auction, bidder, price * CAST(0.908 AS DOUBLE) AS price, ts FROM bid",
    "filter": f"SELECT auction, price FROM bid WHERE MOD(auction, {FILTER}) = 0",
    "hopping_count": f"SELECT auction, window_start AS w, COUNT(*) AS n FROM {_HOP} GROUP BY auction, window_start, window_end",
    "tumbling_max": f"SELECT window_start AS w, MAX(price) AS m FROM {_TUMBLE.format('bid')} GROUP BY window_start, window_end",
    "tumbling_count": f"SELECT bidder, window_start AS w, COUNT(*) AS n FROM {_TUMBLE.format('bid')} GROUP BY bidder, window_start, window_end",
    "sum_100": f"SELECT k, SUM(price) AS s FROM (SELECT MOD(auction, {FEW}) AS k, price FROM bid) GROUP BY k",
    "sum_200k": "SELECT bidder AS k, SUM(price) AS s FROM bid GROUP BY bidder",
    "session_count": f"SELECT bidder, window_start AS w, COUNT(*) AS n FROM {_SESSION} GROUP BY bidder, window_start, window_end",
    "window_join": f"SELECT b.bidder, b.price, a.seller, b.window_start AS w FROM (SELECT * FROM {_TUMBLE.format('bid')}) b "
    f"JOIN (SELECT * FROM {_TUMBLE.format('ask')}) a "
    "ON a.bidder = b.bidder AND a.window_start = b.window_start AND a.window_end = b.window_end",
}


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = ("apache-flink>=2.3,<2.4",)
    reads = (
        "Arrow batches in memory (the source of from_pandas, with a watermark), two slots; the result goes to the blackhole sink, "
        "and the same statement is collected once to be checked; windows are told as they close; the cluster runs already, submitting the job is timed"
    )

    def __init__(self, query: str, tables: dict[str, pa.Table]) -> None:
        super().__init__(query, tables)
        from pyflink.common import Configuration
        from pyflink.table import EnvironmentSettings, TableEnvironment

        config = Configuration()
        for key, value in {**_CONFIG, **_cluster()}.items():
            config.set_string(key, value)
        settings = EnvironmentSettings.new_instance().in_streaming_mode().with_configuration(config)
        self._env = TableEnvironment.create(settings.build())
        self._mini_batch(_MINI_BATCH)
        for name, table in tables.items():
            _declare(self._env, name, table)
        columns = _columns(self._env.sql_query(_SELECTS[query]))
        self._env.execute_sql(f"CREATE TEMPORARY TABLE nowhere ({columns}) WITH ('connector' = 'blackhole')")  # fmt: skip

    def run(self) -> None:
        self._env.execute_sql(f"INSERT INTO nowhere {_SELECTS[self.query]}").wait()

    def answer(self) -> pa.Table:
        """Collected in one mini-batch: a changelog of many is slow to put together in Python."""
        self._mini_batch(sum(t.num_rows for t in self.tables.values()))
        frame = self._env.sql_query(_SELECTS[self.query]).to_pandas()
        self._mini_batch(_MINI_BATCH)
        return pa.Table.from_pandas(frame, preserve_index=False)

    def _mini_batch(self, rows: int) -> None:
        self._env.get_config().set("table.exec.mini-batch.size", str(rows))


def _cluster() -> dict[str, str]:
    """Starts one, so that a job need not; gives what a client of it is told."""
    from pyflink.java_gateway import get_gateway

    java = get_gateway().jvm.org.apache.flink
    config = java.configuration.Configuration()
    config.setString("rest.port", "0")
    config.setString("taskmanager.memory.network.max", "128 mb")
    made = java.runtime.minicluster.MiniClusterConfiguration.Builder().setConfiguration(config)
    cluster = java.runtime.minicluster.MiniCluster(
        made.setNumSlotsPerTaskManager(_PARALLELISM).build()
    )
    cluster.start()
    address = cluster.getRestAddress().get()
    return {
        "execution.target": "remote",
        "rest.address": address.getHost(),
        "rest.port": str(address.getPort()),
    }


def _columns(select: Any) -> str:
    """As a statement declares them."""
    schema = select._j_table.getResolvedSchema()  # noqa: SLF001
    types = [t.getLogicalType().asSerializableString() for t in schema.getColumnDataTypes()]
    return ", ".join(f"`{n}` {t}" for n, t in zip(schema.getColumnNames(), types, strict=True))


def _declare(env: Any, name: str, table: pa.Table) -> None:
    """What `from_pandas` does, with a watermark behind times that rise."""
    from pyflink.java_gateway import get_gateway
    from pyflink.table import DataTypes
    from pyflink.table.types import _to_java_data_type
    from pyflink.util.java_utils import load_java_class

    jvm = get_gateway().jvm
    fields = [DataTypes.FIELD(n, _kind(n)) for n in table.column_names]
    rows = _to_java_data_type(DataTypes.ROW(fields)).notNull()
    rows = rows.bridgedTo(load_java_class("org.apache.flink.table.data.RowData"))
    millis = table.set_column(table.column_names.index("ts"), "ts", table["ts"].cast("timestamp[ms]"))  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.arrow"
        with pa.ipc.new_stream(path, millis.schema) as file:
            file.write_table(millis, max_chunksize=_BATCH_ROWS)
        arrow = jvm.org.apache.flink.table.runtime.arrow.ArrowUtils
        source = arrow.createArrowTableSourceDesc(rows, str(path))
    schema = jvm.org.apache.flink.table.api.Schema.newBuilder().fromRowDataType(rows)
    schema = schema.watermark("ts", "ts - INTERVAL '0.001' SECOND").build()
    env._j_tenv.createTemporaryTable(name, source.toBuilder().schema(schema).build())  # noqa: SLF001


def _kind(column: str) -> Any:
    from pyflink.table import DataTypes

    return DataTypes.TIMESTAMP(3) if column == "ts" else DataTypes.BIGINT()
