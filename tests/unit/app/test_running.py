from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import ClassVar

import pyarrow as pa
import pytest

from stream_magic import App
from stream_magic.contracts.registry import registry
from stream_magic.contracts.source import EndOfSource, Source, SourceBatch
from stream_magic.contracts.target import Target
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Mark, Position
from stream_magic.errors import ConfigError, ConnectorError, DeliveryError

SOURCE = "CREATE SOURCE s (id INT) WITH (connector = 'memory');"


def until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.005)


@pytest.fixture
def app() -> Iterator[App]:
    app = App("t")
    app.execute(SOURCE + "CREATE TABLE r AS SELECT count(*) AS n, sum(id) AS total FROM s;")
    yield app
    app.close()


def test_push_start_drain_stop(app: App) -> None:
    app.start()
    for i in range(100):
        app.push("s", [{"id": i}])
    app.drain()
    assert app.sql("SELECT * FROM r").fetchall() == [(100, 4950)]
    app.stop()
    app.push("s", [{"id": 1}])
    app.start()
    app.drain()
    assert app.sql("SELECT n FROM r").fetchall() == [(101,)]


def test_stop_does_nothing_on_an_app_that_never_started(app: App) -> None:
    app.stop()
    app.stop()
    assert app.status()["s"]["state"] == "stopped"


def test_step_is_refused_while_running_and_works_when_paused(app: App) -> None:
    app.start()
    with pytest.raises(ConfigError, match="takes its steps by itself"):
        app.step()
    app.pause()
    app.push("s", [{"id": 5}])
    before = app.sql("SELECT n FROM r").fetchall()
    assert before == [(0,)]
    app.step()
    assert app.sql("SELECT n FROM r").fetchall() == [(1,)]
    app.resume()
    app.push("s", [{"id": 5}])
    app.drain()
    assert app.sql("SELECT n FROM r").fetchall() == [(2,)]


def test_a_step_over_nothing_is_an_epoch(app: App) -> None:
    before = app.epoch
    app.step()
    assert app.epoch == before + 1


def test_subscribers_get_every_delta_with_weights_and_a_failing_one_stops_nothing(app: App) -> None:
    deltas: list[tuple[int, pa.Table]] = []
    app["r"].subscribe(lambda epoch, delta: deltas.append((epoch, delta)))
    app["s"].subscribe(lambda epoch, delta: 1 / 0)
    unsubscribe = app["s"].subscribe(lambda epoch, delta: deltas.append((epoch, delta)))
    unsubscribe()
    app.push("s", [{"id": 5}])
    app.step()
    app.push("s", [{"id": 6}])
    app.step()
    changes = [row for _, d in deltas[-1:] for row in d.to_pylist()]
    assert sorted(changes, key=lambda r: r["_weight"]) == [
        {"n": 1, "total": 5, "_weight": -1},
        {"n": 2, "total": 11, "_weight": 1},
    ]
    assert "ZeroDivisionError" in app.status()["s"]["message"]


def test_push_blocks_on_a_full_queue_only_while_the_app_runs() -> None:
    app = App("t")
    app.execute("CREATE SOURCE s (id INT) WITH (connector = 'memory', queue_rows = 10)")
    app.push("s", [{"id": i} for i in range(50)])
    app.push("s", [{"id": i} for i in range(50)])
    app.start()
    app.push("s", [{"id": 1}])
    app.drain()
    assert app.status()["s"]["rows_out"] == 101
    app.close()


def test_push_says_what_does_not_fit(app: App) -> None:
    with pytest.raises(ConfigError, match="is no memory source"):
        app.push("r", [{"n": 1}])
    with pytest.raises(Exception, match="id"):
        app.push("s", [{"id": "many"}])
    with pytest.raises(Exception, match="idd"):
        app.push("s", [{"idd": 1}])


def test_end_closes_the_last_windows() -> None:
    app = App("t", clock=ManualClock(0))
    app.execute(
        "CREATE SOURCE s (ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'memory');"
        "CREATE STREAM w AS SELECT window_end, count(*) AS n FROM TUMBLE(s, ts, INTERVAL 10 SECONDS) "
        "GROUP BY window_start, window_end EMIT ON WINDOW CLOSE"
    )
    app.push("s", pa.table({"ts": pa.array([1_000_000, 2_000_000], pa.timestamp("us"))}))
    app.step()
    assert app.sql("SELECT n FROM w").fetchall() == []
    app.end("s")
    app.drain()
    assert app.sql("SELECT n FROM w").fetchall() == [(2,)]
    assert app.status()["s"]["state"] == "complete"


