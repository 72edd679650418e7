"""Bytewax in this process: Arrow batches go in; what has no key is computed on whole batches, what has a key row by row.

Its operators for keys and windows take Python objects, so that more workers of one process would share one interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from bench.peers.peer import Peer
from bench.peers.queries import FEW, FILTER, GAP_S, SLIDE_S, WINDOW_S

_BATCH_ROWS = 10_000
_ALIGN = datetime(2026, 1, 1, tzinfo=UTC)
Row = tuple[str, tuple[Any, ...]]


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = ("bytewax>=0.21,<0.22", "pyarrow>=20,<27")
    share = 40
    reads = (
        "Arrow batches in memory from its testing source, one worker; the result is a list of Python objects (of Arrow batches without "
        "keys); making Python rows of the batches is timed; windows are told as they close"
    )

    def prepare(self) -> None:
        import bytewax.operators as op
        from bytewax.dataflow import Dataflow
        from bytewax.testing import TestingSink, TestingSource

        self._out: list[Any] = []
        self._flow = Dataflow("peers")
        live = {
            n: op.input(n, self._flow, TestingSource(t.to_batches(_BATCH_ROWS), batch_size=1))
            for n, t in self.tables.items()
        }
        op.output("out", _QUERIES[self.query](op, live), TestingSink(self._out))

    def run(self) -> None:
        from bytewax.testing import run_main

        run_main(self._flow)

    def answer(self) -> pa.Table:
        return _ANSWERS[self.query](self._out)

    def clear(self) -> None:
        del self._flow, self._out


def _map(op: Any, live: dict[str, Any]) -> Any:
    return op.map(
        "map", live["bid"], lambda b: b.set_column(2, "price", pc.multiply(b["price"], 0.908))
    )


def _filter(op: Any, live: dict[str, Any]) -> Any:
    def passed(b: pa.RecordBatch) -> pa.RecordBatch:
        quotient = pc.divide(b["auction"], FILTER)
        return b.filter(pc.equal(pc.multiply(quotient, FILTER), b["auction"])).select(
            ["auction", "price"]
        )

    return op.map("filter", live["bid"], passed)


def _keyed(op: Any, batches: Any, key: str, *columns: str, name: str = "rows") -> Any:
    """(key, (values ...)) of each row; keys are text."""

    def rows(batch: pa.RecordBatch) -> Iterable[Row]:
        keys = map(str, batch[key].to_pylist())
        values = [_times(batch) if c == "ts" else batch[c].to_pylist() for c in columns]
        return zip(keys, zip(*values, strict=True), strict=True)

    return op.flat_map(name, batches, rows)


def _times(batch: pa.RecordBatch) -> list[datetime]:
    return [t.replace(tzinfo=UTC) for t in batch["ts"].to_pylist()]


def _sum_100(op: Any, live: dict[str, Any]) -> Any:
    keyed = op.map(
        "few", _keyed(op, live["bid"], "auction", "price"), lambda r: (str(int(r[0]) % FEW), r[1])
    )
    return op.stateful_map("sum", keyed, _add)


def _sum_200k(op: Any, live: dict[str, Any]) -> Any:
    return op.stateful_map("sum", _keyed(op, live["bid"], "bidder", "price"), _add)


def _add(total: int | None, row: tuple[int]) -> tuple[int, int]:
    total = (total or 0) + row[0]
    return total, total


def _clock() -> Any:
    from bytewax.operators.windowing import EventClock

    return EventClock(lambda row: row[-1], wait_for_system_duration=timedelta(0))


def _tumbler() -> Any:
    from bytewax.operators.windowing import TumblingWindower

    return TumblingWindower(length=timedelta(seconds=WINDOW_S), align_to=_ALIGN)


def _counted(keyed: Any, windower: Any) -> Any:
    """(key, (window, count)), and when the window began."""
    from bytewax.operators.windowing import fold_window

    return fold_window(
        "count", keyed, _clock(), windower, lambda: (0, None),
        lambda a, row: (a[0] + 1, row[-1] if a[1] is None else min(a[1], row[-1])),
        lambda a, b: (a[0] + b[0], min(a[1], b[1])),
    ).down  # fmt: skip


def _tumbling_count(op: Any, live: dict[str, Any]) -> Any:
    return _counted(_keyed(op, live["bid"], "bidder", "ts"), _tumbler())


def _hopping_count(op: Any, live: dict[str, Any]) -> Any:
    from bytewax.operators.windowing import SlidingWindower

    windower = SlidingWindower(
        length=timedelta(seconds=WINDOW_S), offset=timedelta(seconds=SLIDE_S), align_to=_ALIGN
    )
    return _counted(_keyed(op, live["bid"], "auction", "ts"), windower)


def _session_count(op: Any, live: dict[str, Any]) -> Any:
    from bytewax.operators.windowing import SessionWindower

    return _counted(
        _keyed(op, live["bid"], "bidder", "ts"), SessionWindower(gap=timedelta(seconds=GAP_S))
    )


def _tumbling_max(op: Any, live: dict[str, Any]) -> Any:
    from bytewax.operators.windowing import max_window

    keyed = op.map("all", _keyed(op, live["bid"], "auction", "price", "ts"), lambda r: ("", r[1]))
    return max_window("max", keyed, _clock(), _tumbler(), by=lambda row: row[0]).down


def _window_join(op: Any, live: dict[str, Any]) -> Any:
    from bytewax.operators.windowing import join_window

    bid = _keyed(op, live["bid"], "bidder", "price", "ts", name="bids")
    ask = _keyed(op, live["ask"], "bidder", "seller", "ts", name="asks")
    return join_window("join", _clock(), _tumbler(), bid, ask, insert_mode="product").down


def _batches(out: list[Any]) -> pa.Table:
    return pa.Table.from_batches(out)


def _last(out: list[Any]) -> pa.Table:
    sums = dict(out)
    return pa.table({"k": [int(k) for k in sums], "s": list(sums.values())})


def _starts(windows: Iterable[int], step_s: int) -> pa.Array:
    """Windows are numbered from `_ALIGN`."""
    return pa.array(
        [_ALIGN + timedelta(seconds=step_s * w) for w in windows], pa.timestamp("us", "UTC")
    )


def _windows(step_s: int, column: str) -> Callable[[list[Any]], pa.Table]:
    def table(out: list[Any]) -> pa.Table:
        return pa.table({
            column: [int(k) for k, _ in out],
            "w": _starts((w for _, (w, _) in out), step_s),
            "n": [n for _, (_, (n, _)) in out],
        })  # fmt: skip

    return table


def _sessions(out: list[Any]) -> pa.Table:
    begins = pa.array([at for _, (_, (_, at)) in out], pa.timestamp("us", "UTC"))
    return pa.table(
        {"bidder": [int(k) for k, _ in out], "w": begins, "n": [n for _, (_, (n, _)) in out]}
    )


def _maxima(out: list[Any]) -> pa.Table:
    return pa.table(
        {"w": _starts((w for _, (w, _) in out), WINDOW_S), "m": [row[0] for _, (_, row) in out]}
    )


def _pairs(out: list[Any]) -> pa.Table:
    found = [(k, w, bid, ask) for k, (w, (bid, ask)) in out if bid is not None and ask is not None]
    return pa.table({
        "bidder": [int(k) for k, _, _, _ in found],
        "price": [bid[0] for _, _, bid, _ in found],
        "seller": [ask[0] for _, _, _, ask in found],
        "w": _starts((w for _, w, _, _ in found), WINDOW_S),
    })  # fmt: skip


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
_ANSWERS = {
    "map": _batches,
    "filter": _batches,
    "hopping_count": _windows(SLIDE_S, "auction"),
    "tumbling_max": _maxima,
    "tumbling_count": _windows(WINDOW_S, "bidder"),
    "sum_100": _last,
    "sum_200k": _last,
    "session_count": _sessions,
    "window_join": _pairs,
}
