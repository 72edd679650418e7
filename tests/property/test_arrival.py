"""Where epochs are cut changes nothing: neither what enters, nor what a join with watermarks makes of it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic.connectors.memory import MemoryOptions, MemorySource
from stream_magic.contracts.source import SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.arrivals import Arrivals
from stream_magic.engine.batches import Decoder
from stream_magic.engine.dataflow import Dataflow, SourceNode
from stream_magic.engine.ingest import make_reader
from stream_magic.engine.inlet import Inlet
from stream_magic.engine.operators import join as join_module
from stream_magic.engine.timeline import Timeline
from stream_magic.engine.watermarks import WatermarkTracker
from stream_magic.language.catalog import Relation
from support.cases import PROFILE
from support.compare import bag
from support.programs import Event, Rig, interval_join, numbers

SCHEMA = pa.schema([("id", pa.int64()), ("ts", pa.timestamp("us"))])
START = datetime(2026, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is


class Door:
    """Two memory sources of two partitions, and the way into epochs."""

    def __init__(self) -> None:
        clock, arrivals, self.flow = ManualClock(), Arrivals(), Dataflow()
        self.inlet = Inlet(self.flow, arrivals, clock)
        self.rows: dict[str, list[Any]] = {"a": [], "b": []}
        for name in self.rows:
            context = SourceContext(name, "t", clock, SCHEMA, arrivals=arrivals)
            source = MemorySource(MemoryOptions(partitions=2), context)
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


pushes = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 1),
        st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=1, max_size=4),
        st.one_of(st.none(), st.none(), st.integers(1, 4), st.just(-1)),  # -1: an epoch over all
    ),
    max_size=25,
)


def push(door: Door, name: str, partition: int, times: list[int | None], at: int) -> None:
    rows = [{"id": at + i, "ts": None if t is None else START + timedelta(microseconds=t)} for i, t in enumerate(times)]  # fmt: skip
    door.source(name).push(rows, partition=partition)


@PROFILE
@given(pushes, st.integers(0, 25), st.sampled_from("ab"))
def test_rows_and_watermarks_are_the_same_however_epochs_take_them(
    drawn: Any, end_at: int, ends: str
) -> None:
    doors = [Door() for _ in range(3)]
    count = 0
    for i, (name, partition, times, bound) in enumerate(drawn):
        for door in doors:
            if i == end_at:
                door.source(ends).end()
            if i < end_at or name != ends:
                push(door, name, partition, times, count)
        count += len(times)
        doors[1].epoch(None)
        if bound is not None:
            doors[2].epoch(None if bound == -1 else bound)
    for door in doors:
        while door.epoch(3 if door is doors[2] else None):
            pass
    first, *others = doors
    for door in others:
        assert door.rows == first.rows
        assert door.watermarks(count) == first.watermarks(count)


def test_an_epoch_takes_a_prefix_of_the_order_of_arrival() -> None:
    door = Door()
    for at, (name, n) in enumerate([("a", 2), ("b", 5), ("a", 4), ("b", 1)]):
        push(door, name, 0, [1] * n, at * 10)
    assert [door.epoch(3) for _ in range(5)] == [5, 5, 2, 0, 0]
    taken = [r["_sm_seq"] for rows in door.rows.values() for r in rows]
    assert sorted(taken) == list(range(12))


events = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(1, 2),
        st.integers(0, 30),  # later than the rows before, or late
        st.sampled_from(["add", "add", "add", "back"]),
        st.booleans(),
    ),
    max_size=40,
)


@pytest.mark.parametrize("forget_rows", [0, 3, 20_000])
@pytest.mark.parametrize(("kind", "is_changelog"), [("JOIN", False), ("JOIN", True), ("LEFT JOIN", False), ("LEFT JOIN", True)])  # fmt: skip
@PROFILE
@given(events)
def test_interval_joins_may_be_cut_anywhere_and_forget_at_any_time(
    kind: str, is_changelog: bool, forget_rows: int, drawn: Any
) -> None:
    options = {"is_changelog": True} if is_changelog else {}
    given_events, marks, there = [], {"a": 0, "b": 0}, []
    for at, (name, k, step, what, _) in enumerate(drawn):
        t = at * 3 + step - 12
        n = "01"["ab".index(name)]
        event = Event(name, {f"k{n}": k, f"t{n}": t}, 1, max(marks[name], t - 5))
        if what == "back" and is_changelog and there:
            was = there.pop()
            event = Event(was.relation, was.row, -1, marks[was.relation])
        elif t >= marks[name]:
            there.append(event)
        marks[event.relation] = max(marks[event.relation], event.watermark_us or 0)
        given_events.append(event)
    ends = []
    with pytest.MonkeyPatch.context() as patch:
        for cut in ("rows", "drawn", "none"):
            patch.setattr(join_module, "_FORGET_ROWS", forget_rows if cut != "none" else 20_000)
            rig = Rig(*interval_join(kind, **options))
            waiting: list[Event] = []
            for event, (*_, is_cut) in zip(given_events, drawn, strict=True):
                waiting.append(event)
                if cut == "rows" or (cut == "drawn" and is_cut):
                    rig.epoch(waiting)
                    waiting = []
            rig.epoch(waiting)
            arrived = sorted(n for g in rig.given for n in numbers(g))
            is_netted = is_changelog or kind != "JOIN"
            ends.append((bag(rig.total()), rig.errors, [] if is_netted else arrived))
    assert ends[0] == ends[1] == ends[2]
