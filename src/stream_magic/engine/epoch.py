"""ONE epoch, top to bottom: take, number, run every node once, commit, hand out.

Nothing is visible before the commit. A query that fails is rolled back with the whole epoch; the
epoch then runs again on the same input without it and what is below it (DESIGN 3.6).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import LATE_FIELD, SEQ_FIELD, WEIGHT
from stream_magic.core.clock import Clock
from stream_magic.engine.dataflow import (
    ERRORS_STREAM_SCHEMA,
    CacheNode,
    Dataflow,
    QueryNode,
    RunningNode,
    SourceNode,
    TargetNode,
)
from stream_magic.engine.ingest import Decoded
from stream_magic.engine.logs import changes_between
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.row_errors import RowError, RowErrors, errors_table
from stream_magic.engine.state import Database


@dataclass
class Intake:
    """What an epoch works on: numbered rows, and the errors met on the way in. It can be run again."""

    deltas: dict[str, pa.Table] = field(default_factory=dict)
    errors: dict[str, list[RowError]] = field(default_factory=dict)
    watermarks: dict[str, int] = field(default_factory=dict)
    now_us: int = 0


@dataclass
class Outcome:
    """What an epoch changed, by node id; `errors.x` holds the error rows of x."""

    epoch: int
    deltas: dict[str, pa.Table] = field(default_factory=dict)
    watermarks: dict[str, int] = field(default_factory=dict)
    fresh: list[QueryNode] = field(default_factory=list)
    replaced: dict[str, pa.Table] = field(default_factory=dict)  # new less old result, by node id

    def outside(self, name: str) -> pa.Table | None:
        """What targets and subscribers are told: of a replaced query only what is different."""
        return self.replaced.get(name, self.deltas.get(name))


class EpochRunner:
    """Runs epochs one after the other. Only one thread at a time may call it."""

    def __init__(self, flow: Dataflow, database: Database, clock: Clock) -> None:
        self.epoch = 0
        self._flow = flow
        self._database = database
        self._clock = clock
        self._next_seq = 0
        self._intake: Intake | None = None  # taken, and not committed yet

    @property
    def is_unsettled(self) -> bool:
        """A new query can be built from history now: alone, so that new rows can be told from old ones."""
        return any(
            not q.has_history and not self.is_down(q) and self._can_look_up(q)
            for q in self._flow.queries()
        )

    def _can_look_up(self, node: QueryNode) -> bool:
        caches = (self._flow.get(c) for c in node.plan.caches)
        return all(c.loader.is_loaded for c in caches if isinstance(c, CacheNode))

    def run(self, max_rows: int | None) -> Outcome:
        """One epoch over at most about `max_rows` rows of each source; all that there is for None, nothing for 0."""
        if self._intake is None:  # else the last epoch was broken off: its rows come first
            self._intake = Intake(now_us=self._clock.now_us())
            self._swap_caches(self._intake.errors)
            self._take(max_rows, self._intake)
        while True:
            try:
                outcome = self._compute(self._intake)
                break
            except _NodeFailure as failure:
                failure.node.failure = failure.message
        self._intake = None
        self._publish(outcome)
        return outcome

    # --- 1. take ---------------------------------------------------------------------------------

    def _swap_caches(self, errors: dict[str, list[RowError]]) -> None:
        """A cache changes between epochs only."""
        for node in self._flow.caches():
            swapped = node.loader.swap()
            if swapped is not None:
                rows, duplicates = swapped
                self._database.replace_cache(node.id, rows, node.loader.index)
                errors[node.id] = duplicates
                node.metrics.rows_in += rows.num_rows

    def _take(self, max_rows: int | None, intake: Intake) -> None:
        for node in self._flow.sources():
            is_held = max_rows == 0 or self._is_held(node)
            taken = [] if is_held else node.reader.take(max_rows)
            for batch in taken:
                intake.errors.setdefault(node.id, []).extend(batch.errors)
            delta = self._number(node, taken, is_held=is_held)
            intake.watermarks[node.id] = (
                node.tracker.watermark_us if node.tracker else node.watermark_us
            )
            intake.deltas[node.id] = delta

    def _is_held(self, source: SourceNode) -> bool:
        """A full outbox slows the sources above it, and no other; a cache must be there before it is asked."""
        for node in self._flow.dependents(source.id):
            if isinstance(node, TargetNode) and node.deliverer.is_full:
                return True
            if isinstance(node, QueryNode) and not node.failure and self._waits_for_cache(node):
                return True
        return False

    def _waits_for_cache(self, node: QueryNode) -> bool:
        caches = (self._flow.get(c) for c in node.plan.caches)
        return any(isinstance(c, CacheNode) and c.loader.loads == 0 for c in caches)

    def _number(self, node: SourceNode, taken: list[Decoded], *, is_held: bool) -> pa.Table:
        """Adds arrival number and watermark to the rows of a source."""
        schema = node.relation.stream_schema
        now_us = self._clock.now_us()
        if node.tracker is not None and node.reader.state == "running":
            node.tracker.know(node.reader.source.partitions, now_us)
        parts = [self._number_batch(node, batch, now_us) for batch in taken]
        if node.tracker is not None:
            if not is_held and not node.reader.has_rows:  # who waits in a queue is not idle
                node.tracker.mark_idle(now_us)
            if node.reader.is_done:
                node.tracker.end()
        return pa.concat_tables([schema.empty_table(), *parts])

    def _number_batch(self, node: SourceNode, batch: Decoded, now_us: int) -> pa.Table:
        rows = batch.rows
        n = rows.num_rows
        weights = rows.column(WEIGHT) if WEIGHT in rows.column_names else None
        rows = rows.select(node.relation.schema.names)
        numbers = np.arange(self._next_seq, self._next_seq + n, dtype=np.int64)
        self._next_seq += n
        rows = rows.append_column(SEQ_FIELD, pa.array(numbers))
        if node.tracker is not None and node.relation.time_column is not None:
            times = _micros(rows.column(node.relation.time_column))
            is_null = np.asarray(pc.is_null(times))
            judged = node.tracker.judge(
                np.asarray(pc.fill_null(times, 0)), is_null, batch.partitions, now_us
            )
            rows = rows.append_column(LATE_FIELD, pa.array(judged))
            if n > int(is_null.sum()):
                node.metrics.newest_us = max(
                    node.metrics.newest_us or 0, int(pc.max(times).as_py())
                )
            node.tracker.end(batch.ended_partitions)
        if weights is not None:
            rows = rows.append_column(WEIGHT, weights)
        return rows.cast(node.relation.stream_schema)

    # --- 2. run every node once, 3. commit -------------------------------------------------------

    def _compute(self, intake: Intake) -> Outcome:
        outcome = Outcome(self.epoch + 1, dict(intake.deltas), dict(intake.watermarks))
        for node_id, errors in intake.errors.items():
            self._add_errors(outcome, node_id, errors)
        with self._database.transaction():
            for node in self._flow:
                if (
                    isinstance(node, QueryNode)
                    and not self.is_down(node)
                    and not self._waits_for_cache(node)
                ):
                    self._run_query(node, outcome, intake.now_us)
        return outcome

    def _run_query(self, node: QueryNode, outcome: Outcome, now_us: int) -> None:
        watermark = outcome.watermarks.get(
            node.main_input.removeprefix("errors."), node.watermark_us
        )
        outcome.watermarks[node.id] = watermark
        delta, is_fresh = self._input_of(node, outcome)
        has_moved = watermark != node.watermark_us
        if delta.num_rows == 0 and not has_moved and not is_fresh:
            return
        turn = Turn(RowErrors(origin=delta), self._next_seq - 1, watermark, now_us)
        try:
            first = node.initial(turn) if is_fresh else None
            out = node.run(delta, turn)
        except Exception as e:  # whatever it is, it stops this node and no other
            raise _NodeFailure(node, str(e) or type(e).__name__) from e
        if first is not None:
            out = pa.concat_tables([first, out])
        if is_fresh:
            outcome.fresh.append(node)
        outcome.deltas[node.id] = out
        self._add_errors(outcome, node.id, turn.errors.in_order())

    def _input_of(self, node: QueryNode, outcome: Outcome) -> tuple[pa.Table, bool]:
        """The input's delta; for a new query first the history that its input kept."""
        source = self._flow[node.inputs[0]]
        is_errors = node.main_input.startswith("errors.")
        schema = ERRORS_STREAM_SCHEMA if is_errors else source.relation.stream_schema
        delta = outcome.deltas.get(node.main_input, schema.empty_table())
        if node.has_history:
            return delta, False
        log = source.errors if is_errors else source.log
        if log is None:
            return delta, True
        return pa.concat_tables([log.history(), delta]), True

    def _add_errors(self, outcome: Outcome, node_id: str, errors: list[RowError]) -> None:
        if not errors:
            return
        rows = errors_table(errors, outcome.epoch, self._clock.now_us())
        numbers = pa.array([max(self._next_seq - 1, 0)] * rows.num_rows, pa.int64())
        name = f"errors.{node_id}"
        before = outcome.deltas.get(name, ERRORS_STREAM_SCHEMA.empty_table())
        outcome.deltas[name] = pa.concat_tables([before, rows.append_column(SEQ_FIELD, numbers)])

    def is_down(self, node: RunningNode) -> bool:
        """It failed, or something above it did."""
        if node.failure:
            return True
        above = (self._flow.get(name) for name in node.inputs)
        return any(isinstance(n, QueryNode) and self.is_down(n) for n in above if n is not None)

    # --- 4. hand out -----------------------------------------------------------------------------

    def _publish(self, outcome: Outcome) -> None:
        """The epoch has happened: logs, counters, outboxes. Nothing here can fail."""
        self.epoch = outcome.epoch
        now_s = self._clock.monotonic_s()
        for fresh in outcome.fresh:
            fresh.has_history = True
            self._note_cut(fresh, outcome.epoch)
            if fresh.previous is not None:
                outcome.replaced[fresh.id] = self._difference(fresh, outcome)
                fresh.previous = None
        for node in self._flow:
            node.watermark_us = outcome.watermarks.get(node.id, node.watermark_us)
            self._publish_errors(node, outcome)
            delta = outcome.deltas.get(node.id)
            if delta is not None and delta.num_rows and node.log is not None:
                node.log.append(delta)
                node.metrics.rows_out += delta.num_rows
                node.metrics.rate.add(delta.num_rows, now_s)
            fed = sum(outcome.deltas[i].num_rows for i in node.inputs if i in outcome.deltas)
            node.metrics.rows_in += (
                fed if node.inputs else (delta.num_rows if delta is not None else 0)
            )
            if isinstance(node, TargetNode):
                self._offer(node, outcome, now_s)
        for source_node in self._flow.sources():
            source_node.reader.committed()

    def _note_cut(self, node: QueryNode, epoch: int) -> None:
        """A result over history that was cut, here or above, says from when it is complete."""
        source = self._flow[node.inputs[0]]
        log = source.errors if node.main_input.startswith("errors.") else source.log
        if log is not None and (log.is_cut or source.complete_from):
            node.complete_from = max(epoch if log.is_cut else 0, source.complete_from)

    def _difference(self, node: QueryNode, outcome: Outcome) -> pa.Table:
        """The new result less the old one. Rows that were only added were given before."""
        schema = node.relation.stream_schema
        new = outcome.deltas.get(node.id, schema.empty_table())
        if node.previous is None or not node.relation.is_changelog:
            return schema.empty_table()
        return changes_between(node.previous, new, schema)

    def _publish_errors(self, node: RunningNode, outcome: Outcome) -> None:
        errors = outcome.deltas.get(f"errors.{node.id}")
        if errors is not None:
            node.errors.append(errors)
            node.metrics.errors += errors.num_rows

    def _offer(self, node: TargetNode, outcome: Outcome, now_s: float) -> None:
        reads = node.relation.inputs[0].lower()
        delta = outcome.outside(reads)
        if not node.has_history:
            node.has_history = True
            source = self._flow[node.inputs[0]]
            log = source.errors if reads.startswith("errors.") else source.log
            delta = log.history() if log is not None else delta
        if delta is not None and delta.num_rows:
            node.deliverer.offer(outcome.epoch, delta)
            node.metrics.rate.add(delta.num_rows, now_s)


def _micros(times: pa.ChunkedArray) -> pa.ChunkedArray:
    """Microseconds since 1970 in UTC; nanoseconds are cut."""
    kind = times.type
    zone = kind.tz if pa.types.is_timestamp(kind) else None
    return pc.cast(times, pa.timestamp("us", zone), safe=False).cast(pa.int64())


class _NodeFailure(Exception):
    """A query could not run; the epoch runs again without it."""

    def __init__(self, node: QueryNode, message: str) -> None:
        super().__init__(message)
        self.node = node
        self.message = message
