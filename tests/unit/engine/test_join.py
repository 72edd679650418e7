"""What a join does beside its rows: arrival, watermarks, late rows, forgetting, wrong retractions, rollback."""

from __future__ import annotations

import dataclasses

import pytest

from stream_magic.core.change import END_OF_TIME, WEIGHT, visible
from stream_magic.engine.operators import join as join_module
from stream_magic.engine.state import Database, Select
from stream_magic.planner.nodes import Join, Side
from support.programs import MATCH, Event, Rig, interval_join, numbers, out_schema, read, side


def a(k: int | None, t: int, weight: int = 1, mark: int | None = None) -> Event:
    return Event("a", {"k0": k, "t0": t}, weight, t if mark is None else mark)


def b(k: int | None, t: int, weight: int = 1, mark: int | None = None) -> Event:
    return Event("b", {"k1": k, "t1": t}, weight, t if mark is None else mark)


def test_a_row_arrives_with_the_last_of_its_rows_and_is_judged_by_the_lowest_watermark() -> None:
    rig = Rig(*interval_join())
    out = rig.epoch([a(1, 100), b(1, 105), a(1, 102), b(1, 107)])
    assert numbers(out) == [(1, -(2**63)), (2, 100), (3, 102), (3, 102)]
    out = rig.epoch([a(2, 120), b(1, 108)])
    assert numbers(out) == [(5, 107), (5, 107)]


def test_a_row_behind_the_watermark_is_an_error_and_no_input() -> None:
    rig = Rig(*interval_join())
    rig.epoch([a(1, 100), a(1, 90, mark=100), b(1, 95), b(1, 101)])
    assert rig.errors == [("SM5003", 1)]
    assert visible(rig.given[0]).to_pylist() == [{"k0": 1, "t0": 100, "k1": 1, "t1": 101}]


def test_what_was_never_there_cannot_be_taken_back() -> None:
    rig = Rig(*interval_join(is_changelog=True))
    rig.epoch([a(1, 100), a(1, 100), b(1, 100)])
    before = rig.state_rows()
    out = rig.epoch([a(1, 100, -3), a(None, 100, -1), b(2, 100, -1)])
    assert rig.errors == [("SM5004", 3), ("SM5004", 4), ("SM5004", 5)]
    assert out.column(WEIGHT).to_pylist() == [-1, -1]
    assert rig.state_rows() == before - 2
    assert rig.total().num_rows == 0


def test_a_broken_epoch_leaves_nothing() -> None:
    rig, twin = (Rig(*interval_join("LEFT JOIN", is_changelog=True)) for _ in range(2))
    epochs = [
        [a(1, 100), b(1, 103)],
        [a(1, 100, -1, 103), b(1, 104)],
        [b(1, 103, -1, 104), a(1, 104)],
    ]
    for events in epochs:
        first = rig.epoch(events, breaks=True)
        second = rig.epoch(events)
        assert first.equals(second)
        assert second.equals(twin.epoch(events))


