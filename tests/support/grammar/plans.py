"""What a planned query is made of: nodes, rules, joins, aggregates, OVER; read off the plan, not off the text.

`Planned` also knows which functions of the planner were entered on the way: each of them is a rule,
so a rule that somebody adds is counted without being listed here.
"""

from __future__ import annotations

import cProfile
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlglot import exp, parse_one

import stream_magic.planner
from stream_magic.engine.network import is_pieced
from stream_magic.engine.operators.template import fill
from stream_magic.planner.arrival_nodes import Clocked
from stream_magic.planner.nodes import (
    WINDOW_END,
    Aggregate,
    Compute,
    Constant,
    Join,
    Node,
    Partition,
    Read,
    SessionGroup,
    Sessions,
    Union,
    Waiting,
)
from stream_magic.planner.plan import Plan

_PLANNER = Path(stream_magic.planner.__file__).parent
_JOIN = re.compile(r"(?:\b(?:ASOF|LEFT|RIGHT|FULL|SEMI|ANTI|CROSS|INNER|OUTER)\s+)*\bJOIN\b")
_CALL = re.compile(r"^\s*\"?(\w+)\"?\s*\(")


@dataclass
class Planned:
    """What was entered while a query was planned."""

    rules: set[str] = field(default_factory=set)


@contextmanager
def watched() -> Iterator[Planned]:
    """Notes the planner's functions that are entered: `rule:joins.join`."""
    found = Planned()
    profile = cProfile.Profile(builtins=False)
    profile.enable()
    try:
        yield found
    finally:
        profile.disable()
        for entry in profile.getstats():
            code = entry.code
            if isinstance(code, str) or code.co_name.startswith("<"):  # a comprehension
                continue
            if Path(code.co_filename).parent == _PLANNER:
                found.rules.add(f"rule:{Path(code.co_filename).stem}.{code.co_qualname}")


def met_in(plan: Plan) -> set[str]:
    """Names of all that a plan is made of: `plan node:...`, `plan aggregate:...`."""
    found = {"result:changelog" if plan.is_changelog else "result:append-only"}
    seen: set[int] = set()
    todo: list[Node] = [plan.root]
    while todo:
        node = todo.pop()
        if id(node) in seen:
            found.add("node:read twice")
            continue
        seen.add(id(node))
        found |= _of_node(node)
        todo += node.inputs
    return {f"plan {name}" for name in found}


def _of_node(node: Node) -> set[str]:
    match node:
        case Read(relation=r):
            kind = "changelog" if r.is_changelog else "append-only"
            return {f"node:read {kind}", *(["node:read with watermark"] if r.time_column else [])}
        case Constant():
            return {"node:constant"}
        case Compute():
            return _of_compute(node)
        case Union():
            return {f"node:union {_kind(node)}"}
        case Join():
            return _of_join(node)
        case Partition():
            return _of_partition(node)
        case Clocked():
            return {"node:by the clock"}
        case Waiting():
            return {"node:over on close"}
        case Sessions(gives=gives):
            return {f"node:sessions {gives}"}
        case SessionGroup(group=group):
            return {
                f"{name} by session" if name.startswith("node:") else name
                for name in _of_aggregate(group)
            }
        case Aggregate():
            memory = f"node:group in memory{' of windows' * node.is_windowed}, emit {node.emit}"
            return _of_aggregate(node) | ({memory} if is_pieced(node) else set())
    return {f"node:{type(node).__name__.lower()}"}


def _of_compute(node: Compute) -> set[str]:
    facts = {
        "compute": True,
        "compute with a filter": " WHERE " in node.sql,
        "compute with unnest": "UNNEST" in node.sql.upper(),
        "compute with windows": node.is_windowed,
        "compute with the clock": node.reads_clock,
        "lookup by key": bool(node.lookups),
        "lookup by statement": bool(node.caches) and len(node.lookups) < len(node.caches),
    }
    return {f"node:{name}" for name, holds in facts.items() if holds}


def _of_join(node: Join) -> set[str]:
    found = {f"node:join of {len(node.sides)} {_kind(node)}"}
    for kind in _JOIN.findall(node.from_sql):
        words = [w for w in kind.split() if w not in ("OUTER", "INNER")]
        found.add(f"join:{' '.join(words)}")
    for side in node.sides:
        how = "linear" if side.is_linear else "touched rows" if side.touched else "compared whole"
        found.add(f"side:{how}")
        if side.late_us:
            found.add("side:late rows")
        if side.forget_us:
            found.add("side:forgotten")
    return found


def _of_aggregate(node: Aggregate) -> set[str]:
    how = "merged" if node.is_mergeable else "computed again"
    keys = "keys" if [k for k in node.keys if k != WINDOW_END] else "no key"
    windows = " of windows" if node.is_windowed else ""
    found = {f"node:group {how} with {keys}{windows}, emit {node.emit}"}
    if not node.calls:
        found.add(f"node:distinct {how}")
    for call in node.calls:
        found |= _of_call(call.shown or call.sql, how)
    return found


def _of_call(sql: str, how: str) -> set[str]:
    found = {f"aggregate:{call_name(sql)}", f"aggregates {how}"}
    for word in ("DISTINCT", "FILTER", "ORDER BY", "WITHIN GROUP"):
        if word in sql:
            found.add(f"aggregates with {word}")
    return found


def _of_partition(node: Partition) -> set[str]:
    rule = "over partitions" if node.rule.endswith("over partitions") else node.rule
    keys = "by keys" if node.key_types else "as one partition"
    found = {f"node:{rule} {keys}"}
    for window in parse_one(fill(node.sql, "abcdefghij"), read="duckdb").find_all(exp.Window):
        found |= _of_window(window)
    return found


def _of_window(window: exp.Window) -> set[str]:
    core = window.this
    while isinstance(core, exp.IgnoreNulls | exp.RespectNulls | exp.Filter):
        core = core.this
    found = {f"over:{call_name(core.sql('duckdb'))}"}
    if window.args.get("order"):
        found.add("over with ORDER BY")
    frame = window.args.get("spec")
    if frame is not None:
        found.add(f"frame:{frame.args['kind']}")
        if frame.args.get("exclude"):
            found.add("frame with EXCLUDE")
    return found


def call_name(sql: str) -> str:
    """The function that a call begins with."""
    name = _CALL.match(sql)
    return name[1].lower() if name else sql


def _kind(node: Union | Join) -> str:
    return "changelog" if "_weight" in node.schema.names else "append-only"
