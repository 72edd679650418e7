"""A plan made runnable: operators in dependency order. A node that several others read is one operator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from time import perf_counter

import pyarrow as pa

from stream_magic.core.change import LATE_BY
from stream_magic.engine.operators.aggregate import MergeOperator, WindowOperator
from stream_magic.engine.operators.apply import ApplyOperator
from stream_magic.engine.operators.base import Flow, Operator, Turn
from stream_magic.engine.operators.compute import ComputeOperator
from stream_magic.engine.operators.constant import ConstantOperator
from stream_magic.engine.operators.join import JoinOperator
from stream_magic.engine.operators.partition import PartitionOperator
from stream_magic.engine.operators.recompute import RecomputeOperator
from stream_magic.engine.operators.remember import RememberOperator
from stream_magic.engine.operators.session_group import SessionGroupOperator
from stream_magic.engine.operators.sessions import SessionOperator, SessionRowsOperator
from stream_magic.engine.operators.union import UnionOperator
from stream_magic.engine.state import Database
from stream_magic.planner.nodes import (
    Aggregate,
    Apply,
    Compute,
    Constant,
    Join,
    Node,
    Partition,
    Read,
    Remember,
    SessionGroup,
    Sessions,
    Union,
)


class Program:
    """The operators of one plan.

    Attributes:
        schemas: of what it reads, by the relation's id; `errors.x` among them.
    """

    def __init__(self, root: Node, database: Database) -> None:
        self.schemas: dict[str, pa.Schema] = {}
        self._steps: list[Step] = []
        self._database = database
        self._places: dict[int, int | str] = {}
        self._root = self._add(root)

    def run(self, inputs: Mapping[str, Flow], turn: Turn) -> Flow:
        """One epoch: the result's delta, from those of all relations that it reads."""
        flows: dict[int | str, Flow] = dict(inputs.items())
        for number, step in enumerate(self._steps):
            flows[number] = step.run([flows[place] for place in step.inputs], turn)
        return flows[self._root]

    def step_of(self, node: Node) -> Step | None:
        """Where a node of the plan is at work; None of a relation that is read."""
        place = self._places.get(id(node))
        return self._steps[place] if isinstance(place, int) else None

    def close(self) -> None:
        """Drops all state."""
        for step in self._steps:
            step.operator.close()

    def _add(self, node: Node) -> int | str:
        """Where the node's output is found: a step's number, or the relation's id."""
        if isinstance(node, Read):
            self.schemas[node.relation.id] = node.schema
            return node.relation.id
        if id(node) not in self._places:
            inputs = tuple(self._add(n) for n in node.inputs)
            operator = self._operator(node, inputs)
            self._places[id(node)] = len(self._steps)
            self._steps.append(Step(operator, inputs))
        return self._places[id(node)]

    def _operator(self, node: Node, inputs: Sequence[int | str]) -> Operator:
        schemas = [self._schema(place) for place in inputs]
        if isinstance(node, SessionGroup):
            sessions = self._steps[int(inputs[1])].operator
            assert isinstance(sessions, SessionOperator)  # noqa: S101  # such is its plan
            return SessionGroupOperator(node, schemas[0], sessions.intake, self._database)
        return _operator(node, schemas, self._database)

    def _schema(self, place: int | str) -> pa.Schema:
        return self.schemas[place] if isinstance(place, str) else self._steps[place].operator.schema


@dataclass
class Counters:
    """What one node of a plan did so far."""

    rows_in: int = 0
    rows_out: int = 0
    seconds: float = 0.0


@dataclass
class Step:
    """One node of a plan at work."""

    operator: Operator
    inputs: tuple[int | str, ...]
    counters: Counters = field(default_factory=Counters)

    def run(self, flows: Sequence[Flow], turn: Turn) -> Flow:
        start_s = perf_counter()
        flow = self._run(flows, turn)
        self.counters.seconds += perf_counter() - start_s
        self.counters.rows_in += sum(f.delta.num_rows for f in flows)
        self.counters.rows_out += flow.delta.num_rows
        return flow

    def _run(self, flows: Sequence[Flow], turn: Turn) -> Flow:
        schema = self.operator.schema
        own = replace(turn, timelines=tuple(f.timeline for f in flows))
        timeline = own.timeline if LATE_BY in schema.names else None
        if not (turn.is_first or own.has_moved or any(f.delta.num_rows for f in flows)):
            return Flow(schema.empty_table(), timeline)
        return Flow(self.operator.run([f.delta for f in flows], own), timeline)


def _operator(node: Node, inputs: Sequence[pa.Schema], database: Database) -> Operator:
    match node:
        case Compute():
            return ComputeOperator(node, inputs[0], database)
        case Join():
            return JoinOperator(node, inputs, database)
        case Partition():
            return PartitionOperator(node, inputs, database)
        case Apply():
            return ApplyOperator(node)
        case Remember():
            return RememberOperator(node, inputs[0], database, Program(node.inner, database))
        case Sessions(gives="numbers"):
            return SessionOperator(node, inputs[0], database)
        case Sessions():
            return SessionRowsOperator(node, inputs[0], database)
        case Union():
            return UnionOperator(node)
        case Constant():
            return ConstantOperator(node, database)
        case Aggregate():
            return _aggregate(node, inputs[0], database)
        case Read() | SessionGroup():
            raise TypeError(f"{type(node).__name__} is made elsewhere")


def _aggregate(node: Aggregate, schema: pa.Schema, database: Database) -> Operator:
    if not node.is_mergeable:
        return RecomputeOperator(node, schema, database)
    if node.emit == "close":
        return WindowOperator(node, schema, database)
    return MergeOperator(node, schema, database)
