"""A source whose beginning belongs together: interrupted anywhere, it enters once and whole."""

from __future__ import annotations

import time
from collections.abc import Callable

import pyarrow as pa
import pytest

from stream_magic.contracts.options import SourceOptions
from stream_magic.contracts.source import Source, SourceBatch, SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Position
from stream_magic.engine.batches import Decoder
from stream_magic.engine.ingest import NO_BOUND, Reader
from stream_magic.errors import ConnectorError

SCHEMA = pa.schema([("id", pa.int64())])
SNAPSHOT, PER_BATCH = 1000, 100


class Table(Source):
    """A snapshot of 1000 rows, then ten changes; the line breaks where the test says."""

    begins_whole = True

    def __init__(self, breaks_at: int | None = None) -> None:
        super().__init__(SourceOptions(), SourceContext("s", "t", ManualClock()))
        self.breaks_at = breaks_at
        self.opened: list[Position | None] = []
        self.may_go_on: Callable[[int], bool] = lambda _: True

    def open(self, position: Position | None) -> None:
        self.opened.append(position)
        self._next = 0 if position is None else int(str(position["next"]))

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        if self._next == self.breaks_at:
            self.breaks_at = None
            raise ConnectorError("SM4999", "the line is dead", transient=True)
        if self._next == SNAPSHOT + 10 or not self.may_go_on(self._next):
            time.sleep(0.001)
            return None
        count = PER_BATCH if self._next < SNAPSHOT else 1
        rows = pa.table({"id": pa.array(range(self._next, self._next + count), pa.int64())})
        self._next += count
        return SourceBatch(rows, {"next": self._next} if self._next >= SNAPSHOT else None)

    def close(self) -> None:
        return


def take(reader: Reader, count: int) -> list[int]:
    found: list[int] = []
    deadline = time.monotonic() + 20
    while len(found) < count:
        assert time.monotonic() < deadline, reader.state
        for batch in reader.take(reader.bound(PER_BATCH)):
            found += batch.rows.column("id").to_pylist()
    return found


def reader_of(source: Table) -> Reader:
    return Reader("s", source, Decoder(source, None, SCHEMA))


@pytest.mark.parametrize("breaks_at", [None, 0, 500, 900, 1000, 1005])
def test_a_broken_line_brings_each_row_once(breaks_at: int | None) -> None:
    reader = reader_of(Table(breaks_at))
    reader.start()
    assert take(reader, SNAPSHOT + 10) == list(range(SNAPSHOT + 10))
    reader.stop()


def test_nothing_of_a_snapshot_enters_before_all_of_it_was_read() -> None:
    source = Table()
    source.may_go_on = lambda n: n < 500
    reader = reader_of(source)
    reader.start()
    deadline = time.monotonic() + 20
    while not reader.message.startswith("500 rows"):
        assert time.monotonic() < deadline, reader.message
    assert reader.take(NO_BOUND) == []
    assert reader.has_rows, "an app is not drained while a snapshot is read"
    reader.stop()
    source.may_go_on = lambda _: True
    reader.start()
    assert take(reader, SNAPSHOT + 10) == list(range(SNAPSHOT + 10))
    assert source.opened == [None, None]
    reader.stop()


def test_stopping_while_a_snapshot_is_being_taken_keeps_the_rest_of_it() -> None:
    source = Table()
    source.may_go_on = lambda n: n < SNAPSHOT + 5
    reader = reader_of(source)
    reader.start()
    found = take(reader, 300)
    reader.stop()
    source.may_go_on = lambda _: True
    reader.start()
    found += take(reader, SNAPSHOT + 10 - len(found))
    assert found == list(range(SNAPSHOT + 10))
    assert source.opened[0] is None
    assert source.opened[1] is not None
    reader.stop()
