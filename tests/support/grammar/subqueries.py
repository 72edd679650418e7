"""Queries inside queries: scalar, IN, EXISTS, correlated, in FROM, LATERAL, CTEs; and set operations."""

from __future__ import annotations

from dataclasses import replace

from support.grammar.clauses import (
    all_columns,
    distinct,
    grouped,
    items,
    maybe_where,
    projection,
    top,
)
from support.grammar.draw import Column, Draw, Relation, Text, both, plain
from support.grammar.expressions import condition, expression
from support.grammar.joins import join, pair, side
from support.grammar.kinds import EXACT
from support.grammar.relations import base, derived
from support.grammar.select import Compound, Item, Query, Select

_INNER = (projection, grouped, distinct, top, join)


def nested(draw: Draw) -> Query:
    """A query over a query."""
    inner = draw.one(_INNER)(draw)
    relation = derived(draw, inner, is_changelog=True)
    if not _can_go_on(relation):
        return Select(all_columns(relation), relation.text)
    return draw.one((projection, grouped, distinct, top))(draw, relation)


def _can_go_on(relation: Relation) -> bool:
    return any(c.family in EXACT for c in relation.columns)


def cte(draw: Draw) -> Query:
    """WITH, read once or twice."""
    inner = draw.one((projection, grouped, distinct))(draw)
    columns = tuple(Column(f"w.{c.name}", c.name, c.family) for c in inner.columns)
    known = {c.name for c in columns if c.family in EXACT}
    ctes = both("WITH w AS ({t})", t=inner.text)
    one = Relation(plain("w"), columns)
    if not known or draw.chance(0.4):
        draw.meet("cte read once")
        made = projection(draw, one) if known else Select(all_columns(one), one.text)
        return replace(made, ctes=ctes)
    draw.meet("cte read twice")
    key = draw.one(sorted(known))
    if draw.chance(0.4):
        again = Select((Item(plain(key), Column(key, key, "text")),), plain("w"))
        return replace(Compound(again, "UNION ALL", again), ctes=ctes)
    text = plain(f"w AS w1 JOIN w AS w2 ON w1.{key} = w2.{key}")
    both_sides = tuple(
        Column(f"{w}.{c.name}", c.name, c.family) for w in ("w1", "w2") for c in columns
    )
    return replace(Select(items(draw, Relation(text, both_sides), 1, 4), text), ctes=ctes)


def subquery(draw: Draw) -> Query:
    """Conditions and values that ask other tables; also what is grouped by."""
    outer = base(draw)
    where, shown = maybe_where(draw, outer, 0.2), []
    for form in draw.some(_FORMS, 2, 4):
        test, value = form(draw, outer, side(draw))
        if value is None and not shown and not where:
            where = test
        else:
            name = f"sub{len(shown)}"
            shown.append(Item(value or both("({t})", t=test), Column(name, name, "opaque")))
    if shown and draw.chance(0.45):
        draw.meet("subquery:a key")
        count = Item(plain("count(*)"), Column("n", "n", "integer"))
        return Select((shown[0], count), outer.text, where, shown[0].text)
    return Select((*shown, *items(draw, outer, 1, 2)), outer.text, where)


def _keys(draw: Draw, outer: Relation, inner: Relation) -> tuple[str, str]:
    """A column of each, comparable."""
    pairs = [
        (a.text, b.text) for a in outer.columns for b in inner.columns
        if a.family == b.family and a.family in ("integer", "text", "natural") and a.name != "id"
    ]  # fmt: skip
    return draw.one(pairs) if pairs else ("1", "1")


def _in(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, None]:
    a, b = _keys(draw, outer, inner)
    word = draw.one(("IN", "NOT IN"))
    draw.meet(f"subquery:{word}")
    where = f" WHERE {condition(draw, inner.columns)}" if draw.chance(0.4) else ""
    if word == "NOT IN" and draw.chance(0.6):
        where = f" WHERE {b} IS NOT NULL"
    return both("{a} {w} (SELECT {b} FROM {t}{x})", a=a, w=word, b=b, t=inner.text, x=where), None


def _exists(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, None]:
    a, b = _keys(draw, outer, inner)
    word = draw.one(("EXISTS", "NOT EXISTS"))
    draw.meet(f"subquery:{word}")
    more = f" AND {condition(draw, inner.columns)}" if draw.chance(0.4) else ""
    return both(
        "{w} (SELECT 1 FROM {t} WHERE {b} = {a}{x})", w=word, t=inner.text, a=a, b=b, x=more
    ), None


def _compared(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, None]:
    a, b = _keys(draw, outer, inner)
    word = draw.one(("> ALL", "= ANY", "<= ANY", "<> ALL"))
    draw.meet(f"subquery:{word}")
    return both("{a} {w} (SELECT {b} FROM {t})", a=a, w=word, b=b, t=inner.text), None


