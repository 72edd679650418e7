"""All operators of an app. Equal nodes of different plans are one operator, which ends with its last user.

A new query may join an operator that works already if that gives it the same as one of its own would,
built from what the inputs have kept (decision 0010).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard

import pyarrow as pa

from stream_magic.engine.operators.aggregate import MergeOperator, WindowOperator
from stream_magic.engine.operators.apply import ApplyOperator
from stream_magic.engine.operators.base import Operator
from stream_magic.engine.operators.clocked import ClockedOperator
from stream_magic.engine.operators.closing import ClosingOperator
from stream_magic.engine.operators.compute import ComputeOperator
from stream_magic.engine.operators.constant import ConstantOperator
from stream_magic.engine.operators.fill import FillOperator
from stream_magic.engine.operators.join import JoinOperator
from stream_magic.engine.operators.number import NumberOperator
from stream_magic.engine.operators.partials import Partials
from stream_magic.engine.operators.partition import PartitionOperator
from stream_magic.engine.operators.recompute import RecomputeOperator
from stream_magic.engine.operators.remember import RememberOperator
from stream_magic.engine.operators.running import RunningOperator
from stream_magic.engine.operators.session_group import SessionGroupOperator
from stream_magic.engine.operators.session_running import SessionRunningOperator
from stream_magic.engine.operators.sessions import SessionOperator, SessionRowsOperator
from stream_magic.engine.operators.table import TableOperator
from stream_magic.engine.operators.union import UnionOperator
from stream_magic.engine.operators.waiting import WaitingOperator
from stream_magic.engine.operators.whole import WholeOperator
from stream_magic.engine.sieve import Sieve
from stream_magic.engine.state import Database
from stream_magic.planner.arrival_nodes import Clocked, Fill, Number
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
    Waiting,
)
from stream_magic.planner.parts import Sifted


@dataclass
class Counters:
    """What one step did so far."""

    rows_in: int = 0
    rows_out: int = 0
    errors: int = 0
    seconds: float = 0.0

    def add(self, other: Counters) -> None:
        self.rows_in += other.rows_in
        self.rows_out += other.rows_out
        self.errors += other.errors
        self.seconds += other.seconds


class Input(NamedTuple):
    """Where rows come from: a step, or the relation with this id; and what their columns are called here."""

    place: Step | str
    schema: pa.Schema


@dataclass(eq=False)
class Step:
    """An operator at work.

    Attributes:
        key: of the node (`planner.identity`).
        reads: the relations below it, by their ids.
        chain: the node below, whose work is a part of the step's own; its rows are given to nobody.
        asks_caches: what it gives depends on what was in a cache at the time.
        sieve: the filters of all steps over the same rows, this one's among them; or None.
        users: programs that it is a part of.
        has_begun: an epoch with it was committed.
    """

    key: str
    operator: Operator
    inputs: tuple[Input, ...]
    chain: Compute | None = None
    reads: dict[str, pa.Schema] = field(default_factory=dict)
    asks_caches: bool = False
    sieve: Sieve | None = None
    users: int = 0
    has_begun: bool = False
    counters: Counters = field(default_factory=Counters)

    @property
    def is_retold(self) -> bool:
        """It cannot begin anew: who joins it gets what it has given so far."""
        return self.has_begun and not self.operator.is_stateless

    def below(self) -> Iterator[Step]:
        """The steps that it reads."""
        for place, _ in self.inputs:
            if isinstance(place, Step):
                yield place


class Network:
    """The steps of all programs of an app.

    Args:
        database: holds their state.
        is_cut: of a relation's id, whether older rows of it were let go.
    """

    def __init__(self, database: Database, is_cut: Callable[[str], bool]) -> None:
        self._database = database
        self._is_cut = is_cut
        self._steps: dict[str, list[Step]] = {}
        self._sieves: dict[tuple[str, str], Sieve] = {}

    def find(self, key: str) -> Step | None:
        """A step that does the same and that a new query may join."""
        return next((s for s in self._steps.get(key, ()) if self.is_open(s)), None)

    def add(
        self, key: str, node: Node, inputs: Sequence[Input], chain: Compute | None = None
    ) -> Step:
        """A step of its own. With a `chain`, the inputs are those of the chain."""
        operator = self._operator(node, inputs, chain)
        step = Step(key, operator, tuple(inputs), chain)
        for place, schema in inputs:
            step.reads |= {place: schema} if isinstance(place, str) else place.reads
        asks = any(isinstance(n, Compute) and n.caches for n in (node, chain))
        step.asks_caches = asks or any(s.asks_caches for s in step.below())
        if isinstance(node, Compute) and node.sifted is not None:
            self._sift(step, node.sifted)
        self._steps.setdefault(key, []).append(step)
        return step

    def release(self, step: Step) -> None:
        """One user less; the last one closes it."""
        step.users -= 1
        if step.users == 0:
            self._steps[step.key].remove(step)
            self._forget_filter(step)
            step.operator.close()

    def is_open(self, step: Step) -> bool:
        """A query that begins now gets from it what it would get from a step of its own."""
        todo, seen = [step], set[Step]()
        while todo:
            at = todo.pop()
            if at in seen:
                continue
            seen.add(at)
            if not at.is_retold:
                todo += at.below()
            elif not self._can_join(at):
                return False
        return True

    def _can_join(self, step: Step) -> bool:
        """It can tell what it gave, and that is what it would give again."""
        return (
            step.operator.can_retell
            and not step.asks_caches
            and not any(s.counters.errors for s in _all_below(step))
            and not any(map(self._is_cut, step.reads))
        )

    def _sift(self, step: Step, sifted: Sifted) -> None:
        ((place, schema),) = step.inputs
        if not isinstance(place, str):
            return
        at = (place, sifted.rows_sql)
        if at not in self._sieves:
            self._sieves[at] = Sieve(schema, sifted.rows_sql, self._database)
        step.sieve = self._sieves[at]
        step.sieve.add(step, sifted.condition)

    def _forget_filter(self, step: Step) -> None:
        if step.sieve is not None:
            step.sieve.remove(step)
            self._sieves = {at: sieve for at, sieve in self._sieves.items() if len(sieve)}

    def _operator(self, node: Node, inputs: Sequence[Input], chain: Compute | None) -> Operator:
        schemas = [i.schema for i in inputs]
        if isinstance(node, Aggregate):
            return _aggregate(node, schemas[0], self._database, chain)
        if not isinstance(node, SessionGroup):
            return _made(node, schemas, self._database)
        sessions = inputs[1].place
        assert isinstance(sessions, Step)  # noqa: S101  # such is its plan
        assert isinstance(sessions.operator, SessionOperator)  # noqa: S101
        is_small = SessionRunningOperator.suits(node, schemas[0])
        make = SessionRunningOperator if is_small else SessionGroupOperator
        return make(node, schemas[0], sessions.operator.intake, self._database)


def _all_below(step: Step) -> set[Step]:
    """The step and all that it reads."""
    found: set[Step] = set()
    todo = [step]
    while todo:
        at = todo.pop()
        if at not in found:
            found.add(at)
            todo += at.below()
    return found


def _made(node: Node, inputs: Sequence[pa.Schema], database: Database) -> Operator:
    match node:
        case Compute():
            return ComputeOperator(node, inputs[0], database)
        case Join():
            return JoinOperator(node, inputs, database)
        case Partition():
            return PartitionOperator(node, inputs, database)
        case Remember():
            return RememberOperator(node, inputs[0], database, _chain(node.inner, database))
        case Apply():
            return ApplyOperator(node)
        case Clocked():
            return ClockedOperator(node)
        case Fill():
            return FillOperator(node, inputs[0], database)
        case Number():
            return NumberOperator(node, inputs[0], database)
        case Waiting():
            return WaitingOperator(node, inputs[0], database)
        case Sessions(gives="numbers"):
            return SessionOperator(node, inputs[0], database)
        case Sessions():
            return SessionRowsOperator(node, inputs[0], database)
        case Union(is_table=True):
            return TableOperator(node, database)
        case Union():
            return UnionOperator(node)
        case Constant():
            return ConstantOperator(node, database)
        case Read() | Aggregate() | SessionGroup():
            raise TypeError(f"{type(node).__name__} is made elsewhere")


def _chain(node: Node, database: Database) -> list[Operator]:
    """What is computed of a row without state, one after the other."""
    (source,) = node.inputs
    below = [] if isinstance(source, Read) else _chain(source, database)
    return [*below, _made(node, [below[-1].schema if below else source.schema], database)]


def is_pieced(node: Node) -> TypeGuard[Aggregate]:
    """A GROUP BY that takes up the chain below it."""
    if not isinstance(node, Aggregate):
        return False
    return (
        node.is_pieced
        and not node.is_whole
        and (node.emit == "close" or RunningOperator.suits(node))
    )


def _aggregate(
    node: Aggregate, schema: pa.Schema, database: Database, below: Compute | None
) -> Operator:
    if node.is_whole:
        return WholeOperator(node, schema, database)
    if is_pieced(node):
        chain = None if below is None else ComputeOperator(below, schema, database)
        schema = schema if chain is None else chain.schema
        partials = Partials(node, chain, schema, database)
        if node.emit == "close":
            return ClosingOperator(node, partials, database)
        return RunningOperator(node, partials, database)
    if not node.is_mergeable:
        return RecomputeOperator(node, schema, database)
    if node.emit == "close":
        return WindowOperator(node, schema, database)
    return MergeOperator(node, schema, database)
