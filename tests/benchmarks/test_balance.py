"""Money moves between accounts, and none is made or lost: whoever looks, whenever, finds a total of 0.

The invariant of jamii/streaming-consistency. Debits and credits come by two ways to the balances; a
reader that saw a transfer on one way and not yet on the other would find money that is not there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

import stream_magic
from stream_magic.app.app import App

ACCOUNTS, PARTITIONS, BATCHES, ROWS = 50, 4, 12, 500
START = datetime(2026, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is
CELL = f"""
CREATE SOURCE transfers (id BIGINT, payer INT, payee INT, amount BIGINT, ts TIMESTAMP,
                         WATERMARK FOR ts AS ts - INTERVAL 5 SECONDS)
  WITH (connector = 'memory', partitions = {PARTITIONS});
CREATE TABLE debits AS SELECT payer AS account, sum(amount) AS amount, count(*) AS transfers FROM transfers GROUP BY payer;
CREATE TABLE credits AS SELECT payee AS account, sum(amount) AS amount, count(*) AS transfers FROM transfers GROUP BY payee;
CREATE TABLE balances AS
  SELECT coalesce(c.account, d.account) AS account, coalesce(c.amount, 0) - coalesce(d.amount, 0) AS balance
  FROM credits c FULL JOIN debits d ON c.account = d.account;
CREATE TABLE total AS SELECT sum(balance) AS total, count(*) AS accounts FROM balances;
CREATE TABLE fees AS
  SELECT account, sum(amount) AS amount
  FROM (SELECT payee AS account, amount FROM transfers UNION ALL SELECT payer, -amount FROM transfers)
  GROUP BY account;
CREATE STREAM minutes AS
  SELECT c.window_end, c.amount - d.amount AS difference
  FROM (SELECT window_end, sum(amount) AS amount FROM TUMBLE(transfers, ts, INTERVAL 1 MINUTE) GROUP BY window_start, window_end) c
  JOIN (SELECT window_end, sum(amount) AS amount FROM TUMBLE(transfers, ts, INTERVAL 1 MINUTE) GROUP BY window_start, window_end) d
    ON c.window_end = d.window_end;
