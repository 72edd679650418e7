"""ONE epoch, top to bottom: take, number, run every node once, commit, hand out.

Nothing is visible before the commit. A query that fails is rolled back with the whole epoch; the
epoch then runs again on the same input without it and what is below it (DESIGN 3.6).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial

import pyarrow as pa

from stream_magic.core.arrivals import Arrivals
from stream_magic.core.change import LATE_BY, SEQ_FIELD
from stream_magic.core.clock import Clock
from stream_magic.engine.dataflow import (
    ERRORS_STREAM_SCHEMA,
    CacheNode,
    Dataflow,
    QueryNode,
    RunningNode,
    TargetNode,
)
from stream_magic.engine.inlet import Inlet, Intake
from stream_magic.engine.logs import changes_between
from stream_magic.engine.operators.base import Flow, Turn
from stream_magic.engine.row_errors import RowError, errors_table
from stream_magic.engine.state import Database
from stream_magic.engine.timeline import Timeline
from stream_magic.engine.wave import StepFailure, Wave
from stream_magic.language.catalog import CLOCK_RELATION


@dataclass
class Outcome:
    """What an epoch changed, by node id; `errors.x` holds the error rows of x."""

    epoch: int
    deltas: dict[str, pa.Table] = field(default_factory=dict)
    timelines: dict[str, Timeline] = field(default_factory=dict)
    fresh: list[QueryNode] = field(default_factory=list)
    replaced: dict[str, pa.Table] = field(default_factory=dict)  # new less old result, by node id

    def outside(self, name: str) -> pa.Table | None:
        """What targets and subscribers are told: of a replaced query only what is different."""
        return self.replaced.get(name, self.deltas.get(name))


class EpochRunner:
    """Runs epochs one after the other. Only one thread at a time may call it."""

    def __init__(
        self, flow: Dataflow, database: Database, clock: Clock, arrivals: Arrivals
    ) -> None:
        self.epoch = 0
        self._flow = flow
        self._database = database
        self._clock = clock
        self._inlet = Inlet(flow, arrivals, clock)
        self._intake: Intake | None = None  # taken, and not committed yet

    @property
    def is_unsettled(self) -> bool:
        """A new query can be built from history now: alone, so that new rows can be told from old ones."""
        return any(
            not q.has_history and not self.is_down(q) and self._can_look_up(q)
            for q in self._flow.queries()
        )

    def _prepare(self) -> None:
        """New queries find out which steps of others they can share; what they shared may have gone on."""
        for node in self._flow.queries():
            if not node.has_history and not self.is_down(node) and self._can_look_up(node):
                node.program.renew()

    def _can_look_up(self, node: QueryNode) -> bool:
        caches = (self._flow.get(c) for c in node.plan.caches)
        return all(c.loader.is_loaded for c in caches if isinstance(c, CacheNode))

    def run(self, max_rows: int | None) -> Outcome:
        """One epoch over at most about `max_rows` rows of each source; all that there is for None, nothing for 0."""
        self._prepare()
        if self._intake is None:  # else the last epoch was broken off: its rows come first
            self._intake = self._inlet.take(max_rows, self._swap_caches())
        while True:
            try:
                outcome = self._compute(self._intake)
                break
            except StepFailure as failure:
                if not failure.step.operator.take_care(failure.__cause__):
                    self._stop(failure, self._intake)
        self._intake = None
        self._publish(outcome)
        return outcome

    # --- 1. take ---------------------------------------------------------------------------------

    def _swap_caches(self) -> dict[str, list[RowError]]:
        """A cache changes between epochs only."""
        errors: dict[str, list[RowError]] = {}
        for node in self._flow.caches():
            swapped = node.loader.swap()
            if swapped is not None:
                rows, duplicates = swapped
                self._database.replace_cache(node.id, rows, node.loader.index)
                errors[node.id] = duplicates
                node.metrics.rows_in += rows.num_rows
        return errors

    # --- 2. run every node once, 3. commit -------------------------------------------------------

    def _compute(self, intake: Intake) -> Outcome:
        timelines = intake.timelines | {CLOCK_RELATION.id: intake.clock}
        outcome = Outcome(self.epoch + 1, dict(intake.deltas), timelines)
        for node_id, errors in intake.errors.items():
            self._add_errors(outcome, node_id, errors, intake)
        turn = Turn(last_seq=intake.last_seq, now_us=intake.now_us)
        wave = Wave(partial(self._flow_of, outcome), turn)
        nodes = [n for n in self._flow.queries() if self._can_run(n)]
        with self._database.transaction():
            for node in nodes:
                if not node.has_history:
                    wave.begin(node.program, self._watermark_so_far)
            for node in nodes:
                self._run_query(node, outcome, wave, intake)
        wave.commit()
        return outcome

    def _can_run(self, node: QueryNode) -> bool:
        return not self.is_down(node) and not self._inlet.waits_for_cache(node)

    def _run_query(self, node: QueryNode, outcome: Outcome, wave: Wave, intake: Intake) -> None:
        is_first = not node.has_history
        reads = node.program.schemas.items()
        inputs = [wave.relation(*read, is_first=is_first) for read in reads]
        has_moved = any(f.timeline is not None and f.timeline.has_moved for f in inputs)
        if not (is_first or has_moved or any(f.delta.num_rows for f in inputs)):
            return
        out = node.shown(wave.run(node.program, is_first=is_first))
        if is_first:
            outcome.fresh.append(node)
        outcome.deltas[node.id] = out.delta
        if out.timeline is not None:
            outcome.timelines[node.id] = out.timeline
        self._add_errors(outcome, node.id, wave.errors(node.program, is_first=is_first), intake)

    def _stop(self, failure: StepFailure, intake: Intake) -> None:
        """Queries run no more, nor what is below them; their steps go on for others only.

        All queries that need the step stop; if it failed on what they begin with, only those that begin.
        """
        for node in list(self._flow.queries()):
            has_it = any(s is failure.step for s in node.program.steps())
            if not has_it or (failure.is_first and node.has_history):
                continue
            node.failure = failure.message
            reason = f"{node.relation.name} stopped: {failure.message}"
            stopped = RowError("SM5008", reason, b"", seq=intake.last_seq)
            intake.errors.setdefault(node.id, []).append(stopped)
            for below in (node, *self._flow.dependents(node.id)):
                if isinstance(below, QueryNode):
                    below.program.close()

    def _watermark_so_far(self, relation: str) -> Timeline | None:
        """As it was before this epoch."""
        node = self._flow.get(relation)
        if node is None or node.relation.time_column is None:
            return None
        return node.progress.until(Timeline.still(node.watermark_us))

    def _flow_of(
        self, outcome: Outcome, relation: str, schema: pa.Schema, *, is_first: bool
    ) -> Flow:  # fmt: skip
        """A relation's delta and watermark; for a new query after what the relation has kept."""
        if relation == CLOCK_RELATION.id:
            clock = outcome.timelines[relation]
            return Flow(schema.empty_table(), clock.since_the_beginning() if is_first else clock)
        above = self._flow[relation.removeprefix("errors.")]
        delta = outcome.deltas.get(relation, schema.empty_table())
        timeline = None
        if LATE_BY in schema.names:
            timeline = outcome.timelines.get(relation, Timeline.still(above.watermark_us))
        if not is_first:
            return Flow(delta, timeline)
        log = above.log_of(relation)
        if log is not None:
            delta = pa.concat_tables([log.history(), delta])
        return Flow(delta, None if timeline is None else above.progress.until(timeline))

    def _add_errors(
        self, outcome: Outcome, node_id: str, errors: list[RowError], intake: Intake
    ) -> None:
        if not errors:
            return
        rows = errors_table(errors, outcome.epoch, self._clock.now_us())
        numbers = pa.array([max(intake.last_seq, 0)] * rows.num_rows, pa.int64())
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
            if node.id in outcome.timelines:
                node.progress.add(outcome.timelines[node.id])
                node.watermark_us = outcome.timelines[node.id].end_us
            self._publish_errors(node, outcome)
            delta = outcome.deltas.get(node.id)
            if delta is not None and delta.num_rows and node.log is not None:
                node.log.append(delta)
                node.metrics.rows_out += delta.num_rows
                node.metrics.rate.add(delta.num_rows, now_s)
            fed = (outcome.deltas.get(name) for name in node.reads or (node.id,))
            node.metrics.rows_in += sum(d.num_rows for d in fed if d is not None)
            if isinstance(node, TargetNode):
                self._offer(node, outcome, now_s)
        for source_node in self._flow.sources():
            source_node.reader.committed()

    def _note_cut(self, node: QueryNode, epoch: int) -> None:
        """A result over history that was cut, here or above, says from when it is complete."""
        for relation in node.program.schemas:
            above = self._flow.get(relation.removeprefix("errors."))
            log = above.log_of(relation) if above is not None else None
            if above is not None and log is not None:
                cut = epoch if log.is_cut else 0
                node.complete_from = max(node.complete_from, above.complete_from, cut)

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
        reads = node.reads[0]
        delta = outcome.outside(reads)
        if not node.has_history:
            node.has_history = True
            log = self._flow[node.inputs[0]].log_of(reads)
            delta = log.history() if log is not None else delta
        if delta is not None and delta.num_rows:
            node.deliverer.offer(outcome.epoch, delta)
            node.metrics.rate.add(delta.num_rows, now_s)
