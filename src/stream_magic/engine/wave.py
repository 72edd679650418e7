"""One epoch of the network: a step that several queries need runs once, and its errors are told to each.

For a query that begins, what its inputs have kept runs through the steps; a step that works already
gives what it has given so far instead.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Protocol

import pyarrow as pa

from stream_magic.core.change import LATE_BY
from stream_magic.engine.network import Counters, Input, Step
from stream_magic.engine.operators.base import Flow, Turn
from stream_magic.engine.operators.compute import ComputeOperator
from stream_magic.engine.program import Program
from stream_magic.engine.row_errors import RowError, RowErrors
from stream_magic.engine.sieve import Places, Sieve
from stream_magic.engine.timeline import Timeline


class StepFailure(Exception):
    """A step could not run; `is_first` if it ran for queries that begin."""

    def __init__(self, step: Step, message: str, *, is_first: bool) -> None:
        super().__init__(message)
        self.step, self.message, self.is_first = step, message, is_first


@dataclass
class _Done:
    flow: Flow
    errors: list[RowError]
    counters: Counters


class Reader(Protocol):
    """Gives a relation's delta by its id; at first after what it has kept."""

    def __call__(self, relation: str, schema: pa.Schema, *, is_first: bool) -> Flow: ...


class Wave:
    """An epoch that is being computed.

    Args:
        read: gives relations.
        turn: number of the last row, and time.
    """

    def __init__(self, read: Reader, turn: Turn) -> None:
        self._read, self._turn = read, turn
        self._relations: dict[tuple[str, bool], Flow] = {}
        self._done: dict[tuple[Step, bool], _Done] = {}
        self._retold: dict[Step, pa.Table] = {}
        self._sifted: dict[Sieve, tuple[pa.Table, dict[Hashable, Places]]] = {}

    def begin(self, program: Program, so_far: Callable[[str], Timeline | None]) -> None:
        """Asks the steps that a new query joins for what they gave before this epoch.

        Args:
            program: of the query.
            so_far: a relation's watermark before this epoch.
        """
        todo = [program.root.place]
        while todo:
            step = todo.pop()
            if not isinstance(step, Step):
                continue
            if not step.is_retold:
                todo += step.below()
            elif step not in self._retold:
                self._retold[step] = self._retell(step, so_far)

    def relation(self, name: str, schema: pa.Schema, *, is_first: bool) -> Flow:
        if (name, is_first) not in self._relations:
            self._relations[name, is_first] = self._read(name, schema, is_first=is_first)
        return self._relations[name, is_first]

    def run(self, program: Program, *, is_first: bool) -> Flow:
        """A program's result. All relations that it reads have run."""
        return self._flow(program.root, is_first=is_first)

    def errors(self, program: Program, *, is_first: bool) -> list[RowError]:
        """What the program's steps could not handle, by arrival."""
        found: list[RowError] = []
        seen: set[tuple[Step, bool]] = set()

        def visit(step: Step, *, is_first: bool) -> None:
            is_first = is_first and not step.is_retold
            if (step, is_first) in seen or (step, is_first) not in self._done:
                return
            seen.add((step, is_first))
            for below in step.below():
                visit(below, is_first=is_first)
            found.extend(self._done[step, is_first].errors)

        if isinstance(program.root.place, Step):
            visit(program.root.place, is_first=is_first)
        return sorted(found, key=lambda e: e.seq)

    def commit(self) -> None:
        """The epoch has happened."""
        for (step, _), done in self._done.items():
            step.has_begun = True
            step.counters.add(done.counters)

    # --- steps -----------------------------------------------------------------------------------

    def _flow(self, source: Input, *, is_first: bool) -> Flow:
        place, schema = source
        if isinstance(place, str):
            return self.relation(place, schema, is_first=is_first)
        flow = self._step(place, is_first=is_first)
        if flow.delta.column_names == schema.names:
            return flow
        return Flow(flow.delta.rename_columns(schema.names), flow.timeline)

    def _step(self, step: Step, *, is_first: bool) -> Flow:
        if is_first and step.is_retold:
            new = self._step(step, is_first=False)
            timeline = _timeline(step, self._since_the_beginning)
            return Flow(pa.concat_tables([self._retold[step], new.delta]), timeline)
        if (step, is_first) not in self._done:
            flows = [self._flow(i, is_first=is_first) for i in step.inputs]
            try:
                self._done[step, is_first] = self._run(step, flows, is_first=is_first)
            except (
                Exception
            ) as e:  # whatever it is, it stops those that need this step and no others
                raise StepFailure(step, str(e) or type(e).__name__, is_first=is_first) from e
        return self._done[step, is_first].flow

    def _run(self, step: Step, flows: Sequence[Flow], *, is_first: bool) -> _Done:
        start_s = perf_counter()
        reads = [self.relation(*read, is_first=is_first) for read in step.reads.items()]
        errors = RowErrors([f.delta for f in reads])
        timelines = tuple(f.timeline for f in flows)
        turn = replace(self._turn, errors=errors, is_first=is_first, timelines=timelines)
        schema = step.operator.schema
        delta = schema.empty_table()
        if is_first or turn.has_moved or any(f.delta.num_rows for f in flows):
            delta = self._computed(step, flows, turn)
        timeline = turn.timeline if LATE_BY in schema.names else None
        flow = Flow(delta, timeline and timeline.behind(step.operator.lag_us))
        rows_in = sum(f.delta.num_rows for f in flows)
        counters = Counters(rows_in, delta.num_rows, len(errors.rows), perf_counter() - start_s)
        return _Done(flow, errors.rows, counters)

    def _computed(self, step: Step, flows: Sequence[Flow], turn: Turn) -> pa.Table:
        sieve, operator = step.sieve, step.operator
        if (
            sieve is not None
            and len(sieve) > 1
            and not turn.is_first
            and isinstance(operator, ComputeOperator)
        ):
            if sieve not in self._sifted:
                rows = flows[0].delta.combine_chunks()
                self._sifted[sieve] = rows, sieve.places(rows)
            rows, places = self._sifted[sieve]
            if step in places:
                return operator.run_sifted(rows, places[step], turn)
        return operator.run([f.delta for f in flows], turn)

    def _retell(self, step: Step, so_far: Callable[[str], Timeline | None]) -> pa.Table:
        timeline = _timeline(step, lambda name, _: so_far(name))
        try:
            return step.operator.retell(replace(self._turn, timelines=(timeline,)))
        except Exception as e:
            raise StepFailure(step, str(e) or type(e).__name__, is_first=True) from e

    def _since_the_beginning(self, name: str, schema: pa.Schema) -> Timeline | None:
        return self.relation(name, schema, is_first=True).timeline


def _timeline(step: Step, of: Callable[[str, pa.Schema], Timeline | None]) -> Timeline | None:
    """That of a step's rows, from those of the relations that it reads."""
    if LATE_BY not in step.operator.schema.names:
        return None
    lowest = Timeline.lowest(
        _timeline(i.place, of) if isinstance(i.place, Step) else of(i.place, i.schema)
        for i in step.inputs
    )
    return lowest and lowest.behind(step.operator.lag_us)