class FlakySource(Source):
    """Ten rows; the connection breaks once after every second read."""

    is_bounded = True

    def schema(self) -> pa.Schema:
        return pa.schema([("id", pa.int64())])

    def open(self, position: Position | None) -> None:
        self._next = int(str(position["next"])) if position else 0
        self._reads = 0

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        if self._next == 10:
            raise EndOfSource
        if self._reads == 2:
            raise ConnectorError("SM4999", "the line is dead", transient=True)
        self._reads += 1
        rows = pa.table({"id": pa.array([self._next], pa.int64())})
        self._next += 1
        return SourceBatch(rows, {"next": self._next})

    def close(self) -> None:
        return


class SlowTarget(Target):
    """Waits for a gate; fails once in the middle of a write whose outcome stays unknown."""

    gate = threading.Event()
    rows: ClassVar[list[int]] = []
    mark: Mark | None = None
    has_failed = False

    def open(self) -> None:
        return

    def last_mark(self) -> Mark | None:
        return type(self).mark

    def write(self, mark: Mark, rows: pa.Table) -> None:
        type(self).gate.wait(20)
        type(self).rows += rows.column("id").to_pylist()
        type(self).mark = mark
        if not type(self).has_failed:
            type(self).has_failed = True
            raise DeliveryError("SM6999", "did it arrive?", transient=True)

    def close(self) -> None:
        return


def test_a_broken_line_is_mended_and_no_row_is_lost_or_doubled() -> None:
    registry.add("sources", "flaky", FlakySource)
    app = App("t")
    app.execute("CREATE SOURCE f WITH (connector = 'flaky'); CREATE TABLE r AS SELECT id FROM f;")
    app.start()
    app.drain()
    assert app.sql("SELECT id FROM r").fetchall() == [(i,) for i in range(10)]
    app.close()


def test_a_write_of_unknown_outcome_is_settled_by_the_mark() -> None:
    registry.add("targets", "slow", SlowTarget)
    SlowTarget.gate.set()
    app = App("t")
    app.execute(SOURCE + "CREATE TARGET t FROM s WITH (connector = 'slow')")
    app.start()
    for i in range(20):
        app.push("s", [{"id": i}])
    app.drain()
    app.close()
    assert SlowTarget.rows == list(range(20))


def test_a_slow_target_slows_its_source_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stream_magic.engine.delivery.OUTBOX_ROWS", 100)
    registry.add("targets", "slow", SlowTarget)
    SlowTarget.gate.clear()
    app = App("t")
    app.execute(
        SOURCE + "CREATE SOURCE other (id INT) WITH (connector = 'memory');"
        "CREATE TARGET t FROM s WITH (connector = 'slow'); CREATE TABLE r AS SELECT id FROM other;"
    )
    app.start()
    for part in range(10):
        app.push("s", [{"id": i} for i in range(part * 100, part * 100 + 100)])
        until(lambda: app._engine.flow["t"].deliverer.is_full)
    app.push("other", [{"id": 1}])
    until(lambda: app.sql("SELECT count(*) FROM r").fetchall() == [(1,)])
    assert app.status()["s"]["rows_out"] < 1000
    SlowTarget.gate.set()
    app.drain()
    assert app.status()["t"]["rows_out"] == 1000
    app.close()


def test_a_snapshot_belongs_to_one_epoch_while_rows_flow() -> None:
    app = App("t")
    app.execute(
        SOURCE
        + "CREATE STREAM a AS SELECT id FROM s; CREATE TABLE n AS SELECT count(*) AS n FROM a;"
        "CREATE TABLE m AS SELECT count(*) AS n FROM s;"
    )
    app.start()
    stop = threading.Event()

    def feed() -> None:
        while not stop.is_set():
            app.push("s", [{"id": 1}] * 100)

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        for _ in range(30):
            [(a, b, c)] = app.sql("SELECT n.n, m.n, (SELECT count(*) FROM s) FROM n, m").fetchall()
            assert a == b
            assert c <= a
    finally:
        stop.set()
        thread.join()
        app.close()
