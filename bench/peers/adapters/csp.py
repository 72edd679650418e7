"""csp in simulated time: columns as curves of NumPy values, one row after the other, through its own C++ nodes.

A node may also be any Python function, which could say every query, and would do its work itself: that is not counted as csp's words.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from bench.peers.peer import NotExpressibleError, Peer
from bench.peers.queries import FEW, FILTER, WINDOW_S

_WINDOW = timedelta(seconds=WINDOW_S)
_EARLIER = timedelta(microseconds=1)  # its windows hold their end and not their start
_BY_KEY = "its statistics by time have no groups"
_REASONS = {
    "hopping_count": _BY_KEY,
    "tumbling_count": _BY_KEY,
    "sum_200k": "keys that are not known before need csp.dynamic, which makes a sub-graph for each: milliseconds a key, so that 200,000 take many minutes",
    "session_count": "its windows reach back a time or a number of ticks, and do not end by a gap",
    "window_join": "its samples and baskets pair last values, not all values of a window",
}


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = ("csp>=0.19,<0.20", "numpy>=2,<3", "pyarrow>=23,<24")
    share = 4
    reads = "NumPy columns in memory as curves, one tick a row; the result is what the engine collects; windows are told as they close"

    def __init__(self, query: str, tables: dict[str, pa.Table]) -> None:
        super().__init__(query, tables)
        if query in _REASONS:
            raise NotExpressibleError(_REASONS[query])
        bids = tables["bid"]
        self._columns = {n: bids[n].to_numpy() for n in ("auction", "bidder", "price")}
        self._event_times = bids["ts"].to_numpy()
        self._times = _apart(self._event_times)

    def prepare(self) -> None:
        import csp

        first, last = (t.astype("datetime64[us]").item() for t in self._times[[0, -1]])
        self._span = {"starttime": first - _EARLIER, "endtime": last + _WINDOW}
        curves = {n: (self._times, values) for n, values in self._columns.items()}
        self._graph = csp.graph(_QUERIES[self.query]), curves

    def run(self) -> None:
        import csp

        self._out = csp.run(*self._graph, output_numpy=True, **self._span)

    def answer(self) -> pa.Table:
        return _ANSWERS[self.query](self._out, self._event_times)

    def clear(self) -> None:
        del self._graph, self._out


def _apart(times: np.ndarray) -> np.ndarray:
    """Rows of one millisecond, microseconds apart: of equal times a curve would give the last one only."""
    rank = np.arange(len(times)) - np.searchsorted(times, times)
    return times.astype("datetime64[ns]") + rank.astype("timedelta64[us]")


def _map(curves: dict[str, Any]) -> None:
    import csp

    for name in ("auction", "bidder"):
        csp.add_graph_output(name, csp.curve(int, curves[name]))
    csp.add_graph_output("price", csp.curve(int, curves["price"]) * 0.908)


def _filter(curves: dict[str, Any]) -> None:
    import csp

    auction = csp.curve(int, curves["auction"])
    passed = csp.mod(auction, csp.const(FILTER)) == csp.const(0)
    csp.add_graph_output("auction", csp.filter(passed, auction))
    csp.add_graph_output("price", csp.filter(passed, csp.curve(int, curves["price"])))


def _tumbling_max(curves: dict[str, Any]) -> None:
    import csp

    price = csp.cast_int_to_float(csp.curve(int, curves["price"]))
    window = {"interval": _WINDOW, "min_window": timedelta(0), "trigger": csp.timer(_WINDOW)}
    csp.add_graph_output("m", csp.stats.max(price, **window))


def _sum_100(curves: dict[str, Any]) -> None:
    import csp

    key = csp.mod(csp.curve(int, curves["auction"]), csp.const(FEW))
    basket = csp.demultiplex(csp.curve(int, curves["price"]), key, list(range(FEW)))
    for k in range(FEW):
        csp.add_graph_output(str(k), csp.accum(basket[k]))


def _mapped(out: dict[str, Any], times: np.ndarray) -> pa.Table:
    return pa.table({n: out[n][1] for n in ("auction", "bidder", "price")} | {"ts": times})


def _filtered(out: dict[str, Any], _: np.ndarray) -> pa.Table:
    return pa.table({n: out[n][1] for n in ("auction", "price")})


def _maxima(out: dict[str, Any], _: np.ndarray) -> pa.Table:
    """A window is told a microsecond before its end."""
    at, maxima = out["m"]
    starts = at + np.timedelta64(1, "us") - np.timedelta64(WINDOW_S, "s")
    return pa.table({"w": starts.astype("datetime64[us]"), "m": maxima.astype(np.int64)})


def _sums(out: dict[str, Any], _: np.ndarray) -> pa.Table:
    return pa.table(
        {"k": [int(k) for k in out], "s": [int(values[-1]) for _, values in out.values()]}
    )


_QUERIES = {"map": _map, "filter": _filter, "tumbling_max": _tumbling_max, "sum_100": _sum_100}
_ANSWERS = {"map": _mapped, "filter": _filtered, "tumbling_max": _maxima, "sum_100": _sums}
