"""Watermarks over arrival numbers: what was known just before a row arrived, wherever epochs are cut."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from stream_magic.core.arrivals import Numbers
from stream_magic.core.change import BEFORE_TIME, END_OF_TIME

_DENSE = 8  # a table of up to so many places for each number costs less than a search
KEPT_STEPS = 100_000  # as many as a stream keeps rows
_PART_STEPS = 4_096


_NOTHING = np.empty(0, np.int64)


class Steps:
    """One watermark: `start_us`, and from arrival number `at[i]` on `us[i]`. Both only rise.

    Args:
        start_us: before all of them.
        at, us: watermarks in order of arrival. What raises it is a step: found when it is asked for,
            most queries only ask where it ends.
        behind: `at` are the numbers of the rows behind which it is reached: one less.
    """

    def __init__(
        self, start_us: int = BEFORE_TIME, at: Numbers = _NOTHING, us: Numbers = _NOTHING, *, behind: bool = False
    ) -> None:  # fmt: skip
        self.start_us = start_us
        self.end_us = max(start_us, int(us.max(initial=BEFORE_TIME)))
        self._given = at, us
        self._is_behind = behind

    @property
    def at(self) -> Numbers:
        return self._rises[0]

    @property
    def us(self) -> Numbers:
        return self._rises[1]

    def before(self, numbers: Numbers) -> Numbers:
        """The watermark just before each of these rows."""
        at, us = self._rises
        reached = np.concatenate((np.array([self.start_us], np.int64), us))
        return reached[_counted(at, numbers)]

    def behind(self, late_us: int) -> Steps:
        """The same, so much later; the beginning and the end of time stay what they are."""
        at, us = self._given

        def later(marks: Numbers) -> Numbers:
            is_plain = (marks != BEFORE_TIME) & (marks != END_OF_TIME)
            return np.where(is_plain, marks - np.where(is_plain, late_us, 0), marks)

        start_us = int(later(np.array([self.start_us], np.int64))[0])
        return Steps(start_us, at, later(us), behind=self._is_behind)

    @cached_property
    def _rises(self) -> tuple[Numbers, Numbers]:
        at, us = self._given
        reached = np.maximum.accumulate(np.concatenate((np.array([self.start_us], np.int64), us)))
        rises = np.flatnonzero(reached[1:] > reached[:-1])
        return np.maximum.accumulate(at)[rises] + self._is_behind, reached[1:][rises]


def _counted(at: Numbers, numbers: Numbers) -> Numbers:
    """How many of `at` are not above each number: read off a table where the numbers lie close together."""
    if not len(at) or not len(numbers):
        return np.zeros(len(numbers), np.int64)
    first, span = int(at[0]), int(at[-1]) - int(at[0]) + 1
    if span > _DENSE * len(numbers):
        return np.searchsorted(at, numbers, side="right")
    counts = np.cumsum(np.bincount(at - first, minlength=span))
    places = np.clip(numbers - first, -1, span - 1)
    return np.where(places < 0, 0, counts[places])


@dataclass(frozen=True, eq=False)
class Timeline:
    """The watermark of a relation or an operator in one epoch: the lowest of those that it depends on."""

    parts: tuple[Steps, ...]

    @classmethod
    def still(cls, watermark_us: int) -> Timeline:
        """It does not move in this epoch."""
        return cls((Steps(watermark_us),))

    @classmethod
    def lowest(cls, timelines: Iterable[Timeline | None]) -> Timeline | None:
        """That of a row made from several: what has no watermark does not count."""
        parts = {id(p): p for t in timelines if t is not None for p in t.parts}
        return cls(tuple(parts.values())) if parts else None

    @property
    def start_us(self) -> int:
        return min(p.start_us for p in self.parts)

    @property
    def end_us(self) -> int:
        """After the epoch."""
        return min(p.end_us for p in self.parts)

    @property
    def has_moved(self) -> bool:
        return self.end_us > self.start_us

    def before(self, numbers: Numbers) -> Numbers:
        """The watermark just before each of these rows."""
        lowest = self.parts[0].before(numbers)
        for part in self.parts[1:]:
            lowest = np.minimum(lowest, part.before(numbers))
        return lowest

    def reached(self, us: Numbers) -> Numbers:
        """The number of the row with which the watermark came to each of these. It has moved, and is not below them."""
        steps = self.steps()
        return steps.at[np.searchsorted(steps.us, us)] - 1

    def behind(self, us: int) -> Timeline:
        """The same, so much later."""
        return self if us == 0 else Timeline(tuple(p.behind(us) for p in self.parts))

    def since_the_beginning(self) -> Timeline:
        """The same for who knew nothing before this epoch."""
        steps = self.steps()
        at = np.concatenate((np.array([0], np.int64), steps.at))
        us = np.concatenate((np.array([steps.start_us], np.int64), steps.us))
        return Timeline((Steps(BEFORE_TIME, at, us),))

    def steps(self) -> Steps:
        if len(self.parts) == 1:
            return self.parts[0]
        at = np.unique(np.concatenate([p.at for p in self.parts]))
        return Steps(self.start_us, at, self.before(at))


class Progress:
    """The watermark of a relation so far, for queries that are built from its history.

    Only the steps are kept, those of many small epochs together: 16 bytes each.
    """

    def __init__(self) -> None:
        self._parts: deque[_Part] = deque()
        self._size = 0

    def add(self, epoch: Timeline) -> None:
        """Of a committed epoch. The oldest are let go; rows from then count as early, never as late."""
        if not epoch.has_moved:
            return
        steps = epoch.steps()
        parts = self._parts
        parts.append(_Part(steps.at, steps.us))
        self._size += len(steps.at)
        while len(parts) > 1 and len(parts[-2].at) <= min(2 * len(parts[-1].at), _PART_STEPS):
            last, before = parts.pop(), parts.pop()
            parts.append(_Part(*map(np.concatenate, zip(before, last, strict=True))))
        while self._size > KEPT_STEPS:
            first = parts.popleft()
            gone = min(self._size - KEPT_STEPS, len(first.at))
            self._size -= gone
            if gone < len(first.at):
                parts.appendleft(_Part(first.at[gone:], first.us[gone:]))

    def until(self, now: Timeline) -> Timeline:
        """From the beginning to the end of the current epoch."""
        steps = now.steps()
        at, us = zip(*self._parts, (steps.at, steps.us), strict=True)
        return Timeline((Steps(BEFORE_TIME, np.concatenate(at), np.concatenate(us)),))


class _Part(NamedTuple):
    """Steps of some epochs: from arrival number `at[i]` on `us[i]`."""

    at: Numbers
    us: Numbers