def _scalar(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, Text | None]:
    a, b = _keys(draw, outer, inner)
    call = draw.one((f"max({b})", f"min({b})", "count(*)", f"count(DISTINCT {b})"))
    draw.meet("subquery:scalar")
    value = both("(SELECT {c} FROM {t})", c=call, t=inner.text)
    if call.startswith("m") and draw.chance(0.5):
        return both("{a} {w} {v}", a=a, w=draw.one(("=", "<", ">=")), v=value), None
    return Text(), value


def _correlated(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, Text | None]:
    a, b = _keys(draw, outer, inner)
    call = draw.one(
        (f"max({b})", "count(*)", f"min({expression(draw, inner.columns, 'integer', 1)})")
    )
    compare = draw.one(("=", "=", "=", "<"))
    draw.meet("subquery:correlated")
    value = both(
        "(SELECT {c} FROM {t} WHERE {b} {w} {a})", c=call, t=inner.text, a=a, b=b, w=compare
    )
    if call == "count(*)" and draw.chance(0.4):
        return both("{v} > 1", v=value), None
    return Text(), value


def _marked(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, Text | None]:
    """IN or EXISTS where it is no condition of its own."""
    test, _ = draw.one((_in, _exists))(draw, outer, inner)
    if draw.chance(0.5):
        draw.meet("subquery:a test in the list")
        return Text(), both("({t})", t=test)
    draw.meet("subquery:a test within OR")
    other = condition(draw, outer.columns)
    return both("({t}) OR ({o})", t=test, o=other), None


def _first(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, Text | None]:
    """The value of one row, by ORDER BY and LIMIT."""
    a, b = _keys(draw, outer, inner)
    draw.meet("subquery:first row")
    where = f" WHERE {b} = {a}" if draw.chance(0.5) else ""
    order = draw.one(("", " DESC NULLS LAST"))
    value = both("(SELECT {b} FROM {t}{w} ORDER BY {b}{o} LIMIT 1)", b=b, t=inner.text, w=where, o=order)  # fmt: skip
    return Text(), value


def _framed(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, Text | None]:
    """The row around anywhere but in an equality: in the list, an aggregate, HAVING, an ORDER BY with LIMIT, a query below."""
    a, b = _keys(draw, outer, inner)
    number = draw.one([c.text for c in outer.of("integer")] or ["1"])
    test = f"{b} {draw.one(('=', '<', '>=', '<>'))} {a}"
    form = draw.one(sorted(_FRAMED))
    draw.meet(f"subquery:{form}")
    value = both(_FRAMED[form], t=inner.text, c=test, n=number, b=b, o=_ties(inner))
    if form in ("EXISTS", "deep"):
        return both("{w} {v}", w=draw.one(("", "NOT")), v=value), None
    return Text(), value


_FRAMED = {
    "list": "(SELECT count(*) + coalesce({n}, 0) FROM {t} WHERE {c})",
    "argument": "(SELECT count({b}) FILTER (WHERE {n} > 0) FROM {t} WHERE {c})",
    "HAVING": "(SELECT count(*) FROM {t} WHERE {c} HAVING count(*) < 2)",
    "LIMIT": "(SELECT {b} FROM {t} WHERE {c} ORDER BY {b} DESC{o} LIMIT 1)",
    "union": "(SELECT count(*) FROM (SELECT {b} AS x FROM {t} WHERE {c} UNION SELECT {b} FROM {t}) AS u WHERE u.x IS NOT NULL OR {n} > 0)",
    "EXISTS": "EXISTS (SELECT count(*) FROM {t} WHERE {c} GROUP BY {b} HAVING count(*) > 1)",
    "deep": "EXISTS (SELECT 1 FROM {t} WHERE {c} AND {b} IN (SELECT {b} FROM {t} WHERE {c}))",
}  # fmt: skip


def _listed(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, Text | None]:
    a, b = _keys(draw, outer, inner)
    draw.meet("subquery:ARRAY")
    sql = "ARRAY(SELECT {b} FROM {t} WHERE {b} {w} {a} ORDER BY {b}{o})"
    return Text(), both(sql, b=b, t=inner.text, w=draw.one(("=", "<")), a=a, o=_ties(inner))


def _of_nothing(draw: Draw, outer: Relation, inner: Relation) -> tuple[Text, Text | None]:
    """A SELECT without FROM."""
    a, _ = _keys(draw, outer, inner)
    draw.meet("subquery:no FROM")
    return plain(
        draw.one((f"{a} IN (SELECT {a})", f"EXISTS (SELECT 1 WHERE {a} IS NOT NULL)"))
    ), None


