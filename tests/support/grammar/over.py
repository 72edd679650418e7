"""OVER: functions, frames and orders, with ties written out in the twin where they are open.

Where the order of equal rows counts (row_number, lag, ROWS frames) the twin goes on ordering by
the row's columns. RANGE and GROUPS frames, rank and the like see equal rows together: there the
order stays as it is, and functions that go by the order within a frame say it inside (`{by}`).
"""

from __future__ import annotations

from support.grammar.clauses import item, maybe_where
from support.grammar.draw import Column, Draw, Relation, Text, plain
from support.grammar.expressions import expression
from support.grammar.kinds import EXACT
from support.grammar.relations import base, derived
from support.grammar.select import NOTHING, Item, Query, Select

# call -> family of the result; the order of equal rows counts
_BY_ROW = {
    "row_number()": "integer", "ntile(3)": "integer", "lag({any})": "opaque", "lead({any})": "opaque", "lag({integer}, 2)": "opaque",
    "lead({integer}, 1, 0)": "opaque", "lag({any} IGNORE NULLS)": "opaque",
}  # fmt: skip
_RANKS = ("rank()", "dense_rank()", "percent_rank()", "cume_dist()")
TOTALS = {
    "sum({integer})": "integer", "count(*)": "integer", "count({any})": "integer", "min({exact})": "opaque", "max({exact})": "opaque",
    "avg({integer})": "opaque", "bool_or({boolean})": "boolean", "count(DISTINCT {exact})": "integer", "median({integer})": "opaque",
    "sum({real})": "opaque", "stddev({integer})": "opaque", "sum({integer}) FILTER (WHERE {boolean})": "integer",
    "quantile_cont({integer}, 0.5)": "opaque",
}  # fmt: skip
# The twin says inside of the call in which order they take the rows of a frame: peers by the row's columns.
ORDERED = (
    "first_value({any}{by})", "last_value({any}{by})", "nth_value({any}, 2{by})", "first_value({any}{by} IGNORE NULLS)", "list({any}{by})",
    "last({any}{by})", "string_agg({text}, '-'{by})", "any_value({any}{by})",
)  # fmt: skip
_TIED = (
    "mode({exact}{by})",
    "arg_max({any}, {exact}{by})",
    "min_by({any}, {exact}{by})",
    "arg_max({any}, {integer}, 2{by})",
)
_KINDS = (
    *("row", "rank", "tied") * 3, *("ordered",) * 4, "unordered", "unordered",
    *("total", "rows") * 2, "groups", "range", "whole",
)  # fmt: skip
CALLS = (*_BY_ROW, *_RANKS, *TOTALS, *ORDERED, *_TIED)
_ROWS = (
    "ROWS BETWEEN 1 PRECEDING AND CURRENT ROW", "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "ROWS 2 PRECEDING",
    "ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING", "ROWS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE CURRENT ROW",
    "ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING", "ROWS BETWEEN 3 PRECEDING AND 2 PRECEDING",
)  # fmt: skip
_GROUPS = (
    "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW", "GROUPS BETWEEN UNBOUNDED PRECEDING AND 1 FOLLOWING",
    "RANGE BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", "GROUPS BETWEEN CURRENT ROW AND CURRENT ROW EXCLUDE GROUP",
    "RANGE BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING", "GROUPS BETWEEN 1 PRECEDING AND 1 FOLLOWING EXCLUDE TIES",
)  # fmt: skip


def over(draw: Draw) -> Query:
    """Window functions over a source or a query."""
    relation = base(draw)
    if draw.chance(0.2):
        relation = derived(
            draw, Select(_plain_items(draw, relation), relation.text), is_changelog=True
        )
    calls = [_call(draw, relation, i) for i in range(draw.rng.randint(4, 7))]
    window = NOTHING
    if draw.chance(0.15):
        calls[0], window = _named(draw, calls[0])
    return Select(
        (*calls, *(item(draw, relation) for _ in range(2))), relation.text, maybe_where(draw, relation, 0.3), window=window
    )  # fmt: skip


