"""`latest`: the table that a stream describes, with what SQL does to a table that changes."""

from __future__ import annotations

from dataclasses import replace

from support.grammar.clauses import distinct, grouped, items, maybe_where, qualify, top
from support.grammar.draw import Column, Draw, Relation, Text
from support.grammar.joins import pair
from support.grammar.relations import base, named
from support.grammar.select import Query, Select


def latest(draw: Draw) -> Query:
    """The newest row of each key."""
    table = draw.one([t for t in draw.world.tables if not t.is_changelog])
    keys = draw.some(("k", "g"), 1, 2)
    draw.meet("latest by key")
    call = f"latest({table.name}, {', '.join(keys)})"
    made = named(draw, table, call, f"newest('{table.name}_n', ({', '.join(keys)}))")
    return over_table(draw, replace(made, arrival="", hidden="", is_changelog=True))


def latest_cdc(draw: Draw) -> Query:
    """The rows that a change stream tells of."""
    table = draw.world.changes
    alias = draw.name("a")
    draw.meet("latest of changes")
    columns = tuple(Column(f"{alias}.{n}", n, k.family) for n, k in table.image.items())
    text = Text(f"latest({table.name}) AS {alias}", f"described('{table.name}') AS {alias}")
    return over_table(draw, Relation(text, columns, is_changelog=True))


def over_table(draw: Draw, relation: Relation) -> Query:
    """Rows, groups, the first of an order, or a join."""
    form = draw.one(("rows", "rows", "grouped", "grouped", "distinct", "top", "qualify", "joined"))
    draw.meet(f"latest and {form}")
    match form:
        case "grouped":
            return grouped(draw, relation)
        case "distinct":
            return distinct(draw, relation)
        case "top":
            return top(draw, relation)
        case "qualify":
            return qualify(draw, relation)
        case "joined":
            sides = (relation, base(draw)) if draw.chance(0.5) else (base(draw), relation)
            kind = draw.one(("JOIN", "LEFT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN"))
            relation = replace(pair(draw, *sides, kind), arrival="", hidden="")
    return Select(items(draw, relation, 2, 4), relation.text, maybe_where(draw, relation))
