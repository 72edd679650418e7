"""Deephaven Community, in this process: rows are released into the update graph as its own benchmarks do it.

`AutoTuningIncrementalReleaseFilter` lets as many rows of a table in memory through in each cycle as the graph can take.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, ClassVar

import pyarrow as pa

from bench.peers.peer import Peer
from bench.peers.queries import FEW, FILTER, GAP_S, SLIDE_S, WINDOW_S

_HEAP = "-Xmx6g"
_FIRST_ROWS = 100_000  # of the first cycle; the next ones are tuned to the cycle's second
_HOPS = WINDOW_S // SLIDE_S


class Adapter(Peer):
    requirements: ClassVar[tuple[str, ...]] = ("deephaven-server>=42,<43",)
    reads = (
        "rows of a table in memory are released in steps tuned to its cycle of one second, as in its own benchmarks (so that two "
        "million rows may come in two steps); the result is a live table"
    )

    def __init__(self, query: str, tables: dict[str, pa.Table]) -> None:
        super().__init__(query, tables)
        from deephaven_server import Server

        self._server = Server(port=0, jvm_args=[_HEAP, "-DAuthHandlers=io.deephaven.auth.AnonymousAuthenticationHandler"])  # fmt: skip
        self._server.start()
        from deephaven import arrow

        self._rows = {name: arrow.to_table(table) for name, table in tables.items()}

    def prepare(self) -> None:
        """Holds the update graph until `run`: it would release rows at once."""
        import jpy
        from deephaven.execution_context import get_exec_ctx
        from deephaven.liveness_scope import LivenessScope
        from deephaven.update_graph import exclusive_lock

        kind = jpy.get_type("io.deephaven.engine.table.impl.select.AutoTuningIncrementalReleaseFilter")  # fmt: skip
        self._graph = get_exec_ctx().update_graph
        self._held, self._scope = ExitStack(), LivenessScope()
        self._held.enter_context(exclusive_lock(self._graph))
        with self._scope.open():
            self._filters = {n: kind(0, _FIRST_ROWS, 1.0, False) for n in self._rows}
            live = {n: table.where(self._filters[n]) for n, table in self._rows.items()}
            self._result = _QUERIES[self.query](live)

    def run(self) -> None:
        for f in self._filters.values():
            f.start()
        self._held.close()
        self._graph.j_update_graph.requestRefresh()
        for f in self._filters.values():
            f.waitForCompletion()

    def answer(self) -> pa.Table:
        from deephaven import arrow

        return arrow.to_arrow(self._result)

    def clear(self) -> None:
        del self._result, self._filters
        self._scope.release()


def _window(seconds: int) -> str:
    return f"w = lowerBin(ts, {seconds} * SECOND)"


def _map(live: dict[str, Any]) -> Any:
    return live["bid"].update(["price = price * 0.908"])


def _filter(live: dict[str, Any]) -> Any:
    return live["bid"].where(f"auction % {FILTER} == 0").view(["auction", "price"])


def _tumbling_max(live: dict[str, Any]) -> Any:
    return live["bid"].update_view([_window(WINDOW_S)]).view(["w", "m = price"]).max_by("w")


def _tumbling_count(live: dict[str, Any]) -> Any:
    return live["bid"].update_view([_window(WINDOW_S)]).count_by("n", ["bidder", "w"])


def _sum_100(live: dict[str, Any]) -> Any:
    return live["bid"].view([f"key = auction % {FEW}", "total = price"]).sum_by("key")


def _sum_200k(live: dict[str, Any]) -> Any:
    return live["bid"].view(["key = bidder", "total = price"]).sum_by("key")


def _hopping_count(live: dict[str, Any]) -> Any:
    """Counts by slide, each of which belongs to five windows."""
    from deephaven import merge

    slides = live["bid"].update_view([_window(SLIDE_S)]).count_by("n", ["auction", "w"])
    hops = [slides.update_view([f"w = w - {i * SLIDE_S} * SECOND"]) for i in range(_HOPS)]
    return merge(hops).sum_by(["auction", "w"])


def _session_count(live: dict[str, Any]) -> Any:
    """A session begins where the last bid of a bidder is longer ago than the gap; the sessions are numbered by a sum."""
    from deephaven import agg
    from deephaven.updateby import cum_sum, delta

    bids = live["bid"].view(["bidder", "ts", "at = epochMicros(ts)"])
    gaps = bids.update_by([delta("since=at")], by="bidder")
    begins = gaps.update([f"begins = isNull(since) || since > {GAP_S * 1_000_000} ? 1 : 0"])
    numbered = begins.update_by([cum_sum("session=begins")], by="bidder")
    found = numbered.agg_by([agg.min_("w=ts"), agg.count_("n")], by=["bidder", "session"])
    return found.view(["bidder", "w", "n"])


def _window_join(live: dict[str, Any]) -> Any:
    sides = {n: t.update_view([_window(WINDOW_S)]) for n, t in live.items()}
    asks = sides["ask"].view(["bidder", "seller", "w"])
    return sides["bid"].view(["bidder", "price", "w"]).join(asks, ["bidder", "w"], ["seller"]).view(["bidder", "price", "seller", "w"])  # fmt: skip


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
