"""`FOR SYSTEM_TIME AS OF`, with the ASOF join of rows in time that it means."""

from __future__ import annotations

from dataclasses import replace

from support.grammar.clauses import grouped, items, maybe_where
from support.grammar.draw import Draw, Relation, Text
from support.grammar.joins import in_time
from support.grammar.relations import base
from support.grammar.select import Query, Select


def as_of(draw: Draw) -> Query:
    """Rows with the version of another stream at their time; sometimes with a second stream's too."""
    left = base(draw, timed=True)
    at = _column(left, "ts")
    relation = replace(left, text=in_time(left))
    for _ in range(draw.one((1, 1, 2))):
        relation = _joined(draw, relation, at)
    relation = replace(relation, arrival="", hidden="", is_changelog=True)
    if draw.chance(0.25):
        return grouped(draw, relation)
    return Select(items(draw, relation, 2, 5), relation.text, maybe_where(draw, relation, 0.25))


def _joined(draw: Draw, left: Relation, at: str) -> Relation:
    right = base(draw, timed=True)
    alias, time = right.columns[0].text.partition(".")[0], _column(right, "ts")
    keys = draw.one((("k",), ("g",), ("k", "g")))
    kind = draw.one(("JOIN", "LEFT JOIN"))
    draw.meet(f"as of {kind}", f"join:ASOF {kind}")
    on = " AND ".join(f"{_column(right, n)} = {_column(left, n)}" for n in keys)
    by = ", ".join([*(_column(right, n) for n in keys), time])
    first = (
        f"(SELECT DISTINCT ON ({by}) * FROM {in_time(right).twin} "
        f"ORDER BY {by}, {', '.join(f'{c.text} NULLS LAST' for c in right.columns)}) AS {alias}"
    )
    name = right.text.sql.partition(" AS ")[0]
    text = Text(
        f"{left.text.sql} {kind} {name} FOR SYSTEM_TIME AS OF {at} AS {alias} ON {on}",
        f"{left.text.twin} ASOF {kind} {first} ON {on} AND {at} >= {time}",
    )
    return Relation(text, (*left.columns, *right.columns))


def _column(relation: Relation, name: str) -> str:
    return next(c.text for c in relation.columns if c.name == name)
