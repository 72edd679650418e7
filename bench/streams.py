"""What a running app must keep up: answers in milliseconds, and memory that does not grow."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
from examples.nexmark import declare

import stream_magic
from bench.feed import EVENTS, kept, resident_mb
from bench.result import Flat, Quick, Result
from stream_magic.connectors.nexmark import House
from stream_magic.connectors.nexmark.house import rows_among

_RATE, _BEAT_S, _SECONDS = 10_000, 0.005, 8
_LONG_EVENTS = 10 * EVENTS
_PIECE = 100_000
HOUSE = House(seed=1, start_us=1_767_225_600_000_000, step_us=1_000, disorder_us=100_000)
_SOURCE = "connector = 'memory', queue_rows = 100000000"
_DELAY = "100 MILLISECONDS"
# Each of these says in EXPLAIN that its state is bounded.
BOUNDED = {
    "filter": "SELECT auction, price FROM bid WHERE price > 1000",
    "tumbling count by key, on close": "SELECT bidder, count(*) AS n, window_end FROM TUMBLE(bid, dateTime, INTERVAL 10 SECONDS) GROUP BY bidder, window_start, window_end EMIT ON WINDOW CLOSE",
    "hopping maximum, changes": "SELECT max(price) AS m, window_end FROM HOP(bid, dateTime, INTERVAL 2 SECONDS, INTERVAL 10 SECONDS) GROUP BY window_start, window_end",
    "interval join": "SELECT a.id, b.price FROM auction a JOIN bid b ON b.auction = a.id AND b.dateTime BETWEEN a.dateTime AND a.dateTime + INTERVAL 2 SECONDS",
    "sessions, on close": "SELECT bidder, count(*) AS n, window_end FROM SESSION(bid, dateTime, INTERVAL 1 SECOND, bidder) GROUP BY bidder, window_start, window_end EMIT ON WINDOW CLOSE",
}


def measure() -> Iterator[Result]:
    yield from _latency("an idle kernel", is_busy=False)
    yield from _latency("a busy pure-Python cell", is_busy=True)
    yield from _long()


# --- latency -------------------------------------------------------------------------------------


def _latency(when: str, *, is_busy: bool) -> Iterator[Quick]:
    """From handing an event over to being told a count with it: filter and tumbling count of a second, EMIT CHANGES."""
    app = stream_magic.App("bench")
    app.execute(
        """
        CREATE SOURCE events (v BIGINT, sent BIGINT, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL 1 SECOND) WITH (connector = 'memory');
        CREATE STREAM counted AS SELECT window_end, count(*) AS n, max(sent) AS sent
          FROM TUMBLE(events, ts, INTERVAL 1 SECOND) WHERE v % 10 <> 0 GROUP BY window_start, window_end;
        """
    )
    waiting: list[int] = []  # when the events were sent that no count holds yet, in ns
    found: list[tuple[int, int]] = []  # when they were sent, and how long it took

    def told(_epoch: int, delta: pa.Table) -> None:
        now, last = time.perf_counter_ns(), max(delta.column("sent").to_pylist(), default=0)
        done = [s for s in list(waiting) if s <= last]
        del waiting[: len(done)]
        found.extend((s, now - s) for s in done)

    app["counted"].subscribe(told)
    app.start()
    pusher = threading.Thread(target=_push_steadily, args=(app, waiting))
    begin = time.perf_counter_ns()
    pusher.start()
    while is_busy and pusher.is_alive():
        sum(i * i for i in range(10_000))  # a cell that never waits
    pusher.join()
    app.drain(60)
    app.close()
    settled = [took for sent, took in found if sent > begin + 2e9]  # the first seconds warm it up
    cuts = statistics.quantiles([t / 1e6 for t in settled], n=100)
    aims = (0.0, 0.0) if is_busy else (30.0, 100.0)
    yield Quick(f"10,000 events/s to a count, {when}, p50", cuts[49], aims[0])
    yield Quick(f"10,000 events/s to a count, {when}, p99", cuts[98], aims[1])


def _push_steadily(app: stream_magic.App, waiting: list[int]) -> None:
    rows = int(_RATE * _BEAT_S)
    start = time.perf_counter()
    for beat in range(int(_SECONDS / _BEAT_S)):
        time.sleep(max(0.0, start + beat * _BEAT_S - time.perf_counter()))
        sent = time.perf_counter_ns()
        times = pa.array(np.full(rows, sent // 1000)).cast(pa.timestamp("us"))
        table = pa.table({"v": np.arange(rows), "sent": np.full(rows, sent), "ts": times})
        waiting.append(sent)
        app.push("events", table)
    app.end("events")


# --- memory --------------------------------------------------------------------------------------


def _long() -> Iterator[Flat]:
    """State and memory after a fifth of the events, and after all of them: logs fill up with the first million."""
    app = stream_magic.App("bench")
    app.execute(declare("bid", _SOURCE, _DELAY))
    app.execute(declare("auction", _SOURCE, _DELAY))
    for i, select in enumerate(BOUNDED.values()):
        app.execute(f"CREATE STREAM q{i} AS {select}")
    state: list[list[int]] = []
    memory: list[float] = []
    pieces = _LONG_EVENTS // _PIECE
    for i in range(pieces):
        for kind in ("auction", "bid"):
            first, last = (rows_among(kind, n * _PIECE) for n in (i, i + 1))
            app.push(kind, HOUSE.rows(kind, first, last - first))
        app.step()
        state.append([kept(app, f"q{n}").rows for n in range(len(BOUNDED))])
        memory.append(resident_mb())
    app.close()
    early = slice(pieces // 10, pieces // 5)
    late = slice(-max(pieces // 10, 1), None)
    for n, name in enumerate(BOUNDED):
        before, after = (max(s[n] for s in state[part]) for part in (early, late))
        yield Flat(f"{name}, {_LONG_EVENTS:,} events", before, after, "rows kept", slack=1000)
    yield Flat("the process with these queries", max(memory[early]), max(memory[late]), "MB", slack=50)  # fmt: skip
