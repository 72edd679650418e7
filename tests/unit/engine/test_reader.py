"""What a reader queues: all rows in order, none lost, none twice, wherever reading breaks."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_magic.contracts.format import Decoded, Format
from stream_magic.contracts.options import Options, SourceOptions
from stream_magic.contracts.source import PAYLOAD, EndOfSource, Source, SourceBatch, SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Position
from stream_magic.engine.batches import Decoder
from stream_magic.engine.ingest import NO_BOUND, Reader
from stream_magic.errors import ConnectorError

SCHEMA = pa.schema([("id", pa.int64())])
SIZES = (5000, 3, 4000, 4000, 1, 1, 6000)


class Numbers(Source):
    """0, 1, 2, ... as texts in batches of these sizes; `breaks` names batches before which it fails once."""

    takes_format = True
    is_bounded = True

    def __init__(self, sizes: tuple[int, ...], breaks: tuple[int, ...] = ()) -> None:
        super().__init__(SourceOptions(), SourceContext("s", "t", ManualClock()))
        self.sizes, self.breaks = sizes, set(breaks)

    def open(self, position: Position | None) -> None:
        self._next = 0 if position is None else int(str(position["next"]))

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        if self._next in self.breaks:
            self.breaks.remove(self._next)
            raise ConnectorError("SM4999", "the line is dead", transient=True)
        if self._next == len(self.sizes):
            raise EndOfSource
        first, count = sum(self.sizes[: self._next]), self.sizes[self._next]
        self._next += 1
        payloads = [str(i).encode() for i in range(first, first + count)]
        return SourceBatch(
            pa.table({PAYLOAD: pa.array(payloads, pa.binary())}), {"next": self._next}
        )

    def close(self) -> None: ...


class Digits(Format):
    """A number as text; `fails` makes it break altogether."""

    extension = "txt"

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__(Options())
        self.fails = fails

    def decode(self, payloads: Any, schema: pa.Schema, header: bytes | None = None) -> Decoded:
        if self.fails:
            raise RuntimeError("a fault of the format")
        return Decoded(pa.table([payloads.cast(pa.string()).cast(pa.int64())], schema=schema))

    def infer(self, samples: Any, header: bytes | None = None) -> pa.Schema:
        return SCHEMA

    def encode(self, rows: pa.Table) -> list[bytes]:
        raise NotImplementedError


def make_reader(source: Source, fmt: Format) -> Reader:
    return Reader("s", source, Decoder(source, fmt, SCHEMA))


def wait_until_still(reader: Reader) -> None:
    deadline = time.monotonic() + 30
    while reader.state not in ("complete", "failed"):
        assert time.monotonic() < deadline, reader.state
        time.sleep(0.01)


def ids(reader: Reader) -> np.ndarray:
    return np.concatenate([[], *(b.rows.column("id").to_numpy() for b in reader.take(NO_BOUND))])


@pytest.mark.parametrize("breaks", [(), (1,), (3,), (7,), (0, 1, 2, 3, 4, 5, 6, 7)])
def test_rows_come_once_and_in_order_wherever_reading_breaks(breaks, monkeypatch):
    monkeypatch.setattr("stream_magic.engine.ingest._BACKOFF_S", (0.001, 0.002))
    reader = make_reader(Numbers(SIZES, breaks), Digits())
    reader.start()
    wait_until_still(reader)
    assert reader.state == "complete"
    assert ids(reader).tolist() == list(range(sum(SIZES)))
    assert reader.is_done


def test_a_stop_in_between_loses_no_row(monkeypatch):
    reader = make_reader(Numbers(SIZES), Digits())
    found: list[float] = []
    for _ in range(3):
        reader.start()
        reader.wait_for_read(10)
        found += ids(reader).tolist()
        reader.stop()
    reader.start()
    wait_until_still(reader)
    assert found + ids(reader).tolist() == list(range(sum(SIZES)))


def test_a_look_waits_for_rows_that_are_being_decoded():
    reader = make_reader(Numbers((5000,) * 4), Digits())
    reader.start()
    reader.wait_for_read(10)
    assert reader.queued_rows >= 5000
    reader.stop()


def test_a_format_that_breaks_fails_the_source_and_says_why():
    reader = make_reader(Numbers(SIZES), Digits(fails=True))
    reader.start()
    wait_until_still(reader)
    assert (reader.state, reader.message) == ("failed", "RuntimeError: a fault of the format")
