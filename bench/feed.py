"""Rows into an app: epoch by epoch of a given size, or as the engine cuts them."""

from __future__ import annotations

import os
import re
import time
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

import stream_magic

EVENTS = int(
    os.environ.get("EVENTS", "1000000")
)  # of Nexmark's queries; ten times as many where memory must be flat
EPOCHS: dict[str, int | None] = {"1k": 1_000, "10k": 10_000, "100k": 100_000, "adaptive": None}
_KEPT = re.compile(r"keeps ([\d,]+) rows, ([\d,.]+) (MB|kB|bytes)")
_BYTES = {"MB": 1e6, "kB": 1e3, "bytes": 1.0}


def fed_s(app: stream_magic.App, tables: dict[str, pa.Table], epoch_rows: int | None) -> float:
    """Seconds until all rows are in the results and every window has closed.

    Handing the rows over is timed, but for adaptive epochs: those wait in the source.
    """
    if epoch_rows is None:
        _push(app, tables, 0, 1)
        for name in tables:
            app.end(name)
        start = time.perf_counter()
        app.start()
        app.drain(600)
        return time.perf_counter() - start
    start = time.perf_counter()
    epochs = max(1, sum(t.num_rows for t in tables.values()) // epoch_rows)
    for i in range(epochs):
        _push(app, tables, i, epochs)
        app.step()
    for name in tables:
        app.end(name)
    app.step()
    return time.perf_counter() - start


def _push(app: stream_magic.App, tables: dict[str, pa.Table], part: int, parts: int) -> None:
    """The same share of each source's rows."""
    for name, table in tables.items():
        first, last = (table.num_rows * i // parts for i in (part, part + 1))
        app.push(name, table.slice(first, last - first))


@dataclass(frozen=True)
class Kept:
    """The state of a query."""

    rows: int
    bytes: int

    def __str__(self) -> str:
        return f"{self.rows:,} rows kept, {self.bytes / 1e6:,.1f} MB"


def kept(app: stream_magic.App, name: str) -> Kept:
    """What EXPLAIN ANALYZE says that its nodes keep."""
    found = _KEPT.findall(app.execute(f"EXPLAIN ANALYZE {name}"))
    rows = sum(int(r.replace(",", "")) for r, _, _ in found)
    return Kept(rows, int(sum(float(s.replace(",", "")) * _BYTES[u] for _, s, u in found)))


def resident_mb() -> float:
    """Memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6
