"""What has no incremental rule yet, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from stream_magic.errors import PlanError
from stream_magic.language.spans import span_of

# clause of a SELECT -> (code, what, what to write)
_CLAUSES = {
    "distinct": ("SM3001", "SELECT DISTINCT", "GROUP BY the same columns gives the same rows"),
    "qualify": (
        "SM3002",
        "QUALIFY",
        "keep all rows here, and filter in app.sql(...) or `%%cq --once`",
    ),
    "order": (
        "SM3003",
        "ORDER BY",
        "leave it out: a view sorts its rows, app.sql(...) takes ORDER BY",
    ),
    "limit": (
        "SM3004",
        "LIMIT",
        "leave it out: a view shows the newest rows, app.sql(...) takes LIMIT",
    ),
    "offset": ("SM3004", "OFFSET", "leave it out: app.sql(...) takes OFFSET"),
    "windows": ("SM3005", "WINDOW", "aggregate over TUMBLE(s, ts, INTERVAL 10 SECONDS)"),
    "sample": ("SM3006", "SAMPLE", "filter by a hash: WHERE hash(id) % 100 < 10"),
    "pivots": ("SM3007", "PIVOT", "aggregate with FILTER: sum(x) FILTER (WHERE category = 'Toys')"),
    "connect": ("SM3008", "CONNECT BY", "there is no streaming form"),
    "match": ("SM3009", "MATCH_RECOGNIZE", "it comes with a later version"),
}
_GROUPINGS = ("grouping_sets", "rollup", "cube")


def refuse_clauses(select: exp.Select, text: str) -> Iterator[PlanError]:
    """Every clause of this SELECT that cannot be kept up to date yet."""
    for clause, (code, what, hint) in _CLAUSES.items():
        node = select.args.get(clause)
        if node:
            place = node[0] if isinstance(node, list) else node
            yield PlanError(
                code,
                f"{what} is not supported in a continuous query yet",
                hint=hint,
                span=span_of(place, text),
            )
    group = select.args.get("group")
    for kind in _GROUPINGS:
        if group is not None and group.args.get(kind):
            hint = "write one query for each grouping"
            yield PlanError(
                "SM3010",
                "GROUPING SETS, ROLLUP and CUBE are not supported yet",
                hint=hint,
                span=span_of(group, text),
            )
    for window in select.find_all(exp.Window):
        hint = (
            "aggregate over TUMBLE(s, ts, INTERVAL 10 SECONDS), or use app.sql(...) for a snapshot"
        )
        yield PlanError(
            "SM3005",
            "OVER is not supported in a continuous query yet",
            hint=hint,
            span=span_of(window, text),
        )
        break
    for columns in select.find_all(exp.Columns):
        hint = "name the columns, or write * EXCLUDE (...)"
        yield PlanError(
            "SM3011",
            "COLUMNS(...) is not supported in a continuous query yet",
            hint=hint,
            span=span_of(columns, text),
        )
        break
