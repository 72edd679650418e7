"""Forms of one SELECT: projections, groups, DISTINCT, top-N, QUALIFY, UNNEST, PIVOT."""

from __future__ import annotations

from support.grammar.aggregates import aggregate
from support.grammar.draw import Column, Draw, Relation, Text, both, plain
from support.grammar.expressions import FAMILIES, condition, expression
from support.grammar.kinds import EXACT
from support.grammar.relations import base
from support.grammar.select import NOTHING, Item, Select

_COUNTED = ("integer", "decimal", "text", "date", "timestamp", "boolean")


def item(draw: Draw, relation: Relation, family: str = "", name: str = "") -> Item:
    """An expression or a column, under a name of its own."""
    known = [c for c in relation.columns if not family or c.family == family]
    name = name or draw.name("e")
    if known and draw.chance(0.4):
        column = draw.one(known)
        return Item(plain(column.text), Column(name, name, column.family))
    family = family or draw.one(FAMILIES)
    return Item(plain(expression(draw, relation.columns, family)), Column(name, name, family))


def items(draw: Draw, relation: Relation, low: int = 1, high: int = 4) -> tuple[Item, ...]:
    return tuple(item(draw, relation) for _ in range(draw.rng.randint(low, high)))


def all_columns(relation: Relation) -> tuple[Item, ...]:
    """Every column, each by its name, in their order."""
    found: dict[str, Item] = {}
    for c in relation.columns:
        name = c.name
        while name in found:
            name += "_"
        found[name] = Item(plain(c.text), Column(name, name, c.family))
    return tuple(found.values())


def maybe_where(draw: Draw, relation: Relation, p: float = 0.4) -> Text:
    if not draw.chance(p):
        return NOTHING
    draw.meet("clause:WHERE")
    return plain(condition(draw, relation.columns))


def projection(draw: Draw, relation: Relation | None = None) -> Select:
    """SELECT without groups; of a source also with stars."""
    relation = relation or base(draw)
    draw.meet("clause:projection")
    chosen = items(draw, relation)
    stars: tuple[Column, ...] = ()
    if relation.hidden and draw.chance(0.4):
        star, stars = _star(draw, relation)
        chosen = (star, *chosen)
    structs = relation.of("struct")
    if structs and draw.chance(0.15):
        draw.meet("star:struct")
        chosen = (*chosen, Item(plain(f"{draw.one(structs).text}.*")))
    if draw.chance(0.15) and chosen[-1].column is not None:
        draw.meet("lateral alias")
        name = draw.name("e")
        again = f"({chosen[-1].column.name}) IS NULL"
        chosen = (*chosen, Item(plain(again), Column(name, name, "boolean")))
    return Select(chosen, relation.text, maybe_where(draw, relation), stars=stars)


def _star(draw: Draw, relation: Relation) -> tuple[Item, tuple[Column, ...]]:
    """`*` in one of its forms; the twin leaves out what it has besides."""
    hidden = relation.hidden[len(" EXCLUDE (") : -1]
    columns = tuple(Column(c.name, c.name, c.family) for c in relation.columns)
    form = draw.one(("*", "alias", "EXCLUDE", "REPLACE", "RENAME", "COLUMNS"))
    draw.meet(f"star:{form}")
    alias = relation.columns[0].text.partition(".")[0]
    if form == "EXCLUDE":
        gone = draw.one(columns)
        text = Text(f"* EXCLUDE ({gone.name})", f"* EXCLUDE ({gone.name}, {hidden})")
        return Item(text), tuple(c for c in columns if c is not gone)
    if form == "REPLACE":
        text = "(coalesce(g, 'none') AS g)"
        return Item(Text(f"* REPLACE {text}", f"* EXCLUDE ({hidden}) REPLACE {text}")), columns
    if form == "RENAME":
        renamed = tuple(Column("gg", "gg", c.family) if c.name == "g" else c for c in columns)
        return Item(Text("* RENAME (g AS gg)", f"* EXCLUDE ({hidden}) RENAME (g AS gg)")), renamed
    if form == "COLUMNS":
        return Item(plain("COLUMNS('^[gk]$')")), tuple(c for c in columns if c.name in ("g", "k"))
    prefix = f"{alias}." if form == "alias" else ""
    return Item(Text(f"{prefix}*", f"{prefix}* EXCLUDE ({hidden})")), columns