"""


class Reader(threading.Thread):
    """Looks again and again, and keeps what was wrong and how much it saw."""

    def __init__(self, look: Callable[[], tuple[int, object]], stop: threading.Event) -> None:
        super().__init__(daemon=True)
        self._look, self._stop_event = look, stop
        self.wrong: list[object] = []
        self.seen: set[object] = set()
        self.looks = 0
        self.looked = threading.Condition()

    def run(self) -> None:
        while not self._stop_event.is_set():
            self.look()

    def look(self) -> None:
        try:
            total, of = self._look()
        except Exception as e:  # a reader that fails is a failure of the test
            self.wrong.append(repr(e))
            self._stop_event.set()
        else:
            self.seen.add(of)
            if total != 0:
                self.wrong.append((total, of))
        with self.looked:
            self.looks += 1
            self.looked.notify_all()

    def wait_for_another(self) -> None:
        """Until a look has begun and ended from now on: so rows and looks do mix."""
        with self.looked:
            wanted = self.looks + 2
            assert self.looked.wait_for(lambda: self.looks >= wanted or bool(self.wrong), 60)


class Follower:
    """A subscriber: the sum of the deltas so far, looked at after each epoch."""

    def __init__(self, app: App, name: str, column: str) -> None:
        self.total, self.epochs = 0, 0
        self.wrong: list[tuple[int, int]] = []
        self._column = column
        app[name].subscribe(self._told)

    def _told(self, epoch: int, delta: pa.Table) -> None:
        values = delta.column(self._column).to_pylist()
        signs = delta.column("_weight").to_pylist()
        self.total += sum(int(v or 0) * w for v, w in zip(values, signs, strict=True))
        self.epochs += 1
        if self.total != 0:
            self.wrong.append((epoch, self.total))


@pytest.fixture
def app() -> Iterator[App]:
    app = stream_magic.App("bank")
    app.execute(CELL)
    yield app
    app.close()


def test_every_reader_finds_a_total_of_zero_while_transfers_come(app: App) -> None:
    followers = [
        Follower(app, "balances", "balance"),
        Follower(app, "total", "total"),
        Follower(app, "fees", "amount"),
        Follower(app, "minutes", "difference"),
    ]
    stop = threading.Event()
    readers = [Reader(look, stop) for look in _looks(app)]
    app.start()
    for reader in readers:
        reader.start()
    writers = [
        threading.Thread(target=_transfer, args=(app, p, readers), daemon=True)
        for p in range(PARTITIONS)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(300)
    app.end("transfers")
    app.drain(300)
    stop.set()
    for reader in readers:
        reader.join(60)
        reader.look()
    assert [r.wrong for r in readers] == [[] for _ in readers]
    assert [f.wrong for f in followers] == [[] for _ in followers]
    whole = PARTITIONS * BATCHES * ROWS
    moved = app.sql("SELECT sum(transfers) FROM debits").fetchall()[0][0]
    assert moved == whole
    assert all(len(r.seen) > BATCHES / 2 for r in readers[:-1]), [len(r.seen) for r in readers]
    # The total stays as it is: its subscribers are told nothing.
    told = [f.epochs for f in followers if f is not followers[1]]
    assert all(epochs > BATCHES / 2 for epochs in told), told


def _looks(app: App) -> list[Callable[[], tuple[int, object]]]:
    """Each gives what must be 0, and of how many transfers."""

    def snapshot(select: str) -> Callable[[], tuple[int, object]]:
        def look() -> tuple[int, object]:
            found, of = app.sql(select).fetchall()[0]
            return int(found or 0), of

        return look

    def preview() -> tuple[int, object]:
        rows = app["balances"].preview(1000)
        return sum(rows.column("balance").to_pylist()), None

    moved = "(SELECT sum(transfers) FROM debits)"
    return [
        snapshot(f"SELECT sum(balance), {moved} FROM balances"),
        snapshot(f"SELECT sum(total), {moved} FROM total"),
        # What one table says is what another says, at the same time.
        snapshot(
            f"SELECT (SELECT sum(amount) FROM credits) - (SELECT sum(amount) FROM debits), {moved}"
        ),
        snapshot(
            f"SELECT count(*), {moved} FROM balances b FULL JOIN fees f USING (account) WHERE balance IS DISTINCT FROM amount"
        ),
        preview,
    ]


def _transfer(app: App, partition: int, readers: list[Reader]) -> None:
    """Transfers of one partition, each batch out of order; between two of them everyone looks."""
    dice = np.random.default_rng(partition)
    for batch in range(BATCHES):
        number = np.arange(ROWS) + (batch * PARTITIONS + partition) * ROWS
        seconds = batch * 10 + dice.uniform(-5, 5, ROWS)
        rows = pa.table(
            {
                "id": number,
                "payer": dice.integers(0, ACCOUNTS, ROWS).astype(np.int32),
                "payee": dice.integers(0, ACCOUNTS, ROWS).astype(np.int32),
                "amount": dice.integers(1, 10**6, ROWS),
                "ts": pa.array([START + timedelta(seconds=s) for s in seconds], pa.timestamp("us")),
            }
        )
        app.push("transfers", rows, partition=partition)
        for reader in readers:
            reader.wait_for_another()


def test_a_reader_would_find_an_imbalance(app: App) -> None:
    """The same looks over debits that miss a transfer."""
    rows = [{"id": i, "payer": 1, "payee": 2, "amount": 7, "ts": START} for i in range(2)]
    app.push("transfers", rows)
    app.step()
    app.execute(
        "CREATE TABLE debits AS SELECT payer AS account, sum(amount) AS amount, count(*) AS transfers FROM transfers WHERE id > 0 GROUP BY payer"
    )
    app.step()
    assert [look()[0] for look in _looks(app)] == [7, 7, 7, 1, 7]
