"""Two sources and the way into epochs, without an app."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa

from stream_magic.connectors.memory import MemoryOptions, MemorySource
from stream_magic.contracts.source import SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.arrivals import Arrivals
from stream_magic.engine.batches import Decoder
from stream_magic.engine.dataflow import Dataflow, SourceNode
from stream_magic.engine.ingest import make_reader
from stream_magic.engine.inlet import Inlet
from stream_magic.engine.timeline import Timeline
from stream_magic.engine.watermarks import WatermarkTracker
from stream_magic.language.catalog import Relation

SCHEMA = pa.schema([("id", pa.int64()), ("ts", pa.timestamp("us"))])
START = datetime(2026, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is


class Door:
    """Two memory sources, and the way into epochs."""

    def __init__(self, partitions: int = 2) -> None:
        clock, arrivals, self.flow = ManualClock(), Arrivals(), Dataflow()
        self.inlet = Inlet(self.flow, arrivals, clock)
        self.rows: dict[str, list[Any]] = {"a": [], "b": []}
        for name in self.rows:
            context = SourceContext(name, "t", clock, SCHEMA, arrivals=arrivals)
            source = MemorySource(MemoryOptions(partitions=partitions), context)
            relation = Relation(name, "source", SCHEMA, ("BIGINT", "TIMESTAMP"), time_column="ts")
            reader = make_reader(name, source, Decoder(source, None, SCHEMA))
            self.flow.add(
                SourceNode(relation, None, reader=reader, tracker=WatermarkTracker(5, None))
            )
            reader.start()

    def source(self, name: str) -> MemorySource:
        return self.flow[name].reader.source  # type: ignore[union-attr,return-value]

    def epoch(self, max_rows: int | None) -> int:
        """Takes one, and returns how many rows."""
        intake = self.inlet.take(max_rows, {})
        for name, delta in intake.deltas.items():
            self.rows[name] += delta.to_pylist()
            self.flow[name].progress.add(intake.timelines[name])
            self.flow[name].watermark_us = intake.timelines[name].end_us
        taken = [r["_sm_seq"] for d in intake.deltas.values() for r in d.to_pylist()]
        assert all(n <= intake.last_seq for n in taken)
        return len(taken)

    def watermarks(self, count: int) -> list[list[int]]:
        """Of both sources just before each arrival number."""
        nodes = [self.flow[name] for name in self.rows]
        ways = [n.progress.until(Timeline.still(n.watermark_us)) for n in nodes]
        return [way.before(np.arange(count + 1)).tolist() for way in ways]


def push(door: Door, name: str, partition: int, times: Sequence[int | None], at: int) -> None:
    rows = [{"id": at + i, "ts": None if t is None else START + timedelta(microseconds=t)} for i, t in enumerate(times)]  # fmt: skip
    door.source(name).push(rows, partition=partition)
