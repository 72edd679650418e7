"""The golden text: for each node of a plan its rule, what it emits, and what its state costs."""

from __future__ import annotations

from stream_magic.planner.nodes import WINDOW_END, Aggregate, Compute, Node, Plan, Read


def explain(plan: Plan) -> str:
    """One line for each node, the result first, indented by depth."""
    kind = "changelog" if plan.is_changelog else "append-only"
    key = f", key {', '.join(plan.key)}" if plan.key else ""
    watermark = f", watermark on {plan.time_column}" if plan.time_column else ""
    lines = [f"result: {kind}{key}{watermark}"]
    node: Node | None = plan.root
    depth = 1
    while node is not None:
        lines.append("  " * depth + _line(node))
        node = None if isinstance(node, Read) else node.input
        depth += 1
    lines += [f"warning: {w}" for w in plan.warnings]
    return "\n".join(lines)


def _line(node: Node) -> str:
    if isinstance(node, Read):
        r = node.relation
        kind = "changelog" if r.is_changelog else "append-only"
        mark = f", watermark on {r.time_column}" if r.time_column else ""
        return f"read {r.name} ({kind}{mark})"
    if isinstance(node, Compute):
        by_key = {lookup.cache for lookup in node.lookups}
        names = [f"{c} by key" if c in by_key else c for c in node.caches]
        looked = f", looks up {', '.join(names)}" if names else ""
        return f"compute {node.rule}{looked} (linear, no state)"
    calls = ", ".join(c.shown for c in node.calls) or "distinct groups"
    return f"group {calls} ({_rule(node)}; {_bound(node)})"


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
