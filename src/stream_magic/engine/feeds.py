"""A node as views see it (contracts/feed.py): snapshots and figures, safe from any thread."""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.contracts.feed import FeedMode, FeedStatus, GraphNode, NodeState, Snapshot
from stream_magic.core.change import SEQ, visible
from stream_magic.engine.dataflow import CacheNode, QueryNode, RunningNode, SourceNode, TargetNode
from stream_magic.engine.logs import RelationLog, ResultLog
from stream_magic.engine.worker import Engine
from stream_magic.errors import ConfigError


class NodeFeed:
    """One relation of an app. It looks the node up by name each time, so that it outlives a replacement."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._engine = engine
        self._is_errors = name.lower().startswith("errors.")
        self._id = name.lower().removeprefix("errors.")
        node = self._node()
        self.name = f"errors.{node.relation.name}" if self._is_errors else node.relation.name

    @property
    def kind(self) -> str:
        return "errors" if self._is_errors else self._node().relation.kind

    @property
    def detail(self) -> str:
        return detail_of(self._node())

    @property
    def mode(self) -> FeedMode:
        node = self._node()
        return node.plan.mode if isinstance(node, QueryNode) and not self._is_errors else "append"

    @property
    def key(self) -> tuple[str, ...]:
        return () if self._is_errors else self._node().relation.key

    @property
    def time_column(self) -> str | None:
        return "at" if self._is_errors else self._node().relation.time_column

    @property
    def schema(self) -> pa.Schema:
        node = self._node()
        return (
            node.errors.schema.remove(node.errors.schema.num_fields - 1)
            if self._is_errors
            else node.relation.schema
        )

    @property
    def version(self) -> int:
        return self._engine.version

    def snapshot(self, limit: int) -> Snapshot:
        with self._engine.between_epochs():
            node = self._node()
            epoch = self._engine.epoch
            if isinstance(node, CacheNode) and not self._is_errors:
                rows = node.loader.rows
                return Snapshot(epoch, rows.slice(0, limit), rows.num_rows)
            log = node.errors if self._is_errors else node.log
            if log is None:
                return Snapshot(epoch, self.schema.empty_table(), 0)
            return Snapshot(epoch, log.rows(limit), log.total)

    def status(self) -> FeedStatus:
        return status_of(self._node(), self._engine)

    def subscribe(self, fn: Callable[[int, pa.Table], None]) -> Callable[[], None]:
        """Calls `fn(epoch, delta)` after every epoch that changed it.

        A changelog's current result comes first, so the sum of what a subscriber is told is the result,
        whenever it came; of a stream the rows that its query states itself (VALUES).
        """
        with self._engine.between_epochs():
            log = None if self._is_errors else self._node().log
            first = _first(log) if log is not None else None
            if first is not None and first.num_rows:
                fn(self._engine.epoch, visible(first, with_weight=True))
            return self._engine.subscribe(self.name, fn)

    def _node(self) -> RunningNode:
        node = self._engine.flow.get(self._id)
        if node is None:
            raise ConfigError("SM7021", f"'{self._id}' was dropped", hint="run its cell again")
        return node


def _first(log: RelationLog) -> pa.Table:
    """What a new subscriber is told at once. Rows that a query states are there before all that arrives."""
    rows = log.history()
    return rows if isinstance(log, ResultLog) else rows.filter(pc.less(rows.column(SEQ), 0))


class EngineFeed:
    """A whole app as the flow graph sees it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.name = engine.name

    @property
    def version(self) -> int:
        return self._engine.version

    def nodes(self) -> list[GraphNode]:
        return [_graph_node(n, self._engine) for n in self._engine.flow]

    def epoch(self) -> int:
        return self._engine.epoch

    def pause(self) -> None:
        self._engine.pause()

    def resume(self) -> None:
        self._engine.resume()

    @property
    def is_paused(self) -> bool:
        return self._engine.is_paused

    def step(self) -> None:
        self._engine.step()


def state_of(node: RunningNode, engine: Engine) -> tuple[NodeState, str]:
    """What a node is doing, in the words of the flow graph."""
    if node.failure:
        return "failed", node.failure
    if engine.failure:
        return "failed", engine.failure
    state, message = node.state()
    message = message or engine.notes.get(node.id, "")
    if state in ("failed", "reconnecting", "complete"):
        return state, message
    if not engine.is_started:
        return "stopped", message
    if engine.is_paused:
        return "paused", message
    above = [engine.flow.get(i) for i in node.inputs]
    failed = next((n for n in above if isinstance(n, QueryNode) and n.failure), None)
    if failed is not None:
        return "stopped", f"{failed.relation.name} failed"
    if above and all(isinstance(n, SourceNode) and n.state()[0] == "complete" for n in above if n):
        return "complete", message
    if isinstance(node, QueryNode) and node.metrics.rows_in == 0:
        return "waiting", message
    return state, message


def status_of(node: RunningNode, engine: Engine) -> FeedStatus:
    """The figures of a view bar."""
    state, message = state_of(node, engine)
    return FeedStatus(
        state=state,
        rows=_rows(node),
        rows_per_s=node.metrics.rate.per_second(engine.clock.monotonic_s()),
        lag_s=lag_s(node, engine),
        errors=node.metrics.errors,
        epoch=engine.epoch,
        message=message.splitlines()[0] if message else "",
    )


def lag_s(node: RunningNode, engine: Engine) -> float | None:
    """Age of the newest event time that came in; of a query or target that of the source above it."""
    above: RunningNode | None = node
    while above is not None and not isinstance(above, SourceNode):
        above = engine.flow.get(above.inputs[0]) if above.inputs else None
    if above is None or above.metrics.newest_us is None:
        return None
    return max(0.0, (engine.clock.now_us() - above.metrics.newest_us) / 1e6)


def detail_of(node: RunningNode) -> str:
    """One line for people."""
    if isinstance(node, QueryNode):
        return node.plan.detail
    if isinstance(node, SourceNode):
        return node.reader.source.detail
    if isinstance(node, CacheNode):
        return node.loader.cache.detail
    return node.deliverer.target.detail if isinstance(node, TargetNode) else ""


def _rows(node: RunningNode) -> int:
    if isinstance(node, CacheNode):
        return int(node.loader.rows.num_rows)
    if isinstance(node, TargetNode):
        return node.deliverer.delivered_rows
    if node.log is not None and node.relation.is_changelog:
        return node.log.total
    return node.metrics.rows_out


def _graph_node(node: RunningNode, engine: Engine) -> GraphNode:
    kinds = {
        QueryNode: "table" if node.relation.kind == "table" else "stream",
        SourceNode: "source",
        CacheNode: "cache",
        TargetNode: "target",
    }
    caches = tuple(i for i in node.inputs if isinstance(engine.flow.get(i), CacheNode))
    return GraphNode(
        name=node.relation.name,
        kind=kinds[type(node)],  # type: ignore[arg-type]
        detail=detail_of(node),
        inputs=tuple(i for i in node.inputs if i not in caches),
        lookups=caches,
        status=status_of(node, engine),
    )
