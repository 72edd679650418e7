"""A stream that joins two sources whose rows only come, beside DuckDB: what event time makes of its rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from support.sources import Source, Taken


@dataclass
class Joined(Source):
    """An inner join by a key, to be read by twins like a source.

    A row arrives with the last of the two that it is made of. It is judged by the stream's watermark just
    before it, which is the lower of the two sources'.

    Attributes:
        sides: left and right; the time is that of the left.
        key: a column of both.
        shown: name -> side and column.
        within: the times of both are no further apart, and rows behind their own watermark are not joined.
    """

    sides: tuple[Source, Source] = ()  # type: ignore[assignment]
    key: str = "k"
    shown: tuple[tuple[str, int, str], ...] = ()
    within: timedelta | None = None
    _seen: tuple[int, int] = (0, 0)

    def step(self, now_s: float) -> None:
        """What the sources took has been joined."""
        assert self.judge is not None
        for left, right in sorted(self._pairs(), key=lambda pair: max(t.number for t in pair)):
            number = max(left.number, right.number)
            row = {name: (left, right)[side].row[column] for name, side, column in self.shown}
            taken = Taken(row, 1, number, self._mark(number), now_s)
            self.judge_sessions(taken, taken.mark)
            self.take(taken)
        self._seen = (len(self.sides[0].taken), len(self.sides[1].taken))
        marks = [s.judge.source for s in self.sides if s.judge is not None]
        self.judge.source = None if None in marks else min(m for m in marks if m is not None)

    def _pairs(self) -> Iterator[tuple[Taken, Taken]]:
        """Those that were not there before."""
        left, right = self.sides
        for i, a in enumerate(left.taken):
            for j, b in enumerate(right.taken):
                is_new = i >= self._seen[0] or j >= self._seen[1]
                if (
                    is_new
                    and a.row[self.key] is not None
                    and a.row[self.key] == b.row[self.key]
                    and self._meet(a, b)
                ):
                    yield a, b

    def _meet(self, a: Taken, b: Taken) -> bool:
        if self.within is None:
            return True
        times = a.row["ts"], b.row["ts"]
        if None in times or any(t.mark is not None and t.row["ts"] < t.mark for t in (a, b)):
            return False
        return bool(abs(times[0] - times[1]) <= self.within)

    def _mark(self, number: int) -> datetime | None:
        marks = [s.mark_before(number) for s in self.sides]
        return None if None in marks else min(m for m in marks if m is not None)
