"""The golden text: for each node of a plan its rule, what it emits, and what bounds its state."""

from __future__ import annotations

from collections.abc import Callable

from stream_magic.core.change import LATE_BY, WEIGHT
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
from stream_magic.planner.plan import Plan
from stream_magic.planner.state_bounds import state_bound

_KEYED = Aggregate | Fill | Number | Partition | Sessions | SessionGroup
_SESSIONS = {
    "numbers": "each row put into its session",
    "rows": "rows kept, taken back when their session grows",
    "closed": "rows kept until their session closes",
}


def explain(plan: Plan, measured: Callable[[Node], str] = lambda _: "") -> str:
    """One line for each node, the result first, indented by depth. A node that is read twice is told once.

    Args:
        plan: of the query.
        measured: what is said of a node behind its line.
    """
    key = f", key {', '.join(plan.key)}" if plan.key else ""
    watermark = f", watermark on {plan.time_column}" if plan.time_column else ""
    kind = "changelog" if plan.is_changelog else "append-only"
    lines = [f"result: {kind}{key}{watermark}", *_lines(plan.root, 1, {}, measured)]
    lines += [f"warning: {w}" for w in plan.warnings]
    return "\n".join(lines)


def _lines(
    node: Node, depth: int, told: dict[int, str], measured: Callable[[Node], str]
) -> list[str]:
    indent = "  " * depth
    if id(node) in told and not isinstance(node, Read):
        return [f"{indent}the same as: {told[id(node)]}"]
    told[id(node)] = _title(node)
    lines = [f"{indent}{_title(node)} ({_facts(node)}){measured(node)}"]
    for below in node.inputs[:1] if isinstance(node, SessionGroup | Clocked) else node.inputs:
        lines += _lines(below, depth + 1, told, measured)
    return lines


def _title(node: Node) -> str:
    match node:
        case Read(relation=r):
            return f"read {r.name}"
        case Constant():
            return "rows of the query itself"
        case Compute():
            return f"compute {_compute(node)}"
        case Apply():
            return f"call {', '.join(dict.fromkeys(c.function.name for c in node.calls))}"
        case Remember():
            return f"remember what each row found: {_inner(node.inner)}"
        case Union(is_table=True):
            return "table of the changes"
        case Union():
            return f"union of {len(node.parts)}"
        case Join():
            return f"join of {len(node.sides)}"
        case Clocked():
            return "by the clock"
        case Number():
            return "rows counted by arrival"
        case Fill():
            return "full windows of rows"
        case Partition() | Waiting():
            return node.rule
        case Sessions():
            return "sessions"
        case SessionGroup(group=group):
            return f"{_title(group)} by session"
        case Aggregate():
            return f"group {', '.join(c.shown for c in node.calls) or 'distinct groups'}"


def _inner(node: Node) -> str:
    """What is done inside a `Remember`, the last step first."""
    titles = [_title(node).removeprefix("compute ")]
    while not isinstance(node, Read):
        node = node.inputs[0]
        titles += [_title(node)] if isinstance(node, Apply) else []
    return ", ".join(titles)


def _compute(node: Compute) -> str:
    by_key = {lookup.cache for lookup in node.lookups}
    names = [f"{c} by key" if c in by_key else c for c in node.caches]
    looked = f", looks up {', '.join(names)}" if names else ""
    return f"{node.rule or _items(node)}{looked}"


def _items(node: Compute) -> str:
    return "filter and columns" if " WHERE " in node.sql else "columns"


def _facts(node: Node) -> str:
    """What it emits; its rule; its state."""
    if isinstance(node, Read):
        return _kind(node)
    return "; ".join([_kind(node), *_rule(node), state_bound(node).text])


def _kind(node: Node) -> str:
    kind = "changelog" if WEIGHT in node.schema.names else "append-only"
    keys = node.shown_keys if isinstance(node, _KEYED) else ()
    key = (
        f", {'key' if isinstance(node, Aggregate | SessionGroup) else 'by'} {', '.join(keys)}"
        if keys
        else ""
    )
    time = f" on {node.relation.time_column}" if isinstance(node, Read) else ""
    return f"{kind}{key}{f', watermark{time}' if LATE_BY in node.schema.names else ''}"


def _rule(node: Node) -> list[str]:
    match node:
        case Union(is_table=True):
            return ["rows kept, so that only what is there is taken back"]
        case Compute() | Apply() | Union():
            return ["linear"]
        case Remember():
            return ["each row computed once, and taken back as it was"]
        case Join():
            return [_join_rule(node)]
        case Partition(emit="close"):
            return ["rows kept, each partition computed when its window closes"]
        case Partition():
            return ["rows kept, touched partitions computed again" if node.key_types else "rows kept, computed again"]  # fmt: skip
        case Waiting():
            return ["rows kept, each told once, when the watermark has passed it"]
        case Sessions(gives=gives):
            return [_SESSIONS[gives]]
        case SessionGroup(group=group):
            return _rule(group)
        case Fill():
            return ["rows kept until their window is full"]
        case Aggregate(is_whole=True):
            return ["groups come whole"]
        case Aggregate(is_mergeable=False):
            return ["rows kept, touched groups computed again"]
        case Aggregate(emit="close"):
            return ["partials merged at the close"]
        case Aggregate():
            return ["partials merged, changes emitted"]
    return []


def _join_rule(node: Join) -> str:
    others = [s for s in node.sides if not s.is_linear]
    if not others:
        return "each change joined with the other sides"
    if all(s.touched for s in others):
        return "touched rows before and after a change compared"
    return "the whole result before and after a change compared"
