"""stream_magic itself, as a running app that cuts its epochs as it likes."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa

from bench.peers.peer import Peer
from bench.peers.queries import FEW, FILTER, GAP_S, SLIDE_S, WINDOW_S
from stream_magic import App

_SOURCES = {
    "bid": "auction BIGINT, bidder BIGINT, price BIGINT",
    "ask": "bidder BIGINT, seller BIGINT",
}
_TUMBLE = f"TUMBLE({{}}, ts, INTERVAL {WINDOW_S} SECONDS)"
_HOP = f"HOP(bid, ts, INTERVAL {SLIDE_S} SECONDS, INTERVAL {WINDOW_S} SECONDS)"
_SESSION = f"SESSION(bid, ts, INTERVAL {GAP_S} SECONDS, bidder)"
_CLOSE = "EMIT ON WINDOW CLOSE"
_SELECTS = {
    "map": "SELECT auction, bidder, price * 0.908::DOUBLE AS price, ts FROM bid",
    "filter": f"SELECT auction, price FROM bid WHERE auction % {FILTER} = 0",
    "hopping_count": f"SELECT auction, window_start, count(*) AS n FROM {_HOP} GROUP BY auction, window_start, window_end {_CLOSE}",
    "tumbling_max": f"SELECT window_start, max(price) AS m FROM {_TUMBLE.format('bid')} GROUP BY window_start, window_end {_CLOSE}",
    "tumbling_count": f"SELECT bidder, window_start, count(*) AS n FROM {_TUMBLE.format('bid')} GROUP BY bidder, window_start, window_end {_CLOSE}",
    "sum_100": f"SELECT auction % {FEW} AS k, sum(price)::BIGINT AS s FROM bid GROUP BY k",
    "sum_200k": "SELECT bidder AS k, sum(price)::BIGINT AS s FROM bid GROUP BY k",
    "session_count": f"SELECT bidder, window_start, count(*) AS n FROM {_SESSION} GROUP BY bidder, window_start, window_end {_CLOSE}",
    "window_join": f"SELECT b.bidder, b.price, a.seller, b.window_start FROM {_TUMBLE.format('bid')} AS b JOIN {_TUMBLE.format('ask')} AS a "
    "ON a.bidder = b.bidder AND a.window_start = b.window_start AND a.window_end = b.window_end",
}


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = ("stream_magic", "duckdb", "pyarrow")
    reads = "rows wait in a memory source; the result is kept whole in the app; windows are told as they close"
    _app: App

    def prepare(self) -> None:
        self._app = App("peers")
        for name in self.tables:
            self._app.execute(
                f"CREATE SOURCE {name} ({_SOURCES[name]}, ts TIMESTAMP, WATERMARK FOR ts AS ts) "
                "WITH (connector = 'memory', queue_rows = 1000000000)"
            )
        self._app.execute(f"CREATE STREAM result WITH (retention = 1000000000) AS {_SELECTS[self.query]}")  # fmt: skip
        for name, table in self.tables.items():
            self._app.push(name, table)
            self._app.end(name)

    def run(self) -> None:
        self._app.start()
        self._app.drain(600)

    def answer(self) -> pa.Table:
        return self._app.sql("SELECT * FROM result").to_arrow_table()

    def clear(self) -> None:
        self._app.close()
