"""Targets at work: a thread each, a bounded outbox, whole epochs in order, retries with back-off."""

from __future__ import annotations

import random
import threading
from collections import deque
from dataclasses import dataclass

import pyarrow as pa

from stream_magic.contracts.target import Target
from stream_magic.core.change import WEIGHT, WEIGHT_FIELD, visible
from stream_magic.core.epoch import Mark
from stream_magic.errors import StreamMagicError
from stream_magic.security.redact import redact

OUTBOX_ROWS = 200_000
OUTBOX_BYTES = 128_000_000
_BATCH_ROWS = 50_000
_BACKOFF_S = (0.2, 10.0)
_TICK_S = 1.0


@dataclass(frozen=True)
class _Share:
    """A target's rows of one epoch."""

    epoch: int
    rows: pa.Table


class Deliverer:
    """Brings committed epochs to one target. `offer` is the engine's side, all else the thread's.

    An epoch is written whole or not at all; a write whose outcome is unknown is settled by the
    target's own mark before it is tried again.
    """

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self.target = target
        self.state = "stopped"
        self.message = ""
        self.delivered_rows = 0
        self.delivered_epoch = 0
        self._outbox: deque[_Share] = deque()
        self._waiting_rows = self._waiting_bytes = 0
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self.on_room: threading.Event | None = None

    def offer(self, epoch: int, delta: pa.Table) -> None:
        """Hands over the rows of a committed epoch; never blocks."""
        rows = shape(delta, self.target)
        with self._changed:
            if rows.num_rows:
                self._enqueue(_Share(epoch, rows))
                self._changed.notify_all()

    def _enqueue(self, share: _Share) -> None:
        self._outbox.append(share)
        self._waiting_rows += share.rows.num_rows
        self._waiting_bytes += share.rows.nbytes

    def adopt(self, other: Deliverer) -> None:
        """Takes over what a stopped deliverer to the same place could not bring there."""
        with self._changed, other._changed:
            fitting = [s for s in other._outbox if s.rows.schema.equals(self._shares_schema())]
            for share in fitting:
                self._enqueue(share)
            self.delivered_rows, self.delivered_epoch = other.delivered_rows, other.delivered_epoch
            left = sum(s.rows.num_rows for s in other._outbox) - sum(
                s.rows.num_rows for s in fitting
            )
            if left:
                self.message = f"{left:,} rows with the columns of before could not be delivered"

    def _shares_schema(self) -> pa.Schema:
        context = self.target.context
        return context.schema if context.mode == "append" else context.schema.append(WEIGHT_FIELD)

    def start(self) -> None:
        with self._changed:
            if self._thread is not None:
                return
            self._is_stopping = False
            self.state, self.message = "running", ""
            self._thread = threading.Thread(
                target=self._run, name=f"stream_magic target {self.name}", daemon=True
            )
            self._thread.start()

    def stop(self, timeout_s: float = 10.0) -> None:
        """Delivers what waits, as far as the target takes it within `timeout_s`, then closes it."""
        with self._changed:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            self._changed.wait_for(lambda: not self._outbox or self.state != "running", timeout_s)
            self._is_stopping = True
            self._changed.notify_all()
        thread.join()
        if self.state != "failed":
            self.state = "stopped"

    def flush(self, timeout_s: float) -> bool:
        """True when everything offered was delivered; False if that takes longer, or the target failed."""
        with self._changed:
            self._changed.wait_for(lambda: not self._outbox or self.state == "failed", timeout_s)
            return not self._outbox

    @property
    def is_running(self) -> bool:
        return self._thread is not None

    @property
    def is_full(self) -> bool:
        return self._waiting_rows >= OUTBOX_ROWS or self._waiting_bytes >= OUTBOX_BYTES

    def _run(self) -> None:
        pause = _BACKOFF_S[0]
        while True:
            delivered = self.delivered_rows
            try:
                self.target.open()
                self._skip_delivered(self.target.last_mark())
                self._say("running", "")
                self._deliver()
                break
            except StreamMagicError as e:
                if not e.transient:
                    self._say("failed", str(e))
                    break
                self._say("reconnecting", e.message)
            except Exception as e:  # a connector's own fault must not end the app  # noqa: BLE001
                self._say("failed", f"{type(e).__name__}: {e}")
                break
            finally:
                self._close()
            with self._changed:
                if self._changed.wait_for(
                    lambda: self._is_stopping, pause * random.uniform(0.7, 1.3)
                ):
                    break
            pause = min(pause * 2, _BACKOFF_S[1])
            if self.delivered_rows > delivered:
                pause = _BACKOFF_S[0]

    def _deliver(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._outbox or self._is_stopping, _TICK_S)
                batch = self._next_batch()
                is_stopping = self._is_stopping
            if batch:
                mark = Mark(self.target.context.state_id, batch[-1].epoch)
                self.target.write(mark, _joined(batch, self.target))
                self._delivered(batch)
            elif is_stopping:
                return
            self.target.tick()

    def _next_batch(self) -> list[_Share]:
        batch: list[_Share] = []
        rows = 0
        for share in self._outbox:
            if batch and rows + share.rows.num_rows > _BATCH_ROWS:
                break
            batch.append(share)
            rows += share.rows.num_rows
        return batch

    def _delivered(self, batch: list[_Share]) -> None:
        with self._changed:
            for share in batch:
                self._outbox.popleft()
                self._waiting_rows -= share.rows.num_rows
                self._waiting_bytes -= share.rows.nbytes
                self.delivered_rows += share.rows.num_rows
                self.delivered_epoch = share.epoch
            self._changed.notify_all()
        if self.on_room is not None:
            self.on_room.set()

    def _skip_delivered(self, mark: Mark | None) -> None:
        """The outcome of a broken write: what the target's mark covers is there already."""
        if mark is None or mark.state_id != self.target.context.state_id:
            return
        self._delivered([share for share in self._outbox if share.epoch <= mark.last_epoch])

    def _say(self, state: str, message: str) -> None:
        with self._changed:
            self.state = state
            self.message = redact(message, self.target.context.secrets)
            self._changed.notify_all()
        if self.on_room is not None:
            self.on_room.set()

    def _close(self) -> None:
        try:
            self.target.close()
        except Exception as e:  # noqa: BLE001  # a connector's own fault must not end its thread
            self._say("failed", str(e) or type(e).__name__)


