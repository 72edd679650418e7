"""Where epochs are cut changes nothing: neither what enters, nor what a join with watermarks makes of it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic.engine.operators import join as join_module
from support.cases import PROFILE
from support.compare import bag
from support.door import Door, push
from support.programs import Event, Rig, interval_join, numbers

pushes = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.integers(0, 1),
        st.lists(st.one_of(st.none(), st.integers(0, 100)), min_size=1, max_size=4),
        st.one_of(st.none(), st.none(), st.integers(1, 4), st.just(-1)),  # -1: an epoch over all
    ),
    max_size=25,
)


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
