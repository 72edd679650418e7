"""The golden text: for each node of a plan its rule, what it emits, and what its state costs."""

from __future__ import annotations

from stream_magic.core.change import WEIGHT
from stream_magic.planner.nodes import (
    WINDOW_END,
    Aggregate,
    Compute,
    Constant,
    Join,
    Node,
    Partition,
    Plan,
    Read,
    Union,
)


def explain(plan: Plan) -> str:
    """One line for each node, the result first, indented by depth. A node that is read twice is told once."""
    kind = "changelog" if plan.is_changelog else "append-only"
    key = f", key {', '.join(plan.key)}" if plan.key else ""
    watermark = f", watermark on {plan.time_column}" if plan.time_column else ""
    lines = [f"result: {kind}{key}{watermark}", *_lines(plan.root, 1, {})]
    lines += [f"warning: {w}" for w in plan.warnings]
    return "\n".join(lines)


def _lines(node: Node, depth: int, told: dict[int, int]) -> list[str]:
    indent = "  " * depth
    if id(node) in told and not isinstance(node, Read):
        return [f"{indent}the same as node {told[id(node)]}"]
    told[id(node)] = len(told) + 1
    lines = [indent + _line(node)]
    for below in node.inputs:
        lines += _lines(below, depth + 1, told)
    return lines


def _line(node: Node) -> str:
    match node:
        case Read(relation=r):
            kind = "changelog" if r.is_changelog else "append-only"
            mark = f", watermark on {r.time_column}" if r.time_column else ""
            return f"read {r.name} ({kind}{mark})"
        case Constant():
            return "rows of the query itself"
        case Compute():
            by_key = {lookup.cache for lookup in node.lookups}
            names = [f"{c} by key" if c in by_key else c for c in node.caches]
            looked = f", looks up {', '.join(names)}" if names else ""
            return f"compute {node.rule or _items(node)}{looked} (linear, no state)"
        case Union():
            return f"union of {len(node.parts)} ({_kind(node)}, linear, no state)"
        case Join():
            return f"join of {len(node.sides)} ({_kind(node)}; {_join_rule(node)}; {_join_bound(node)})"
        case Partition():
            part = f"by {len(node.key_types)} keys" if node.key_types else "as one partition"
            return f"{node.rule} ({_kind(node)}; rows kept {part}, touched ones computed again; state grows with the rows)"
        case Aggregate():
            calls = ", ".join(c.shown for c in node.calls) or "distinct groups"
            return f"group {calls} ({_rule(node)}; {_bound(node)})"


def _kind(node: Join | Union | Partition) -> str:
    return "changelog" if WEIGHT in node.schema.names else "append-only"


def _items(node: Compute) -> str:
    return "filter and columns" if " WHERE " in node.sql else "columns"


def _join_rule(node: Join) -> str:
    others = [s for s in node.sides if not s.is_linear]
    if not others:
        return "each change joined with the other sides"
    if all(s.touched for s in others):
        return "touched rows before and after a change compared"
    return "the whole result before and after a change compared"


def _join_bound(node: Join) -> str:
    if node.bound:
        return node.bound
    if all(s.forget_us for s in node.sides):
        return "state forgotten behind the watermark"
    return "state grows with the rows"


def _rule(node: Aggregate) -> str:
    if node.is_mergeable:
        return (
            "partials merged at the close"
            if node.emit == "close"
            else "partials merged, changes emitted"
        )
    return "rows kept, touched groups computed again"


def _bound(node: Aggregate) -> str:
    if node.is_windowed:
        late = f" and {node.lateness_us / 1e6:g} s of allowed lateness" if node.lateness_us else ""
        return f"state forgotten when the watermark passes the window's end{late}"
    if not [k for k in node.keys if k != WINDOW_END]:
        return "state of one row" if node.is_mergeable else "state grows with the rows"
    if node.is_mergeable:
        return "state grows with the number of groups"
    return "state grows with the rows"