def grouped(draw: Draw, relation: Relation | None = None, low: int = 0) -> Select:
    """GROUP BY in one of the ways to write it, or one group over everything."""
    is_plain = draw.is_plain or draw.chance(0.4)
    relation = relation or base(draw, changelog=False if is_plain else None)
    keys = [_key(draw, relation, i) for i in range(draw.rng.randint(low, 2))]
    if is_plain:
        draw.meet("group of plain aggregates")
        calls = tuple(
            _call(draw, relation, i, is_plain=True) for i in range(draw.rng.randint(1, 4))
        )
    else:
        calls = tuple(_call(draw, relation, i) for i in range(draw.rng.randint(3, 9)))
    text = NOTHING
    if keys:
        ways = {
            "expressions": ", ".join(k.text.sql for k in keys),
            "positions": ", ".join(str(i + 1) for i in range(len(keys))),
            "ALL": "ALL",
            "names": ", ".join(k.column.name for k in keys if k.column),
        }
        way = draw.one(sorted(ways))
        draw.meet(f"group by {way}")
        text = plain(ways[way])
    else:
        draw.meet("group over everything")
    draw.meet("clause:GROUP BY")
    select = Select((*keys, *calls), relation.text, maybe_where(draw, relation), text)
    if not draw.chance(0.25):
        return select
    draw.meet("clause:HAVING")
    key = draw.one([c.text for c in relation.columns if c.family in EXACT] or ["1"])
    tests = (
        "count(*) > 1",
        "count(*) % 2 = 1",
        f"min({key}) IS NOT NULL",
        f"count(DISTINCT {key}) >= 2",
    )
    test = draw.one(tests)
    return Select(select.items, select.source, select.where, text, plain(test))


def _key(draw: Draw, relation: Relation, i: int) -> Item:
    """A key whose groups are exact: not of float sums."""
    exact = [c for c in relation.columns if c.family in EXACT]
    name = f"y{i}"
    usual = [c for c in exact if c.name in ("k", "g")]
    if exact and (draw.is_plain or draw.chance(0.75)):
        column = draw.one(usual if usual and (draw.is_plain or draw.chance(0.6)) else exact)
        return Item(plain(column.text), Column(name, name, column.family))
    family = draw.one(_COUNTED)
    return Item(plain(expression(draw, relation.columns, family, 1)), Column(name, name, family))


def _call(draw: Draw, relation: Relation, i: int, *, is_plain: bool = False) -> Item:
    call, family = aggregate(draw, relation, is_plain=is_plain)
    if not is_plain and family == "integer" and draw.chance(0.15):
        more, _ = aggregate(draw, relation, ("integer",))
        call = both("coalesce({a}, 0)::HUGEINT - ({b})::HUGEINT", a=call, b=more)
    return Item(call, Column(f"n{i}", f"n{i}", family))


def grouping_sets(draw: Draw) -> Select:
    """ROLLUP, CUBE and GROUPING SETS."""
    relation = base(draw)
    exact = [c for c in relation.columns if c.family in EXACT and c.name != "id"]
    keys = draw.some(exact, 2, 2)
    a, b = (c.text for c in keys)
    forms = {
        "ROLLUP": f"ROLLUP ({a}, {b})", "CUBE": f"CUBE ({a}, {b})",
        "GROUPING SETS": draw.one((f"GROUPING SETS (({a}, {b}), ({b}), ())", f"GROUPING SETS (({a}), ({b}))",
                                   f"GROUPING SETS (({a}, {b}), ({a}), ({a}))")),
    }  # fmt: skip
    form = draw.one(sorted(forms))
    draw.meet(f"group by {form}", "clause:GROUP BY")
    shown = tuple(
        Item(plain(c.text), Column(f"y{i}", f"y{i}", c.family)) for i, c in enumerate(keys)
    )
    if draw.chance(0.8):
        draw.meet("grouping()")
        shown += (Item(plain(f"grouping({a}, {b})"), Column("gr", "gr", "integer")),)
    calls = tuple(_call(draw, relation, i) for i in range(draw.rng.randint(1, 4)))
    return Select((*shown, *calls), relation.text, maybe_where(draw, relation), plain(forms[form]))


def distinct(draw: Draw, relation: Relation | None = None) -> Select:
    relation = relation or base(draw)
    draw.meet("clause:DISTINCT")
    exact = [c for c in relation.columns if c.family in EXACT]
    chosen = draw.some(exact, 1, 3)
    shown = tuple(
        Item(plain(c.text), Column(f"d{i}", f"d{i}", c.family)) for i, c in enumerate(chosen)
    )
    return Select(shown, relation.text, maybe_where(draw, relation), head=plain("DISTINCT"))


def distinct_on(draw: Draw) -> Select:
    """The first row of each key in an order; ties by the row's other columns."""
    relation = base(draw)
    draw.meet("clause:DISTINCT ON")
    exact = [c.text for c in relation.columns if c.family in EXACT]
    keys = draw.some(exact, 1, 2)
    order = [f"{t}{draw.one(('', ' DESC', ' NULLS FIRST'))}" for t in draw.some(exact, 1, 2)]
    by = ", ".join([*keys, *order])
    return Select(
        all_columns(relation), relation.text, maybe_where(draw, relation),
        head=plain(f"DISTINCT ON ({', '.join(keys)})"),
        tail=Text(f"ORDER BY {by}", f"ORDER BY {by}, {relation.order}"),
    )  # fmt: skip


