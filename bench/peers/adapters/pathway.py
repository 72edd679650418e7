"""Pathway on two worker threads: CSV files on a memory file system, which its engine reads and parses itself.

Rows handed over from Python go through Python objects one by one; its own benchmarks use files or Kafka for that reason.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from bench.peers.peer import Peer
from bench.peers.queries import FEW, FILTER, GAP_S, SLIDE_S, WINDOW_S

_WORKERS = 2
_FILES = 20
_MEMORY = Path("/dev/shm")
_START, _KEY = "_pw_window_start", "_pw_instance"  # of a window, as it names them


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = ("pathway>=0.33,<0.34", "pyarrow>=20,<27")
    share = 4
    reads = (
        f"{_FILES} CSV files in a memory file system, times as whole milliseconds, which the engine reads on {_WORKERS} workers (parsing is "
        "timed); the result goes to the null sink, and once to a file, to be checked; results are live"
    )

    def __init__(self, query: str, tables: dict[str, pa.Table]) -> None:
        super().__init__(query, tables)
        os.environ["PATHWAY_THREADS"] = str(_WORKERS)
        self._folder = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.exists() else None))
        for name, table in tables.items():
            _write(self._folder / name, table)

    def prepare(self) -> None:
        import pathway as pw

        self._build(pw.io.null.write)

    def run(self) -> None:
        import pathway as pw

        pw.run(monitoring_level=pw.MonitoringLevel.NONE)

    def answer(self) -> pa.Table:
        """The changes of a run of its own, added up: `diff` is +1 or -1."""
        import pathway as pw

        path = self._folder / "answer.csv"
        self._build(lambda result: pw.io.csv.write(result, path))
        self.run()
        changes = csv.read_csv(path).drop_columns(["time"])
        path.unlink()
        names = [n for n in changes.column_names if n != "diff"]
        kept = changes.group_by(names).aggregate([("diff", "sum")])
        rows = kept.filter(pc.greater(kept["diff_sum"], 0)).select(names)
        return pa.table({n: _timed(n, rows[n]) for n in names})

    def close(self) -> None:
        shutil.rmtree(self._folder)

    def _build(self, write: Any) -> None:
        import pathway as pw
        from pathway.internals.parse_graph import G

        G.clear()
        live = {
            n: pw.io.csv.read(
                self._folder / n,
                schema=pw.schema_from_types(**dict.fromkeys(t.column_names, int)),
                mode="static",
            )
            for n, t in self.tables.items()
        }
        write(_QUERIES[self.query](pw, live))


def _write(folder: Path, table: pa.Table) -> None:
    folder.mkdir()
    millis = table.set_column(
        table.column_names.index("ts"), "ts", table["ts"].cast(pa.timestamp("ms")).cast(pa.int64())
    )
    rows = -(-table.num_rows // _FILES)
    for i in range(_FILES):
        csv.write_csv(millis.slice(i * rows, rows), folder / f"{i:02}.csv")


def _timed(name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.timestamp("ms")) if name in {"w", "ts"} else column


def _map(pw: Any, live: dict[str, Any]) -> Any:
    return live["bid"].select(
        pw.this.auction, pw.this.bidder, price=pw.this.price * 0.908, ts=pw.this.ts
    )


def _filter(pw: Any, live: dict[str, Any]) -> Any:
    return live["bid"].filter(pw.this.auction % FILTER == 0).select(pw.this.auction, pw.this.price)


def _hopping_count(pw: Any, live: dict[str, Any]) -> Any:
    bid = live["bid"]
    hops = pw.temporal.sliding(hop=SLIDE_S * 1_000, duration=WINDOW_S * 1_000)
    found = bid.windowby(bid.ts, window=hops, instance=bid.auction)
    return found.reduce(auction=pw.this[_KEY], w=pw.this[_START], n=pw.reducers.count())


def _tumbling_max(pw: Any, live: dict[str, Any]) -> Any:
    bid = live["bid"]
    found = bid.windowby(bid.ts, window=pw.temporal.tumbling(duration=WINDOW_S * 1_000))
    return found.reduce(w=pw.this[_START], m=pw.reducers.max(pw.this.price))


def _tumbling_count(pw: Any, live: dict[str, Any]) -> Any:
    bid = live["bid"]
    found = bid.windowby(
        bid.ts, window=pw.temporal.tumbling(duration=WINDOW_S * 1_000), instance=bid.bidder
    )
    return found.reduce(bidder=pw.this[_KEY], w=pw.this[_START], n=pw.reducers.count())


def _sum_100(pw: Any, live: dict[str, Any]) -> Any:
    bid = live["bid"].select(k=pw.this.auction % FEW, price=pw.this.price)
    return bid.groupby(bid.k).reduce(bid.k, s=pw.reducers.sum(bid.price))


def _sum_200k(pw: Any, live: dict[str, Any]) -> Any:
    bid = live["bid"]
    return bid.groupby(bid.bidder).reduce(k=bid.bidder, s=pw.reducers.sum(bid.price))


def _session_count(pw: Any, live: dict[str, Any]) -> Any:
    """Rows are one session if they are less than `max_gap` apart, and times are whole milliseconds."""
    bid = live["bid"]
    found = bid.windowby(
        bid.ts, window=pw.temporal.session(max_gap=GAP_S * 1_000 + 1), instance=bid.bidder
    )
    return found.reduce(bidder=pw.this[_KEY], w=pw.this[_START], n=pw.reducers.count())


def _window_join(pw: Any, live: dict[str, Any]) -> Any:
    bid, ask = live["bid"], live["ask"]
    window = pw.temporal.tumbling(duration=WINDOW_S * 1_000)
    found = bid.window_join(ask, bid.ts, ask.ts, window, bid.bidder == ask.bidder)
    return found.select(bid.bidder, bid.price, ask.seller, w=pw.this[_START])


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
