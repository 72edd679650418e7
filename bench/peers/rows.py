"""The rows that every system gets: seeded, in the order of their time, written once as Arrow files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from bench.peers import files

KEYS = 200_000
_RATE = 20_000  # events a second of event time
_START_US = 1_767_225_600_000_000


def write_rows(folder: Path, rows: int) -> None:
    """Bids, and a fifth as many asks that name bidders, over the same time."""
    for name, table in {"bid": _bids(rows), "ask": _asks(rows // 5, rows)}.items():
        files.write(folder / f"{name}.arrow", table)


def _bids(rows: int) -> pa.Table:
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "auction": rng.integers(0, 10_000, rows),
            "bidder": rng.integers(0, KEYS, rows),
            "price": rng.integers(1, 10_000, rows),
            "ts": _times(rows, rows),
        }
    )


def _asks(rows: int, among: int) -> pa.Table:
    rng = np.random.default_rng(2)
    return pa.table(
        {
            "bidder": rng.integers(0, KEYS, rows),
            "seller": rng.integers(0, 1_000, rows),
            "ts": _times(rows, among),
        }
    )


def _times(rows: int, among: int) -> pa.Array:
    """As many times, evenly over the time of `among` bids; whole milliseconds, since not every system has finer ones."""
    step_us = among * 1_000_000 // (rows * _RATE)
    at_us = np.arange(rows, dtype=np.int64) * step_us // 1_000 * 1_000
    return pa.array(_START_US + at_us, pa.timestamp("us"))
