"""How rows enter an epoch: a prefix of the order of arrival over all sources, numbered and judged.

So a row that is made from rows of several sources is the same wherever epochs are cut.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.arrivals import Arrivals
from stream_magic.core.change import BEFORE_TIME, LATE_FIELD, SEQ_FIELD, WEIGHT
from stream_magic.core.clock import Clock
from stream_magic.engine.batches import Decoded
from stream_magic.engine.dataflow import CacheNode, Dataflow, QueryNode, SourceNode, TargetNode
from stream_magic.engine.row_errors import RowError
from stream_magic.engine.timeline import Steps, Timeline


@dataclass
class Intake:
    """What an epoch works on: numbered rows, and the errors met on the way in. It can be run again.

    Attributes:
        timelines: of the sources with a watermark.
        last_seq: the highest arrival number so far; -1 before any.
        now_us: the app's clock; it never goes back.
        clock: as a watermark: rows to come are not before now.
    """

    deltas: dict[str, pa.Table] = field(default_factory=dict)
    errors: dict[str, list[RowError]] = field(default_factory=dict)
    timelines: dict[str, Timeline] = field(default_factory=dict)
    last_seq: int = -1
    now_us: int = 0
    clock: Timeline = field(default_factory=lambda: Timeline.still(BEFORE_TIME))


class Inlet:
    """Takes rows from the sources. A source that is held keeps its rows, and its place in the order."""

    def __init__(self, flow: Dataflow, arrivals: Arrivals, clock: Clock) -> None:
        self._flow = flow
        self._arrivals = arrivals
        self._clock = clock
        self._last_seq = -1
        self._now_us = BEFORE_TIME + 1

    def take(self, max_rows: int | None, errors: dict[str, list[RowError]]) -> Intake:
        """All rows that arrived before the first at which a source would give more than about `max_rows`; none for 0."""
        sources = self._flow.sources()
        is_open = {s.id: max_rows != 0 and not self._is_held(s) for s in sources}
        cut = min((s.reader.bound(max_rows) for s in sources if is_open[s.id]), default=0)
        cut = min(cut, self._arrivals.next)
        self._last_seq = max(self._last_seq, cut - 1)
        before_us, self._now_us = self._now_us, max(self._now_us, self._clock.now_us())
        at, us = np.array([self._last_seq + 1]), np.array([self._now_us - 1])
        clock = Timeline((Steps(before_us - 1, at, us),))
        intake = Intake(errors=errors, last_seq=self._last_seq, now_us=self._now_us, clock=clock)
        for source in sources:
            taken = source.reader.take(cut) if is_open[source.id] else []
            for batch in taken:
                errors.setdefault(source.id, []).extend(batch.errors)
            entry = _Entry(source, intake.now_us)
            intake.deltas[source.id] = entry.rows(taken)
            entry.look_at_clock(self._last_seq + 1, is_held=not is_open[source.id])
            if source.tracker is not None:
                intake.timelines[source.id] = entry.timeline()
        return intake

    def waits_for_cache(self, node: QueryNode) -> bool:
        caches = (self._flow.get(c) for c in node.plan.caches)
        return any(isinstance(c, CacheNode) and c.loader.loads == 0 for c in caches)

    def _is_held(self, source: SourceNode) -> bool:
        """A full outbox slows the sources above it, and no other; a cache must be there before it is asked."""
        for node in self._flow.dependents(source.id):
            if isinstance(node, TargetNode) and node.deliverer.is_full:
                return True
            if isinstance(node, QueryNode) and not node.failure and self.waits_for_cache(node):
                return True
        return False


class _Entry:
    """One source's part of an epoch: its rows, and what they do to its watermark."""

    def __init__(self, source: SourceNode, now_us: int) -> None:
        self._source, self._now_us = source, now_us
        self._behind: list[np.ndarray] = []
        self._us: list[np.ndarray] = []
        if source.tracker is not None and source.reader.state in ("running", "complete"):
            source.tracker.know(source.reader.source.partitions, now_us)

    def rows(self, taken: list[Decoded]) -> pa.Table:
        """With arrival numbers, and the watermark that each is judged by."""
        if not taken:
            return self._source.relation.stream_schema.empty_table()
        return pa.concat_tables([self._numbered(batch) for batch in taken])

    def look_at_clock(self, number: int, *, is_held: bool) -> None:
        """What happens without rows has its place in the order of arrival too."""
        reader, tracker = self._source.reader, self._source.tracker
        ended_at = reader.ended_at
        self._source.has_ended = ended_at is not None and ended_at <= number
        if tracker is None:
            return
        if ended_at is not None and ended_at <= number:
            tracker.end()
            self._note(ended_at, tracker.watermark_us)
        elif not is_held and not reader.has_rows:  # who waits in a queue is not idle
            tracker.mark_idle(self._now_us)
            self._note(number, tracker.watermark_us)

    def timeline(self) -> Timeline:
        rows, us = _joined(self._behind), _joined(self._us)
        return Timeline((Steps(self._source.watermark_us, rows, us, behind=True),))

    def _numbered(self, batch: Decoded) -> pa.Table:
        relation, tracker = self._source.relation, self._source.tracker
        rows = batch.rows
        weights = rows.column(WEIGHT) if WEIGHT in rows.column_names else None
        rows = rows.select(relation.schema.names).append_column(SEQ_FIELD, pa.array(batch.numbers))
        if tracker is not None and relation.time_column is not None:
            times = _micros(rows.column(relation.time_column))
            judged, after = tracker.judge(times, batch.partitions, self._now_us)
            rows = rows.append_column(LATE_FIELD, pa.array(judged))
            self._behind.append(batch.numbers)
            self._us.append(after)
            newest = int(times.max(initial=BEFORE_TIME))
            if newest > BEFORE_TIME:
                metrics = self._source.metrics
                metrics.newest_us = max(metrics.newest_us or 0, newest)
            if batch.ended_partitions:
                tracker.end(batch.ended_partitions)
                self._note(batch.end, tracker.watermark_us)
        if weights is not None:
            rows = rows.append_column(WEIGHT, weights)
        return rows.cast(relation.stream_schema)

    def _note(self, number: int, watermark_us: int) -> None:
        """The watermark from this arrival number on."""
        self._behind.append(np.array([number - 1], np.int64))
        self._us.append(np.array([watermark_us], np.int64))


def _joined(parts: list[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, np.int64), *parts])


def _micros(times: pa.ChunkedArray) -> np.ndarray:
    """Microseconds since 1970 in UTC, BEFORE_TIME for NULL; nanoseconds are cut."""
    kind = times.type
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    whole = pc.cast(times, pa.timestamp("us", zone), safe=False).cast(pa.int64())
    known = pc.fill_null(whole, BEFORE_TIME) if whole.null_count else whole
    micros: np.ndarray = (known.chunk(0) if known.num_chunks == 1 else known).to_numpy()
    return micros