def top(draw: Draw, relation: Relation | None = None) -> Select:
    """ORDER BY ... LIMIT [OFFSET]; LIMIT alone goes by arrival."""
    relation = relation or base(draw)
    exact = [c.text for c in relation.columns if c.family in EXACT]
    count = draw.rng.randint(0, 5)
    limit = f"LIMIT {count}" + (f" OFFSET {draw.rng.randint(0, 3)}" if draw.chance(0.3) else "")
    if relation.arrival and draw.chance(0.25):
        draw.meet("clause:LIMIT by arrival")
        return Select(
            items(draw, relation), relation.text, maybe_where(draw, relation),
            tail=Text(limit, f"ORDER BY {relation.arrival} {limit}"),
        )  # fmt: skip
    draw.meet("clause:ORDER BY LIMIT")
    by = ", ".join(
        f"{t}{draw.one(('', ' ASC', ' DESC', ' DESC NULLS LAST', ' NULLS FIRST'))}"
        for t in draw.some(exact, 1, 2)
    )
    return Select(
        all_columns(relation), relation.text, maybe_where(draw, relation),
        tail=Text(f"ORDER BY {by} {limit}", f"ORDER BY {by}, {relation.order} {limit}"),
    )  # fmt: skip


def qualify(draw: Draw, relation: Relation | None = None) -> Select:
    """The best rows of each key."""
    relation = relation or base(draw)
    exact = [c.text for c in relation.columns if c.family in EXACT]
    rank = draw.one(("row_number", "rank", "dense_rank"))
    draw.meet("clause:QUALIFY", f"qualify {rank}")
    part = f"PARTITION BY {draw.one(exact)} " if draw.chance(0.8) else ""
    by = f"{draw.one(exact)}{draw.one(('', ' DESC', ' NULLS FIRST'))}"
    ties = f", {relation.order}" if rank == "row_number" else ""
    test = draw.one(("= 1", "<= 2", "< 3", "BETWEEN 2 AND 3"))
    over = f"{rank}() OVER ({part}ORDER BY {by}{{ties}}) {test}"
    return Select(
        all_columns(relation), relation.text, maybe_where(draw, relation, 0.2),
        qualify=Text(over.format(ties=""), over.format(ties=ties)),
    )  # fmt: skip


def unnested(draw: Draw) -> Select:
    """UNNEST in the list, in FROM, and LATERAL."""
    relation = base(draw)
    key = next(c.text for c in relation.columns if c.name == "k")
    lists = [c.text for c in relation.of("list", "array")] or [f"range({key}::BIGINT)"]
    chosen = draw.one(lists)
    form = draw.one(("list", "from", "join", "lateral", "struct"))
    draw.meet(f"unnest:{form}")
    e = Column("e", "e", "integer")
    some = items(draw, relation, 1, 2)
    where = maybe_where(draw, relation)
    source = relation.text
    if form == "list":
        return Select((Item(plain(f"unnest({chosen})"), e), *some), source, where)
    if form == "struct":
        name = "[{'a': 1, 'b': 'x'}, {'a': 2, 'b': NULL}]"
        return Select(
            (Item(plain("u.s.a"), e), *some),
            both("{s}, unnest({n}) AS u(s)", s=source, n=plain(name)), where,
        )  # fmt: skip
    if form == "lateral":
        inner = expression(draw, relation.columns, "integer", 1)
        return Select(
            (Item(plain("l.z"), e), *some),
            both("{s}, LATERAL (SELECT {i} AS z) AS l", s=source, i=inner), where,
        )  # fmt: skip
    word = "," if form == "from" else " CROSS JOIN"
    joined_text = both("{s}{w} unnest({c}) AS u(e)", s=source, w=word, c=chosen)
    return Select((Item(plain("u.e"), e), *some), joined_text, where)


def pivot(draw: Draw) -> Select:
    """PIVOT on values that are declared, and UNPIVOT."""
    relation = base(draw)
    if draw.chance(0.5):
        return _unpivot(draw, relation)
    draw.meet("clause:PIVOT")
    call = draw.one(("count(*)", "sum(v)", "max(k)", "min(id)"))
    of = Select(
        (
            _named(relation, "k"),
            _named(relation, "g"),
            _named(relation, "v"),
            _named(relation, "id"),
        ),
        relation.text,
    )
    inner = both("({t})", t=of.text)
    form = draw.one(("standard", "statement"))
    text = (
        both("{t} PIVOT ({c} FOR g IN ('a', 'b', 'c') GROUP BY k)", t=inner, c=call)
        if form == "standard"
        else both("(PIVOT {t} ON g IN ('a', 'b') USING {c} GROUP BY k)", t=inner, c=call)
    )
    return Select((Item(plain("*")),), text, stars=(Column("k", "k", "integer"),))


def _unpivot(draw: Draw, relation: Relation) -> Select:
    draw.meet("clause:UNPIVOT")
    cast = tuple(
        Item(plain(f"{_named(relation, n).text.sql}::BIGINT"), Column(n, n, "integer"))
        for n in ("k", "id")
    )
    of = Select((_named(relation, "g"), *cast), relation.text)
    nulls = draw.one(("", "INCLUDE NULLS "))
    text = both("({t}) UNPIVOT {n}(w FOR n IN (k, id AS number))", t=of.text, n=nulls)
    return Select((Item(plain("*")),), text, stars=(Column("g", "g", "text"),))


def _named(relation: Relation, name: str) -> Item:
    column = next(c for c in relation.columns if c.name == name)
    return Item(plain(column.text), Column(name, name, column.family))
