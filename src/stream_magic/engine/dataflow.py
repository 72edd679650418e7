"""The running graph: named nodes, in the order in which an epoch runs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa

from stream_magic.contracts.feed import NodeState
from stream_magic.core.change import BEFORE_TIME, LATE_BY, SEQ_FIELD
from stream_magic.engine.delivery import Deliverer
from stream_magic.engine.ingest import LocalReader, Reader
from stream_magic.engine.logs import RelationLog, ResultLog, StreamLog
from stream_magic.engine.lookup import CacheLoader
from stream_magic.engine.metrics import Metrics
from stream_magic.engine.operators.base import Flow
from stream_magic.engine.program import Program
from stream_magic.engine.state import Database
from stream_magic.engine.timeline import Progress
from stream_magic.engine.watermarks import WatermarkTracker
from stream_magic.language.catalog import ERRORS_SCHEMA, Relation
from stream_magic.planner.plan import Plan

ERRORS_STREAM_SCHEMA = ERRORS_SCHEMA.append(SEQ_FIELD)


@dataclass
class RunningNode:
    """What all nodes have.

    Attributes:
        relation: how queries see it.
        log: what it keeps for new readers; None for targets.
        errors: `errors.NAME`.
        watermark_us: of its rows, after the last epoch.
        progress: how the watermark came there.
        failure: why it does not run any more, or ''.
        complete_from: the epoch before which its history was not complete, or 0.
    """

    relation: Relation
    log: RelationLog | None
    errors: StreamLog = field(default_factory=lambda: StreamLog(ERRORS_STREAM_SCHEMA))
    metrics: Metrics = field(default_factory=Metrics)
    watermark_us: int = BEFORE_TIME
    progress: Progress = field(default_factory=Progress)
    failure: str = ""
    complete_from: int = 0

    @property
    def id(self) -> str:
        return self.relation.id

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """Ids of the relations that it reads, `errors.x` among them."""
        return tuple(dict.fromkeys(i.lower() for i in self.relation.inputs))

    @cached_property
    def inputs(self) -> tuple[str, ...]:
        """Ids of the nodes that it reads; `errors.x` comes from x."""
        return tuple(dict.fromkeys(i.removeprefix("errors.") for i in self.reads))

    def log_of(self, relation: str) -> RelationLog | None:
        """What is kept of its rows, or of its errors."""
        return self.errors if relation.startswith("errors.") else self.log

    def state(self) -> tuple[NodeState, str]:
        """State and, if something is wrong, one sentence."""
        return ("failed", self.failure) if self.failure else ("running", "")


@dataclass
class SourceNode(RunningNode):
    reader: Reader | LocalReader = field(kw_only=True)
    tracker: WatermarkTracker | None = field(kw_only=True)
    has_ended: bool = False  # and the end has gone through an epoch

    def state(self) -> tuple[NodeState, str]:
        if self.failure:
            return "failed", self.failure
        return self.reader.state, self.reader.message  # type: ignore[return-value]


@dataclass
class QueryNode(RunningNode):
    plan: Plan = field(kw_only=True)
    program: Program = field(kw_only=True)
    has_history: bool = False  # its inputs' history went through
    previous: pa.Table | None = None  # what the node that it replaces had given

    def shown(self, flow: Flow) -> Flow:
        """The columns that readers of this node expect: the engine's own only as far as they need them."""
        delta, timeline = flow
        schema = self.relation.stream_schema
        return Flow(delta.select(schema.names), timeline if LATE_BY in schema.names else None)

    def close(self) -> None:
        self.program.close()


@dataclass
class CacheNode(RunningNode):
    loader: CacheLoader = field(kw_only=True)

    def state(self) -> tuple[NodeState, str]:
        return self.loader.state, self.loader.message  # type: ignore[return-value]


@dataclass
class TargetNode(RunningNode):
    deliverer: Deliverer = field(kw_only=True)
    has_history: bool = False  # what its input had kept was handed over

    def state(self) -> tuple[NodeState, str]:
        return self.deliverer.state, self.deliverer.message  # type: ignore[return-value]


class Dataflow:
    """All nodes of an app by id, inputs before outputs."""

    def __init__(self) -> None:
        self._nodes: dict[str, RunningNode] = {}

    def __iter__(self) -> Iterator[RunningNode]:
        return iter(list(self._nodes.values()))

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._nodes

    def get(self, name: str) -> RunningNode | None:
        return self._nodes.get(name.lower())

    def __getitem__(self, name: str) -> RunningNode:
        return self._nodes[name.lower()]

    def add(self, node: RunningNode) -> None:
        self._nodes[node.id] = node
        self._sort()

    def is_cut(self, relation: str) -> bool:
        """Older rows of a relation were let go: a query that begins now does not get all of them."""
        node = self.get(relation.removeprefix("errors."))
        log = node.log_of(relation) if node is not None else None
        return log is None or log.is_cut

    def remove(self, name: str) -> RunningNode | None:
        return self._nodes.pop(name.lower(), None)

    def dependents(self, name: str) -> list[RunningNode]:
        """Everything below a node, nearest first."""
        found: dict[str, RunningNode] = {}
        todo = [name.lower()]
        while todo:
            above = todo.pop(0)
            for node in self._nodes.values():
                if above in node.inputs and node.id not in found:
                    found[node.id] = node
                    todo.append(node.id)
        return list(found.values())

    def sources(self) -> list[SourceNode]:
        return [n for n in self._nodes.values() if isinstance(n, SourceNode)]

    def queries(self) -> list[QueryNode]:
        return [n for n in self._nodes.values() if isinstance(n, QueryNode)]

    def caches(self) -> list[CacheNode]:
        return [n for n in self._nodes.values() if isinstance(n, CacheNode)]

    def targets(self) -> list[TargetNode]:
        return [n for n in self._nodes.values() if isinstance(n, TargetNode)]

    def _sort(self) -> None:
        ordered: dict[str, RunningNode] = {}

        def visit(node: RunningNode) -> None:
            if node.id in ordered:
                return
            for name in node.inputs:
                if name in self._nodes:
                    visit(self._nodes[name])
            ordered[node.id] = node

        for node in list(self._nodes.values()):
            visit(node)
        self._nodes = ordered


def make_log(
    plan: Plan, schema: pa.Schema, database: Database, *, is_table: bool, max_rows: int | None
) -> RelationLog:
    """A changelog keeps its result, a table all its rows, a stream its last ones."""
    if plan.is_changelog:
        return ResultLog(schema, database.cursor)
    if is_table:
        return StreamLog(schema, None, None)
    return StreamLog(schema) if max_rows is None else StreamLog(schema, max_rows, None)
