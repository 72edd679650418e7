"""Sources at work: a reader thread each, decoding, and a bounded queue that the epochs take from."""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

from stream_magic.contracts.source import EndOfSource, Source
from stream_magic.core.epoch import Position
from stream_magic.engine.batches import Decoded, Decoder, StoredBatch
from stream_magic.engine.spool import Spool
from stream_magic.errors import StreamMagicError
from stream_magic.security.redact import redact

QUEUE_ROWS = 200_000
QUEUE_BYTES = 128_000_000
_READ_ROWS = 20_000
_ALL_ROWS = 1_000_000
_READ_TIMEOUT_S = 0.1
_BACKOFF_S = (0.2, 10.0)  # first and longest pause between tries


NO_BOUND = 2**63 - 1  # an arrival number that no row reaches


class Reader:
    """One source in one thread. `take` is called by the engine; all else happens here.

    Positions run ahead of the engine: after `stop` or a failure reading goes on behind what was taken.
    """

    def __init__(self, name: str, source: Source, decoder: Decoder) -> None:
        self.name = name
        self.source = source
        self.decoder = decoder
        self.state = "stopped"
        self.message = ""
        self._arrivals = source.context.arrivals
        self._queue: deque[Decoded | StoredBatch] = deque()
        self._queued_rows = self._queued_bytes = 0
        self._beginning: list[StoredBatch] | None = [] if source.begins_whole else None
        self._spool = Spool()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._is_stopping = False
        self._is_at_end = False
        self._ended_at = 0
        self._taken: Position | None = None
        self._to_commit: Position | None = None
        self._begun = self._finished = 0
        self.on_rows: threading.Event | None = None

    # --- the engine's side ---------------------------------------------------------------------

    def start(self) -> None:
        """Begins to read, or goes on behind the last position that was taken."""
        with self._changed:
            if self._thread is not None or (
                self._is_at_end and not self._queue and self.state == "complete"
            ):
                return
            self._is_stopping = False
            self.state, self.message = "running", ""
            self._thread = threading.Thread(
                target=self._run, name=f"stream_magic source {self.name}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        """Ends the thread. What was read but not taken is read again later, if the source can resume."""
        with self._changed:
            thread, self._thread = self._thread, None
            self._is_stopping = True
            self._changed.notify_all()
        if thread is not None:
            thread.join()
        with self._changed:
            # What stands before the first position is not read again: its place is not known.
            is_safe = all(batch.position is not None for batch in self._queue)
            if self.source.can_resume and is_safe and not (self._is_at_end and not self._queue):
                self._queue.clear()
                self._queued_rows = self._queued_bytes = 0
                self._is_at_end = False
            if self.state not in ("complete", "failed"):
                self.state = "stopped"

    def bound(self, max_rows: int | None) -> int:
        """The arrival number before which about `max_rows` rows wait, in whole batches and at least one."""
        rows = 0
        with self._changed:
            for batch in self._queue:
                if max_rows is not None and rows >= max_rows:
                    return batch.end - batch.num_rows
                rows += batch.num_rows
        return NO_BOUND

    def take(self, before: int) -> list[Decoded]:
        """The batches that entered before this arrival number."""
        taken: list[Decoded] = []
        with self._changed:
            while self._queue and self._queue[0].end <= before:
                batch = self._queue.popleft()
                taken.append(batch.load())
                self._queued_rows -= batch.num_rows
                self._queued_bytes -= batch.nbytes
                self._taken = batch.position if batch.position is not None else self._taken
            self._changed.notify_all()
        return taken

    def committed(self) -> None:
        """What was taken is in a committed epoch."""
        with self._changed:
            self._to_commit = self._taken

    @property
    def has_rows(self) -> bool:
        """Rows to take, or a snapshot that is still being read."""
        return bool(self._queue or self._beginning)

    @property
    def queued_rows(self) -> int:
        return self._queued_rows

    @property
    def is_filling(self) -> bool:
        """More rows may come soon."""
        return self.state == "running"

    @property
    def is_done(self) -> bool:
        """At its end, and everything taken."""
        return self._is_at_end and not self._queue

    @property
    def ended_at(self) -> int | None:
        """The next arrival number when it ended; None until it is done."""
        return self._ended_at if self.is_done else None

    def wait_for_read(self, timeout_s: float) -> None:
        """Returns when a `read` that began after this call has come back, or reading cannot go on."""
        with self._changed:
            wanted = self._begun + 1
            self._changed.wait_for(
                lambda: self._finished >= wanted or self._is_at_end or self._is_full() or self._thread is None
                or self.state in ("failed", "reconnecting"),
                timeout_s,
            )  # fmt: skip

    # --- the reader's thread -------------------------------------------------------------------

    def _run(self) -> None:
        pause = _BACKOFF_S[0]
        while not self._is_stopping:
            try:
                with self._changed:
                    position = self._resume_position()
                if position is None and self.source.begins_whole:
                    self._beginning, self._spool = [], Spool()
                self.source.open(position)
                self._say("running", "")
                pause = _BACKOFF_S[0]
                self._read_on()
            except EndOfSource as e:
                with self._changed:
                    self._is_at_end = True
                    self._ended_at = self._arrivals.next if e.arrival is None else e.arrival
                self._say("complete", "")
                break
            except StreamMagicError as e:
                if not e.transient:
                    self._say("failed", str(e))
                    break
                self._say("reconnecting", e.message)
                self._wait(pause * random.uniform(0.7, 1.3))
                pause = min(pause * 2, _BACKOFF_S[1])
            except Exception as e:  # a connector's own fault must not end the app  # noqa: BLE001
                self._say("failed", f"{type(e).__name__}: {e}")
                break
            finally:
                self._close()

    def _read_on(self) -> None:
        while not self._is_stopping:
            with self._changed:
                self._begun += 1
                to_commit, self._to_commit = self._to_commit, None
            if to_commit is not None:
                self.source.committed(to_commit)
            batch = self.source.read(_READ_ROWS, _READ_TIMEOUT_S)
            if batch is not None:
                self._accept(self.decoder.decode(batch))
            with self._changed:
                self._finished = self._begun
                self._changed.notify_all()

    def _accept(self, batch: Decoded) -> None:
        if self._beginning is None:
            self._put([batch])
        elif batch.position is None:
            stored = self._spool.store(batch.rows)
            rows = batch.rows.num_rows
            self._beginning.append(
                StoredBatch(stored, replace(batch, rows=batch.rows.slice(0, 0)), rows)
            )
            so_far = sum(b.num_rows for b in self._beginning)
            self._say("running", f"{so_far:,} rows of the snapshot read; they enter together")
        elif self._put([*self._beginning, batch]):
            self._beginning = None
            self._say("running", "")

    def _put(self, batches: Sequence[Decoded | StoredBatch]) -> bool:
        """All of them, or none (False) if reading stops."""
        with self._changed:
            self._changed.wait_for(lambda: not self._is_full() or self._is_stopping)
            if self._is_stopping:
                return False
            with self._arrivals.entering(sum(b.num_rows for b in batches)) as first:
                end = first
                for batch in batches:
                    batch.enter(end)
                    end = batch.end
                    self._queue.append(batch)
            self._queued_rows += sum(b.num_rows for b in batches)
            self._queued_bytes += sum(b.nbytes for b in batches)
            self._changed.notify_all()
        if self.on_rows is not None:
            self.on_rows.set()
        return True

    def _resume_position(self) -> Position | None:
        """Behind the last queued batch, else behind what was taken."""
        for batch in reversed(self._queue):
            if batch.position is not None:
                return batch.position
        return self._taken

    def _is_full(self) -> bool:
        return self._queued_rows >= QUEUE_ROWS or self._queued_bytes >= QUEUE_BYTES

    def _say(self, state: str, message: str) -> None:
        with self._changed:
            self.state = state
            self.message = redact(message, self.source.context.secrets)
            self._changed.notify_all()
        if self.on_rows is not None:
            self.on_rows.set()

    def _wait(self, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._is_stopping, seconds)

    def _close(self) -> None:
        try:
            self.source.close()
        except Exception as e:  # noqa: BLE001  # a connector's own fault must not end its thread
            self.message = self.message or redact(str(e), self.source.context.secrets)


class LocalReader:
    """A source that never blocks (memory): read by the engine itself, so that a step takes all that was pushed."""

    def __init__(self, name: str, source: Source, decoder: Decoder) -> None:
        self.name = name
        self.source = source
        self.decoder = decoder
        self.message = ""
        self.state = "stopped"
        self.on_rows: threading.Event | None = None
        self._arrivals = source.context.arrivals
        self._read: deque[Decoded] = deque()  # and not taken
        self._is_open = False
        self._ended_at: int | None = None
        self._taken: Position | None = None

    def start(self) -> None:
        if not self._is_open:
            self.source.open(None)
            self._is_open = True
        if self._ended_at is None:
            self.state = "running"

    def stop(self) -> None:
        if self._ended_at is None:
            self.state = "stopped"

    def bound(self, max_rows: int | None) -> int:
        """The arrival number before which at most `max_rows` rows wait."""
        if max_rows is None:
            while self._read_on(_ALL_ROWS):
                pass
            return NO_BOUND
        missing = max_rows - sum(b.num_rows for b in self._read)
        while missing > 0 and self._read_on(missing):
            missing -= self._read[-1].num_rows
        for batch in self._read:
            if batch.num_rows > max_rows:
                return int(batch.numbers[max_rows])
            max_rows -= batch.num_rows
            if max_rows == 0:
                return batch.end
        return NO_BOUND

    def take(self, before: int) -> list[Decoded]:
        """The rows that entered before this arrival number."""
        while (not self._read or self._read[-1].end < before) and self._read_on(_READ_ROWS):
            pass
        taken: list[Decoded] = []
        while self._read and self._read[0].end <= before:
            taken.append(self._read.popleft())
        if self._read and self._read[0].num_rows and self._read[0].numbers[0] < before:
            head, self._read[0] = self._read[0].cut(before)
            taken.append(head)
        self._taken = next((b.position for b in reversed(taken) if b.position), self._taken)
        return taken

    def committed(self) -> None:
        if self._taken is not None:
            self.source.committed(self._taken)
            self._taken = None

    @property
    def has_rows(self) -> bool:
        return self.queued_rows > 0

    @property
    def queued_rows(self) -> int:
        waiting = sum(b.num_rows for b in self._read)
        return waiting + int(getattr(self.source, "pending_rows", 0))

    @property
    def is_filling(self) -> bool:
        """More rows may be pushed."""
        return self.state == "running" and not self.source.is_bounded

    @property
    def is_done(self) -> bool:
        return self._ended_at is not None and not self._read

    @property
    def ended_at(self) -> int | None:
        """The next arrival number when it ended; None until it is done."""
        return self._ended_at if self.is_done else None

    def wait_for_read(self, timeout_s: float) -> None:
        del timeout_s

    def _read_on(self, max_rows: int) -> bool:
        """One batch more, if there is one."""
        if self._ended_at is not None:
            return False
        try:
            batch = self.source.read(max_rows, 0)
        except EndOfSource as e:
            self._ended_at = self._arrivals.next if e.arrival is None else e.arrival
            self.state = "complete"
            return False
        if batch is None:
            return False
        decoded = self.decoder.decode(batch)
        if batch.numbers is None:
            with self._arrivals.entering(decoded.num_rows) as first:
                decoded.enter(first)
        else:
            decoded.numbers, decoded.end = batch.numbers, int(batch.numbers[-1]) + 1
        self._read.append(decoded)
        return True


def make_reader(name: str, source: Source, decoder: Decoder) -> Reader | LocalReader:
    kind = LocalReader if source.is_local else Reader
    return kind(name, source, decoder)
