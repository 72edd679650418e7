from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import ClassVar

import pyarrow as pa
import pytest

from stream_magic import App
from stream_magic.app.session import session
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


def test_rows_that_a_query_states_come_first_to_whoever_subscribes(app: App) -> None:
    """They are there from the query's beginning, before anybody could listen; what has arrived is not told again."""
    app.execute(
        "CREATE STREAM stated AS SELECT * FROM (VALUES (1), (2)) AS v(id) UNION ALL SELECT id FROM s;"
        "CREATE STREAM below AS SELECT id * 10 AS id FROM stated"
    )
    app.push("s", [{"id": 3}])
    app.step()
    told: dict[str, list[int]] = {"stated": [], "below": [], "s": []}
    for name, ids in told.items():
        app[name].subscribe(lambda _, d, ids=ids: ids.extend(d.column("id").to_pylist()))
    assert told == {"stated": [1, 2], "below": [10, 20], "s": []}
    assert app["stated"].preview().column("id").to_pylist() == [1, 2, 3]
    app.push("s", [{"id": 4}])
    app.step()
    assert told == {"stated": [1, 2, 4], "below": [10, 20, 40], "s": [4]}


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
    address = "slow://"

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


def test_rows_of_a_step_that_was_broken_off_come_with_the_next(
    monkeypatch: pytest.MonkeyPatch, app: App
) -> None:
    app.push("s", [{"id": 1}, {"id": 2}])

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(app._engine._runner, "_compute", interrupted)
        with pytest.raises(KeyboardInterrupt):
            app.step()
    app.step()
    assert app.sql("SELECT * FROM r").fetchall() == [(2, 3)]


def test_what_a_target_could_not_take_is_delivered_after_its_stream_was_changed() -> None:
    registry.add("targets", "slow", SlowTarget)
    SlowTarget.gate.clear()
    SlowTarget.rows.clear()
    SlowTarget.mark, SlowTarget.has_failed = None, True
    app = App("t")
    app.execute(
        SOURCE
        + "CREATE STREAM a AS SELECT id FROM s; CREATE TARGET t FROM a WITH (connector = 'slow')"
    )
    app.push("s", [{"id": i} for i in range(10)])
    app.step()
    threading.Timer(0.2, SlowTarget.gate.set).start()
    app.execute("CREATE STREAM a AS SELECT id FROM s WHERE id <> 100")
    app.push("s", [{"id": 100}, {"id": 10}])
    app.step()
    app.drain()
    app.close()
    assert SlowTarget.rows == list(range(11))


def test_the_deltas_of_a_query_that_was_changed_lead_to_its_new_result(app: App) -> None:
    total: dict[object, int] = {}

    def add(_: int, delta: pa.Table) -> None:
        for row in delta.to_pylist():
            weight = row.pop("_weight")
            total[tuple(row.values())] = total.get(tuple(row.values()), 0) + weight

    app.push("s", [{"id": 1}, {"id": 2}])
    app.step()
    app["r"].subscribe(add)
    app.execute("CREATE TABLE r AS SELECT count(*) AS n, sum(id) AS total FROM s WHERE id > 1")
    app.push("s", [{"id": 3}])
    app.step()
    assert {row for row, weight in total.items() if weight} == {(2, 5)}
    assert set(total.values()) <= {0, 1}


def test_a_global_aggregate_over_a_global_aggregate_begins_with_one_row(app: App) -> None:
    app.execute("CREATE TABLE g AS SELECT count(*) AS groups, sum(n) AS n FROM r")
    assert app.sql("SELECT * FROM g").fetchall() == [(1, 0)]


def test_a_target_behind_a_cache_gets_the_first_rows_too(tmp_path: Path) -> None:
    (tmp_path / "c.csv").write_text("id,name\n1,a\n2,b\n")
    app = App("t")
    app.execute(
        SOURCE
        + f"CREATE CACHE c KEY (id) WITH (connector = 'file', path = '{tmp_path}/c.csv');"
        + "CREATE STREAM e AS SELECT s.id, c.name FROM s JOIN c ON c.id = s.id;"
        + "CREATE TARGET t FROM e WITH (connector = 'memory')"
    )
    for i in (1, 2):
        app.push("s", [{"id": i}])
        app.step()
    app.drain()
    assert app.status()["t"]["rows_out"] == 2
    app.close()


def test_cells_of_two_threads_take_effect_one_after_the_other(app: App) -> None:
    threads = [
        threading.Thread(
            target=app.execute, args=(f"CREATE STREAM q{i} AS SELECT id + {i} AS id FROM s",)
        )
        for i in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {"q0", "q1", "q2", "q3"} <= set(app.names())


def test_a_closed_app_is_forgotten_and_closing_twice_does_no_harm() -> None:
    app = App("gone")
    app.execute(SOURCE)
    app.close()
    app.close()
    assert session().find("gone") is None
