"""Event time (DESIGN 3.4) row by row in plain Python: which rows are late, which windows are closed."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

Row = dict[str, Any]


@dataclass
class Judge:
    """Watermarks of a source's partitions.

    Attributes:
        delay: of the watermark.
        lateness: the source's allowed lateness.
        column: that holds the time.
    """

    partitions: int
    delay: timedelta
    lateness: timedelta = timedelta(0)
    column: str = "ts"
    highs: dict[int, datetime] = field(default_factory=dict)
    idle: set[int] = field(default_factory=set)
    source: datetime | None = None  # the source's watermark; never goes back

    def admit(self, row: Row, partition: int, window_end: datetime | None) -> bool:
        """True if the row's window was still open; then the row's time counts."""
        mark = self.take(row, partition)
        return window_end is None or mark is None or mark < window_end + self.lateness

    def take(self, row: Row, partition: int) -> datetime | None:
        """The row's time counts from now on; the watermark that the row itself is judged by."""
        marks = [m for m in (self._watermark(partition), self.source) if m is not None]
        self.idle.discard(partition)
        time = row[self.column]
        if time is not None:
            self.highs[partition] = max(self.highs.get(partition, time), time)
        self._advance()
        return max(marks, default=None)

    def fall_idle(self, *partitions: int) -> None:
        self.idle.update(partitions)
        self._advance()

    def end(self) -> None:
        """The source has ended: its watermark is at the end of time."""
        zone = next((h.tzinfo for h in self.highs.values()), None)
        self.source = datetime.max.replace(year=9000, tzinfo=zone)

    def has_closed(self, window_end: datetime) -> bool:
        return self.source is not None and self.source >= window_end + self.lateness

    def _watermark(self, partition: int) -> datetime | None:
        high = self.highs.get(partition)
        return None if high is None else high - self.delay

    def _advance(self) -> None:
        awake = [p for p in range(self.partitions) if p not in self.idle]
        marks = [self._watermark(p) for p in awake]
        known = [m for m in marks if m is not None]
        if awake and len(known) == len(awake):
            lowest = min(known)
            self.source = lowest if self.source is None else max(self.source, lowest)


@dataclass
class Sessions:
    """Which rows are late for SESSION(s, ts, gap [, key]).

    A row is late if the session that it would be in, together with what is there, has ended for the
    row's watermark; if it touches a session that has closed: that one was told already; or if it
    would be the first event of its session, and had ended alone when the first row of that session
    came (decision 0008).
    """

    gap: timedelta
    key: str | None
    # first event, last, and the source's watermark when the first row came
    open: dict[Any, list[tuple[datetime, datetime, datetime | None]]] = field(default_factory=dict)

    def admit(self, row: Row, mark: datetime | None, judge: Judge, before: datetime | None) -> bool:
        """Args: `before` is the source's watermark before the row."""
        time = row[judge.column]
        if time is None:
            return True
        there = self.open.setdefault(row[self.key] if self.key else None, [])
        met = [s for s in there if s[0] - self.gap <= time <= s[1] + self.gap]
        first = min([time, *(s[0] for s in met)])
        last = max([time, *(s[1] for s in met)])
        reach = self.gap + judge.lateness
        is_told = before is not None and any(s[1] + reach <= before for s in met)
        marks = [s[2] for s in met] or [before]
        begun = None if None in marks else min(m for m in marks if m is not None)
        is_first = all(time < s[0] for s in met)
        if is_told or (mark is not None and last + reach <= mark):
            return False
        if is_first and begun is not None and time + reach <= begun:
            return False
        there[:] = [s for s in there if s not in met] + [(first, last, begun)]
        return True


def bucket_end(ts: datetime | None, size: timedelta) -> datetime | None:
    """The end of the tumbling window of a time, aligned to 1970."""
    if ts is None:
        return None
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is
    return epoch + ((ts - epoch) // size + 1) * size
