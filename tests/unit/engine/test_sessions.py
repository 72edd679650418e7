"""Sessions in arrays against one judge for each key, row by row; what an epoch did can be undone."""

from __future__ import annotations

import random

import numpy as np
import pytest

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME
from stream_magic.engine.sessions.judge import Event, Judge
from stream_magic.engine.sessions.table import Rows, SessionTable

GAP, LATENESS, DELAY = 5, 2, 3


def _rows(events: list[tuple[int, int]], high: int) -> tuple[Rows, int]:
    """Of (key, time), each judged by the highest time before it."""
    marks = []
    for _, time in events:
        marks.append(high if high == BEFORE_TIME else high - DELAY)
        high = max(high, time)
    names = sorted({k for k, _ in events})
    key = np.array([names.index(k) for k, _ in events], np.int64)
    mark = np.array(marks, np.int64)
    time = np.array([t for _, t in events], np.int64)
    return Rows(key, [b"%d" % n for n in names], time, mark, mark), high


def _epochs(seed: int) -> list[list[tuple[int, int]]]:
    rng = random.Random(seed)
    keys, spread = rng.choice((1, 3, 30)), rng.choice((2, 12, 40))
    at, epochs = 0, []
    for _ in range(rng.randint(1, 12)):
        events = []
        for _ in range(rng.choice((1, 3, 20, 60))):
            at += rng.choice((0, 0, 1, 4, 9))
            events.append((rng.randrange(keys), at - rng.randrange(spread)))
        epochs.append(events)
    return epochs


class _Play:
    """A table beside one judge for each key, the same rows into both."""

    def __init__(self) -> None:
        self.table = SessionTable(GAP, LATENESS)
        self.judges: dict[int, Judge] = {}
        self.now: dict[int, tuple[int, int]] = {}
        self.told: set[int] = set()
        self.high = BEFORE_TIME

    def epoch(self, events: list[tuple[int, int]]) -> None:
        rows, self.high = _rows(events, self.high)
        is_late = [not self._admits(*e, mark) for e, mark in zip(events, rows.mark.tolist(), strict=True)]  # fmt: skip
        self.table.begin()
        merge = self.table.merge(rows)
        assert merge.is_late.tolist() == is_late
        for number in merge.before.key.tolist():
            del self.now[number]
        spans = zip(*(c.tolist() for c in merge.now), strict=True)
        self.now |= {number: (first, last) for number, first, last in spans}
        times = [t for (_, t), late in zip(events, is_late, strict=True) if not late]
        for time, number in zip(times, merge.session.tolist(), strict=True):
            assert self.now[number][0] <= time <= self.now[number][1]
        self.close(self.high - DELAY)

    def close(self, watermark: int) -> None:
        for number, first, last in zip(*(c.tolist() for c in self.table.told(watermark)), strict=True):  # fmt: skip
            assert self.now[number] == (first, last)
            assert last + GAP + LATENESS <= watermark
            assert number not in self.told
            self.told.add(number)

    def _admits(self, key: int, time: int, mark: int) -> bool:
        judge = self.judges.setdefault(key, Judge((), GAP, LATENESS))
        return judge.admits(Event(time, mark, mark))


@pytest.mark.parametrize("seed", range(60))
def test_an_epoch_judges_as_one_row_after_the_other(seed: int) -> None:
    play = _Play()
    for events in _epochs(seed):
        play.epoch(events)
    sessions = sorted(s for judge in play.judges.values() for s in judge.sessions())
    assert sorted(play.now.values()) == sessions
    play.table.begin()
    play.close(END_OF_TIME)
    assert play.told == set(play.now)
    assert play.table.size().rows == 0


@pytest.mark.parametrize("seed", range(60))
def test_an_epoch_that_is_undone_has_not_been(seed: int) -> None:
    """The epochs of another seed run between those of this one, and are undone."""
    play = _Play()
    others = _epochs(seed + 1000)
    for number, events in enumerate(_epochs(seed)):
        if number and others:
            play.table.begin()
            rows, high = _rows(others.pop(), play.high)
            play.table.merge(rows)
            play.table.told(high + 10)
            play.table.undo()
        play.epoch(events)
    assert sorted(play.now.values()) == sorted(s for j in play.judges.values() for s in j.sessions())  # fmt: skip


def test_closed_sessions_and_their_keys_are_forgotten() -> None:
    """However many keys come, what is remembered are those that were seen lately."""
    table = SessionTable(GAP, LATENESS)
    high, most = BEFORE_TIME, 0
    for epoch in range(200):
        rows, high = _rows([(epoch * 100 + i, epoch * 10) for i in range(100)], high)
        table.begin()
        table.merge(rows)
        table.told(high - DELAY)
        most = max(most, table.size().rows)
    assert most <= 400
    assert table.size().bytes < 1_000_000
