"""What bounds the state of each node, in words; and what to add where nothing does.

State that grows for ever is told when the query is created. Rows of changelogs are kept as long as
they are there, rows of streams until something says that no other row can meet them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from stream_magic.core.change import WEIGHT
from stream_magic.language.catalog import Relation
from stream_magic.planner.aggregates import HOLDS_VALUES
from stream_magic.planner.arrival_nodes import Clocked, Fill, Number
from stream_magic.planner.nodes import (
    WINDOW_END,
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
    Side,
    Union,
    Waiting,
)

_AS_INPUT = "state as large as the result that it reads"


@dataclass(frozen=True)
class StateBound:
    """What bounds a node's state.

    Attributes:
        text: for EXPLAIN.
        what, add: of state that grows for ever: whose rows are kept, and what to write against it.
    """

    text: str
    what: str = ""
    add: str = ""

    @property
    def warning(self) -> str:
        return f"{self.what} for ever: {self.add}" if self.add else ""


def state_bound(node: Node) -> StateBound:
    match node:
        case Union(is_table=True):
            return StateBound("state as large as the table")
        case Read() | Clocked() | Constant() | Compute() | Apply() | Union():
            return StateBound("no state")
        case Remember():
            return StateBound(_AS_INPUT)
        case Join():
            return _of_join(node)
        case Partition(end=int()):
            return _until_closed(node.lateness_us)
        case Partition():
            return _of_rows(node, "aggregate them by window first, with EMIT ON WINDOW CLOSE")
        case Number():
            return StateBound(
                "state of a number" if not node.keys else "state grows with the number of keys"
            )
        case Fill():
            return StateBound("state of the rows of windows that are not full")
        case Aggregate(is_whole=True):
            return StateBound("no state")
        case Waiting():
            return _of_waiting(node)
        case Sessions():
            return StateBound("state forgotten the gap after the watermark has passed a session")
        case SessionGroup(group=group):
            return _of_aggregate(group)
        case Aggregate():
            return _of_aggregate(node)


def warnings(root: Node) -> list[str]:
    """A sentence for each node whose state grows for ever."""
    found = (state_bound(node).warning for node in _walk(root))
    return list(dict.fromkeys(w for w in found if w))


def _of_aggregate(node: Aggregate) -> StateBound:
    if node.is_windowed:
        return _until_closed(node.lateness_us)
    if not node.is_mergeable or any(c.function in HOLDS_VALUES for c in node.calls):
        return _of_rows(node, "add a window: TUMBLE(stream, ts, size) and GROUP BY window_end")
    if not [k for k in node.keys if k != WINDOW_END]:
        return StateBound("state of one row")
    return StateBound("state grows with the number of keys")


def _until_closed(lateness_us: int) -> StateBound:
    late = f" and {lateness_us / 1e6:g} s of allowed lateness" if lateness_us else ""
    return StateBound(f"state forgotten when the watermark passes the window's end{late}")


def _of_rows(node: Aggregate | Partition | Waiting, add: str) -> StateBound:
    """All rows are kept."""
    streams = [r for below in node.inputs for r in _endless(below)]
    if not streams:
        return StateBound(_AS_INPUT)
    return _for_ever(f"rows of {_listed(streams)} are kept", add)


def _of_waiting(node: Waiting) -> StateBound:
    if node.behind_us is None:
        return _of_rows(
            node,
            "give the frame a beginning: RANGE BETWEEN INTERVAL 1 HOUR PRECEDING AND CURRENT ROW",
        )
    reach = max(node.behind_us + node.ahead_us, 0) / 1e6
    last = (
        f", and the last {max(r.count for r in node.last_rows)} rows of each partition"
        if node.last_rows
        else ""
    )
    return StateBound(f"state forgotten {reach:g} s behind the watermark{last}")


def _of_join(node: Join) -> StateBound:
    kept = [s for s in node.sides if not s.forget_us]
    if not kept:
        return StateBound(node.bound or "state forgotten behind the watermark")
    streams = [r for side in kept for r in _endless(side.input)]
    if not streams:
        return StateBound(_AS_INPUT)
    return _for_ever(f"rows of {_listed(streams)} are kept", _join_bound(node, streams))


def _join_bound(node: Join, streams: list[Relation]) -> str:
    others = [s for s in node.sides if WEIGHT in s.input.schema.names]
    if others:
        names = _listed([r for s in others for r in _reads(s.input)])
        return f"look up a cache in place of {names}, or read latest({streams[0].name}, key)"
    if not all(_reads(s.input) for s in node.sides):
        return "put the VALUES into a cache, or write them as CASE"
    if len(node.sides) > 2:
        return "join two streams at a time, with a time bound between them"
    if not all(_reads(side.input) for side in node.sides):
        return (
            f"write what is constant into the SELECT list, or read latest({streams[0].name}, key)"
        )
    a, b = (_first(side) for side in node.sides)
    if a.time_column is None or b.time_column is None:
        without = _listed([r for r in (a, b) if r.time_column is None])
        return f"declare WATERMARK FOR the time of {without}, and add a time bound between {a.name} and {b.name}"
    time = f"{b.name}.{b.time_column}"
    return (
        f"add a time bound between {a.name} and {b.name}: {a.name}.{a.time_column} "
        f"BETWEEN {time} - INTERVAL 10 SECONDS AND {time} + INTERVAL 10 SECONDS"
    )


def _for_ever(what: str, add: str) -> StateBound:
    return StateBound(f"state grows for ever: {add}", what, add)


def _endless(node: Node) -> list[Relation]:
    """The streams behind rows that are only added, and come without an end."""
    if WEIGHT in node.schema.names:
        return []
    return [r for r in _reads(node) if not r.is_bounded]


def _first(side: Side) -> Relation:
    return _reads(side.input)[0]


def _reads(node: Node) -> list[Relation]:
    found = {n.relation.id: n.relation for n in _walk(node) if isinstance(n, Read)}
    return list(found.values())


def _listed(relations: list[Relation]) -> str:
    return " and ".join(dict.fromkeys(r.name for r in relations))


def _walk(root: Node) -> Iterator[Node]:
    """The node and all below it, each once, inputs in their order."""
    seen: set[int] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if id(node) not in seen:
            seen.add(id(node))
            yield node
            todo += reversed(node.inputs)