_FORMS = (
    _in,
    _exists,
    _compared,
    _scalar,
    _correlated,
    _marked,
    _first,
    _framed,
    _listed,
    _of_nothing,
)


def lateral(draw: Draw) -> Query:
    """A subquery in FROM that sees the row before it."""
    outer, inner = base(draw), side(draw)
    a, b = _keys(draw, outer, inner)
    draw.meet("join:LATERAL")
    call = draw.one(("count(*)", f"max({b})"))
    test = f"{b} {draw.one(('=', '=', '<'))} {a}"
    word = draw.one((",", " LEFT JOIN", " CROSS JOIN"))
    on = " ON true" if word == " LEFT JOIN" else ""
    end = plain(f") AS l{on}")
    if draw.chance(0.3):
        draw.meet("join:LATERAL of several rows")
        call, end = b, both(" ORDER BY {b}{o} LIMIT 2{x}", b=b, o=_ties(inner), x=end)
    text = both(
        "{s}{w} LATERAL (SELECT {c} AS z FROM {t} WHERE {b}{x}",
        s=outer.text, w=word, c=call, t=inner.text, b=test, x=end,
    )  # fmt: skip
    return Select((Item(plain("l.z"), Column("z", "z", "opaque")), *items(draw, outer, 1, 3)), text)


def _ties(inner: Relation) -> Text:
    """What goes on behind an ORDER BY in the twin."""
    return Text("", f", {inner.order}")


_SETS = ("UNION ALL", "UNION", "INTERSECT", "INTERSECT ALL", "EXCEPT", "EXCEPT ALL")


def set_operation(draw: Draw) -> Query:
    """UNION, INTERSECT, EXCEPT of two or three queries with columns of the same families."""
    families = [
        draw.one(("integer", "text", "integer", "boolean", "date"))
        for _ in range(draw.rng.randint(1, 2))
    ]
    word = draw.one(_SETS)
    draw.meet(f"set:{word}")
    query: Query = Compound(_branch(draw, families), word, _branch(draw, families))
    if draw.chance(0.75):
        more = draw.one(_SETS)
        draw.meet("set of three", f"set:{more}")
        query = Compound(query, more, _branch(draw, families))
    elif word in ("UNION", "UNION ALL") and draw.chance(0.2):
        draw.meet("set:BY NAME")
        right = _branch(draw, families)
        right = replace(right, items=right.items[::-1])
        query = Compound(query.left, f"{word} BY NAME", right)
    if draw.chance(0.25):
        relation = derived(draw, query, is_changelog=True)
        return grouped(draw, relation)
    return query


def _branch(draw: Draw, families: list[str]) -> Select:
    relation = base(draw)
    shown = []
    for i, family in enumerate(families):
        known = [c.text for c in relation.columns if c.family == family and c.name != "id"]
        text = (
            draw.one(known)
            if known and draw.chance(0.8)
            else expression(draw, relation.columns, family, 1)
        )
        shown.append(Item(plain(text), Column(f"u{i}", f"u{i}", family)))
    return Select(tuple(shown), relation.text, maybe_where(draw, relation))


def values(draw: Draw) -> Query:
    """Rows of the query's own, joined or added: VALUES, a list, a SELECT without FROM."""
    if draw.chance(0.4):
        return _own_rows(draw)
    rows = "(VALUES (1, 'a', 10), (2, 'b', 20), (NULL, 'c', 30), (2, 'd', 40)) AS v(k, g, w)"
    columns = tuple(
        Column(f"v.{n}", n, f) for n, f in (("k", "integer"), ("g", "text"), ("w", "integer"))
    )
    draw.meet("from:VALUES")
    if draw.chance(0.3):
        one = Select((Item(plain("v.k::INTEGER"), Column("u0", "u0", "integer")),), plain(rows))
        return Compound(one, draw.one(("UNION ALL", "EXCEPT", "UNION")), _branch(draw, ["integer"]))
    relation = pair(
        draw,
        base(draw),
        Relation(plain(rows), columns),
        draw.one(("JOIN", "LEFT JOIN", "SEMI JOIN", "ANTI JOIN", "RIGHT JOIN")),
    )
    return Select(items(draw, relation, 1, 4), relation.text, maybe_where(draw, relation, 0.2))


def _own_rows(draw: Draw) -> Query:
    """The query's own rows before a source."""
    draw.meet("from:own rows")
    rows = draw.one(("(SELECT 1 AS k)", "unnest([0, 1, 2, NULL])"))
    own = Relation(plain(f"{rows} AS u(k)"), (Column("u.k", "k", "integer"),))
    relation = pair(draw, own, base(draw), draw.one(("JOIN", "LEFT JOIN", "RIGHT JOIN")))
    return Select(items(draw, relation, 1, 4), relation.text, maybe_where(draw, relation, 0.2))