def test_rows_that_nothing_can_match_any_more_are_forgotten_in_bulk(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(join_module, "_FORGET_ROWS", 50)
    rig = Rig(*interval_join())
    kept = []
    for t in range(0, 4000, 10):
        rig.epoch([a(t % 7, t), b(t % 7, t + 3)])
        kept.append(rig.state_rows())
    assert max(kept) < 120
    assert rig.total().num_rows == 400
    rig.epoch([a(1, 5000, mark=END_OF_TIME), b(1, 5000, mark=END_OF_TIME)])
    assert rig.state_rows() == 0


def test_a_match_is_remembered_as_long_as_its_partner_may_be_matched_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """An outer join: forgetting the first match would show its partner as unmatched."""
    monkeypatch.setattr(join_module, "_FORGET_ROWS", 0)
    rig = Rig(*interval_join("LEFT JOIN"))
    rig.epoch([a(1, 100), b(1, 101)])
    rig.epoch([a(2, 500)] * 3)
    rig.epoch([b(1, 102)])
    assert sorted(r["t1"] or 0 for r in rig.total().to_pylist()) == [0, 0, 0, 101, 102]


def test_a_match_of_the_same_epoch_is_not_shown_without_its_partner_before() -> None:
    rig = Rig(*interval_join("LEFT JOIN"))
    out = rig.epoch([a(1, 100), b(1, 101)])
    assert visible(out).to_pylist() == [{"k0": 1, "t0": 100, "k1": 1, "t1": 101}]


def test_rows_of_a_changelog_are_kept_until_they_cannot_be_taken_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(join_module, "_FORGET_ROWS", 0)
    rig = Rig(*interval_join(is_changelog=True))
    rig.epoch([a(1, 100), b(1, 105)])
    rig.epoch([b(3, 900)] * 3)  # no b can match a's row any more
    rig.epoch([a(1, 100, -1)])
    assert rig.errors == []
    assert rig.total().num_rows == 0
    rig.epoch([a(1, 200), a(1, 100, -1, mark=200)])  # late by now
    assert [code for code, _ in rig.errors] == ["SM5003"]


def test_a_changelog_that_is_never_late_is_never_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(join_module, "_FORGET_ROWS", 0)
    join, reads = interval_join(is_changelog=True)
    sides = tuple(dataclasses.replace(s, late_us="") for s in join.sides)
    rig = Rig(dataclasses.replace(join, sides=sides), reads)
    rig.epoch([a(1, 100), b(1, 105)])
    rig.epoch([a(2, 900), b(3, 900)] * 2)
    rig.epoch([a(1, 100, -1, mark=900)])
    assert rig.errors == []
    assert rig.total().num_rows == 0


def test_a_side_without_change_costs_no_statement(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig(*interval_join("LEFT JOIN"))
    rig.epoch([a(1, 100), b(1, 101)])
    seen: list[str] = []
    run, execute = Select.run, Database.execute
    monkeypatch.setattr(Select, "run", lambda s: (seen.append(s.sql), run(s))[1])
    monkeypatch.setattr(
        Database, "execute", lambda db, sql: (seen.append(sql), execute(db, sql))[1]
    )
    rig.epoch([])
    assert seen == []
    rig.epoch([a(1, 102)])
    judge, join = seen
    assert "is_late" in judge
    assert "LEFT JOIN" in join


def test_weights_become_rows_where_nothing_is_taken_back() -> None:
    r = [read("a", "k0 INTEGER"), read("b", "k1 INTEGER")]
    sides = (side(r[0]), side(r[1], is_linear=False, touched=MATCH))
    join = Join(
        sides, "{0} AS t0 SEMI JOIN {1} AS t1 ON t0.k0 = t1.k1", ("k0",), (0,),
        out_schema(r[0].relation.schema), ("INTEGER",),
    )  # fmt: skip
    rig = Rig(join, r)
    rig.epoch([Event("a", {"k0": 1}), Event("a", {"k0": 1}), Event("a", {"k0": 2})])
    out = rig.epoch([Event("b", {"k1": 1}), Event("b", {"k1": 1})])
    assert out.to_pylist() == [{"k0": 1, "_sm_seq": 3}] * 2
    assert rig.epoch([Event("b", {"k1": 1})]).num_rows == 0


def test_a_side_without_columns_is_counted() -> None:
    r = [read("a", "k0 INTEGER", is_changelog=True), read("b", "k1 INTEGER", is_changelog=True)]
    sides = (side(r[0]), Side(r[1], (), ()))
    join = Join(
        sides, "{0} AS t0 CROSS JOIN {1} AS t1", ("k0",), (0, 1),
        out_schema(r[0].relation.schema, is_changelog=True), ("INTEGER",),
    )  # fmt: skip
    rig = Rig(join, r)
    rig.epoch([Event("a", {"k0": 1}), Event("b", {"k1": 5}), Event("b", {"k1": 6})])
    assert rig.total().num_rows == 2
    rig.epoch([Event("b", {"k1": 5}, -1)])
    assert rig.total().num_rows == 1
    rig.epoch([Event("b", {"k1": 6}, -1), Event("a", {"k0": 1}, -1)])
    assert rig.state_rows() == 0
