"""What a law run must have met: every function of the planner, every aggregate, form and kind of the grammar."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from sqlglot import parse_one

import stream_magic.planner
from support.grammar.aggregates import AGGREGATES, REFUSED
from support.grammar.joins import KINDS
from support.grammar.over import CALLS
from support.grammar.plans import call_name
from support.grammar.series import CALLS as SERIES
from support.grammar.shapes import SHAPES

# Entered only to say no or to tell (EXPLAIN, hints), by `app.sql`, or by the engine when it has a plan.
_NO_RULES = frozenset(
    {
        "explain", "refuse", "state_bounds", "as_of._refused", "build._second", "calls.Calls._refuse", "identity._is_settled", "nodes.SessionGroup.shown_keys",
        "nodes.SessionGroup.types", "over_close._Frame._refuse", "scope.Scoping.resolve", "window_sql._time",
        "window_sql.by_rows", "blocks.Blocks._unknown", "build._refuse_streamless", "context.Context.called",
        "context.Context.drawn_here", "context.Context.refuse", "context.Context.unsupported",
        "from_clause.FromClause._preserved", "grouping.Grouper._label", "lower.Lowering._called", "nodes.Apply.inputs",
        "nodes.Apply.is_over_rows", "logical.Calling.reads", "sessions._refuse_arrival", "sessions._refuse_drawn",
        "volatile.VolatileFinder.named", "window_sql._latest", "window_sql.as_sql", "windows._Reader._wrong",
    }
)  # fmt: skip


def needed() -> set[str]:
    """Names as `Figures.met` has them."""
    return {*_forms(), *_aggregates(), *_rules()}


def _forms() -> Iterator[str]:
    yield from (f"form:{shape.__name__}" for _, shape in SHAPES)
    yield from (f"join:{kind}" for kind in (*KINDS, "ASOF JOIN", "ASOF LEFT JOIN", "LATERAL"))
    yield from (f"plan over:{call_name(call)}" for call in CALLS)
    yield from (
        f"series:{call.partition('(')[0]}"
        for call in (*SERIES, "time_weighted_avg of groups", "GAP_FILL", "RESAMPLE")
    )
    yield from (
        f"window:{w}" for w in ("TUMBLE", "HOP", "CUMULATE", "SESSION", "TUMBLE_ROWS", "HOP_ROWS")
    )
    yield from (
        f"plan node:group in memory{how}"
        for how in (", emit changes", " of windows, emit changes", " of windows, emit close")
    )
    yield from ("emit:close", "emit:changes", "python:scalar", "python:aggregate")
    for word in ("UNION ALL", "UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL"):
        yield f"set:{word}"


def _aggregates() -> Iterator[str]:
    """As the planner writes them: `mean` is `avg` there."""
    for each in (a for a in AGGREGATES if a.name not in REFUSED):
        text = "SELECT " + re.sub(r"\{\w+\}", "x", re.sub(r"\{(by|ties)\}", "", each.call))
        yield f"plan aggregate:{call_name(parse_one(text, read='duckdb').selects[0].sql('duckdb'))}"


def _rules() -> Iterator[str]:
    for path in sorted(Path(stream_magic.planner.__file__).parent.glob("*.py")):
        for name in _functions(ast.parse(path.read_text(encoding="utf-8"))):
            if not {path.stem, f"{path.stem}.{name}"} & _NO_RULES:
                yield f"rule:{path.stem}.{name}"


def _functions(tree: ast.AST, prefix: str = "") -> Iterator[str]:
    """Qualified names, as code objects have them."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef):
            yield f"{prefix}{node.name}"
            yield from _functions(node, f"{prefix}{node.name}.<locals>.")
        elif isinstance(node, ast.ClassDef):
            yield from _functions(node, f"{prefix}{node.name}.")
        else:
            yield from _functions(node, prefix)