def _named(draw: Draw, call: Item) -> tuple[Item, Text]:
    """The call with its window said in the WINDOW clause."""
    draw.meet("clause:WINDOW")
    function, _, window = call.text.sql.partition(" OVER ")
    return Item(Text(f"{function} OVER w", call.text.twin), call.column), Text(f"w AS {window}")


def _plain_items(draw: Draw, relation: Relation) -> tuple[Item, ...]:
    exact = [c for c in relation.columns if c.family in EXACT]
    return tuple(
        Item(plain(c.text), Column(c.name, c.name, c.family)) for c in draw.some(exact, 3, 5)
    )


def _call(draw: Draw, relation: Relation, i: int) -> Item:
    kind = draw.one(_KINDS)
    if kind == "unordered" and not relation.arrival:
        kind = "whole"  # the rows of a query come in order, too, but its twin cannot say so
    exact = [c.text for c in relation.columns if c.family in EXACT]
    part = f"PARTITION BY {', '.join(draw.some(exact, 1, 2))}" if draw.chance(0.7) else ""
    order = [f"{c}{draw.one(('', ' DESC', ' NULLS FIRST'))}" for c in draw.some(exact, 1, 2)]
    call, family, frame = _function(draw, kind)
    if kind == "range":
        numbers = [c.text for c in relation.of("integer", "timestamp")]
        if not numbers:
            call, family, frame = "count(*)", "integer", _GROUPS[2]
        else:
            order = [f"{draw.one(numbers)}{draw.one(('', ' DESC'))}"]
            number = next(c for c in relation.columns if order[0].startswith(c.text))
            step = "INTERVAL 10 SECONDS" if number.family == "timestamp" else "2"
            frame = f"RANGE BETWEEN {step} PRECEDING AND {draw.one(('CURRENT ROW', f'{step} FOLLOWING'))}"
    filled = fill(draw, relation, call)
    draw.meet(f"over:{call.partition('(')[0]}", f"frame:{frame.partition(' ')[0] or 'none'}")
    is_open = kind in ("row", "rows") or frame.startswith("ROWS")
    by = "" if kind in ("whole", "unordered") else f"ORDER BY {', '.join(order)}"
    ties = f", {relation.order}" if is_open and by else ""
    sql = " ".join(p for p in (part, by, frame) if p)
    twin = " ".join(p for p in (part, by + ties, frame) if p)
    name, first = f"o{i}", [] if kind in ("tied", "unordered") else order
    goes_by_arrival = kind == "unordered" and not relation.is_changelog
    ties_within = relation.arrival if goes_by_arrival else relation.order
    inner = f" ORDER BY {', '.join([*first, ties_within])}"
    return Item(
        Text(f"{filled.replace('{by}', '')} OVER ({sql})", f"{filled.replace('{by}', inner)} OVER ({twin})"),
        Column(name, name, family),
    )  # fmt: skip


def _function(draw: Draw, kind: str) -> tuple[str, str, str]:
    if kind == "row":
        call = draw.one(sorted(_BY_ROW))
        return call, _BY_ROW[call], ""
    if kind == "rank":
        return draw.one(_RANKS), "opaque", ""
    if kind in ("ordered", "tied"):
        call = draw.one(ORDERED if kind == "ordered" else _TIED)
        frame = draw.one(("", *_GROUPS, *_ROWS))
        return call, "opaque", "" if "EXCLUDE" in frame else frame
    if kind == "unordered":
        return draw.one(ORDERED), "opaque", ""
    call = draw.one(sorted(TOTALS))
    frame = {"rows": draw.one(_ROWS), "groups": draw.one(_GROUPS)}.get(kind, "")
    if "EXCLUDE" in frame and "DISTINCT" in call:
        call = "count(*)"
    return call, TOTALS[call], frame


def fill(draw: Draw, relation: Relation, call: str) -> str:
    """The call with expressions in its places."""
    for family in ("any", "integer", "real", "exact", "boolean", "text"):
        while f"{{{family}}}" in call:
            call = call.replace(f"{{{family}}}", expression(draw, relation.columns, family, 0), 1)
    return call
