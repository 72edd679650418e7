"""What an epoch takes, and what each row is judged by."""

from __future__ import annotations

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME
from support.door import START, Door, push

ZERO = 1767225600000000  # START, less the delay of 5 us
assert START.year == 2026


def test_an_epoch_takes_a_prefix_of_the_order_of_arrival() -> None:
    door = Door()
    for at, (name, n) in enumerate([("a", 2), ("b", 5), ("a", 4), ("b", 1)]):
        push(door, name, 0, [1] * n, at * 10)
    assert [door.epoch(3) for _ in range(5)] == [5, 5, 2, 0, 0]
    taken = [r["_sm_seq"] for rows in door.rows.values() for r in rows]
    assert sorted(taken) == list(range(12))


def test_watermarks_rise_behind_the_row_that_raises_them() -> None:
    door = Door(partitions=1)
    push(door, "a", 0, [10, 20], 0)
    push(door, "b", 0, [30], 0)
    push(door, "a", 0, [15], 0)
    door.epoch(None)
    a, b = door.watermarks(4)
    assert a == [BEFORE_TIME, ZERO + 5, ZERO + 15, ZERO + 15, ZERO + 15]
    assert b == [BEFORE_TIME, BEFORE_TIME, BEFORE_TIME, ZERO + 25, ZERO + 25]
    judged = [r["_sm_wm"] for r in door.rows["a"]]
    assert judged == [BEFORE_TIME, ZERO + 5, ZERO + 15]


def test_an_end_has_its_place_in_the_order_of_arrival() -> None:
    door = Door(partitions=1)
    push(door, "b", 0, [10, 20], 0)
    push(door, "a", 0, [10], 0)
    door.source("a").end()
    push(door, "b", 0, [30, 40], 0)
    door.epoch(1)
    assert not door.flow["a"].has_ended  # type: ignore[attr-defined]
    door.epoch(None)
    assert door.flow["a"].has_ended  # type: ignore[attr-defined]
    assert door.watermarks(4)[0] == [*[BEFORE_TIME] * 3, END_OF_TIME, END_OF_TIME]


def test_history_older_than_the_kept_steps_is_never_late(monkeypatch) -> None:
    monkeypatch.setattr("stream_magic.engine.timeline.KEPT_STEPS", 2)
    door = Door(partitions=1)
    for t in (10, 20, 30, 40):
        push(door, "a", 0, [t], 0)
        door.epoch(None)
    assert door.watermarks(4)[0] == [BEFORE_TIME, BEFORE_TIME, BEFORE_TIME, ZERO + 25, ZERO + 35]
