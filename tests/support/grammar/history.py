"""What happens to the sources: rows pushed in random order, taken back, late; epochs cut at random."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from support.events import Row
from support.grammar.world import Table, World


@dataclass(frozen=True)
class Push:
    source: str
    row: Row
    weight: int = 1
    partition: int = 0


@dataclass(frozen=True)
class Step:
    """An epoch ends here."""


@dataclass(frozen=True)
class Idle:
    """Nothing comes for so long; partitions that were silent for `idle_timeout` (60 s) fall idle."""

    seconds: int = 61


@dataclass(frozen=True)
class End:
    source: str


Event = Push | Step | Idle | End
SOME_IDLE_S = 40  # after two such pauses partitions that were silent are idle


def draw_history(rng: random.Random, world: World, epochs: int) -> list[Event]:
    """Rows for every table, in epochs of any size, also empty ones."""
    events: list[Event] = []
    tapes = [_Changes(rng, t) if t.image else _Tape(rng, t) for t in world.sources]
    now_s = 0.0
    pauses = (SOME_IDLE_S,) if rng.random() < 0.3 else (61,)
    for _ in range(epochs):
        events += [rng.choice(tapes).next(now_s) for _ in range(rng.choice((0, 2, 4, 8, 12)))]
        events.append(Step())
        now_s += rng.choice((0, 1, 5, 10, 30))  # often where windows end
        if rng.random() < (0.25 if pauses == (SOME_IDLE_S,) else 0.04):
            events.append(Idle(rng.choice(pauses)))
        elif rng.random() < 0.12:
            events.append(Idle(rng.choice((1, 4, 9))))
    if rng.random() < 0.35:
        events += [push for tape in tapes for push in tape.take_back()]
        events.append(Step())
    if rng.random() < 0.4:
        events += [End(t.name) for t in world.sources if rng.random() < 0.8]
        events.append(Step())
    return events


class _Tape:
    """Draws the rows of one table."""

    def __init__(self, rng: random.Random, table: Table) -> None:
        self._rng, self._table = rng, table
        self._count = 0
        self._there: list[Row] = []

    def next(self, now_s: float) -> Push:
        rng, table = self._rng, self._table
        if table.is_changelog and self._there and rng.random() < 0.35:
            row = self._there.pop(rng.randrange(len(self._there)))
            return Push(table.name, row, -1, self._partition())
        if table.repeats and self._there and rng.random() < 0.25:
            row = rng.choice(self._there)
        else:
            self._count += 1
            late = rng.choice((0, 0, 0, 3, 8, 40))
            row = table.row(rng, self._count, now_s - late + rng.choice((0, 0, 0, 1, 2)))
        self._there.append(row)
        return Push(table.name, row, 1, self._partition())

    def take_back(self) -> list[Push]:
        """Everything that a changelog still has: what is left is what no input gives."""
        if not self._table.is_changelog:
            return []
        rows, self._there = self._there, []
        return [Push(self._table.name, row, -1, self._partition()) for row in rows]

    def _partition(self) -> int:
        """The last of four partitions is silent from the beginning in a third of the tables."""
        count = self._table.partitions
        return self._rng.randrange(count - 1 if count > 1 and self._table.delay_s == 0 else count)


class _Changes(_Tape):
    """Draws changes of a table's rows: some tell of rows that never were."""

    def next(self, now_s: float) -> Push:
        rng = self._rng
        self._count += 1
        kind = rng.choice(("c", "c", "r", "u", "u", "d")) if self._there else "c"
        before = after = None
        if kind in "ud":
            before = self._there.pop(rng.randrange(len(self._there)))
            if rng.random() < 0.15:
                self._there.append(before)
                before = self._table.row(rng, -self._count, now_s)
        if kind in "cru":
            number = before["id"] if before else self._count
            again = kind == "c" and self._there and rng.random() < 0.15
            after = rng.choice(self._there) if again else self._table.row(rng, number, now_s)
            self._there.append(after)
        return Push(self._table.name, {"op": kind, "before": before, "after": after})


def recut(events: Sequence[Event], *, by_rows: bool) -> list[Event]:
    """The same rows with epochs cut elsewhere: after each row, or nowhere but at the end."""
    found: list[Event] = []
    for event in events:
        if not isinstance(event, Step):
            found.append(event)
        if by_rows and isinstance(event, Push):
            found.append(Step())
    return [*found, Step()]


def smaller(events: Sequence[Event]) -> list[list[Event]]:
    """The history without a piece of it, large pieces first."""
    found = []
    size = len(events) // 2
    while size:
        found += [
            [*events[:at], *events[at + size :]] for at in range(0, len(events) - size + 1, size)
        ]
        size //= 2
    return found