def shape(delta: pa.Table, target: Target) -> pa.Table:
    """A delta as the target takes it: the user's columns, with weights unless it only appends."""
    mode = target.context.mode
    if mode == "append":
        return visible(delta)
    rows = visible(delta, with_weight=True)
    return net_by_key(rows, target.context.key) if mode == "upsert" else rows


def net_by_key(rows: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """One row a key of an epoch: the row that it has now (+1), or that it was deleted (-1)."""
    by_key = _rows_by_key(rows, key)
    if len(by_key) == rows.num_rows:
        return rows
    weights = rows.column(WEIGHT).to_pylist()
    kept = sorted(_survivor(rows, weights, at) for at in by_key.values())
    return rows.take(pa.array(kept, pa.int64()))


def _survivor(rows: pa.Table, weights: list[int], at: list[int]) -> int:
    """The last row that was added and not taken back, else the last of all."""
    net: dict[str, int] = {}
    contents = [repr([c[i].as_py() for c in rows.drop_columns([WEIGHT]).columns]) for i in at]
    for content, i in zip(contents, at, strict=True):
        net[content] = net.get(content, 0) + weights[i]
    alive = [
        i for content, i in zip(contents, at, strict=True) if net[content] > 0 and weights[i] > 0
    ]
    return alive[-1] if alive else at[-1]


def _rows_by_key(rows: pa.Table, key: tuple[str, ...]) -> dict[tuple[object, ...], list[int]]:
    found: dict[tuple[object, ...], list[int]] = {}
    for i, k in enumerate(zip(*(_hashable(rows.column(k)) for k in key), strict=True)):
        found.setdefault(k, []).append(i)
    return found


def _joined(batch: list[_Share], target: Target) -> pa.Table:
    """Several epochs as one batch; of an upsert the last row of a key."""
    rows = pa.concat_tables([share.rows for share in batch])
    if target.context.mode != "upsert" or len(batch) == 1:
        return rows
    last = sorted(at[-1] for at in _rows_by_key(rows, target.context.key).values())
    return rows.take(pa.array(last, pa.int64()))


def _hashable(column: pa.ChunkedArray) -> list[object]:
    values = column.to_pylist()
    return [repr(v) for v in values] if pa.types.is_nested(column.type) else values
