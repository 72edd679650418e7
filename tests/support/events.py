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
    """

    partitions: int
    delay: timedelta
    lateness: timedelta = timedelta(0)
    highs: dict[int, datetime] = field(default_factory=dict)
    idle: set[int] = field(default_factory=set)
    source: datetime | None = None  # the source's watermark; never goes back

    def admit(self, row: Row, partition: int, window_end: datetime | None) -> bool:
        """True if the row's window was still open; then the row's time counts."""
        own = self._watermark(partition)
        marks = [m for m in (own, self.source) if m is not None]
        is_open = window_end is None or all(m < window_end + self.lateness for m in marks)
        self.idle.discard(partition)
        if row["ts"] is not None:
            self.highs[partition] = max(self.highs.get(partition, row["ts"]), row["ts"])
        self._advance()
        return is_open

    def fall_idle(self, *partitions: int) -> None:
        self.idle.update(partitions)
        self._advance()

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


def bucket_end(ts: datetime | None, size: timedelta) -> datetime | None:
    """The end of the tumbling window of a time, aligned to 1970."""
    if ts is None:
        return None
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is
    return epoch + ((ts - epoch) // size + 1) * size
