"""Joins: kinds, conditions and up to four sides; lookups; ASOF; interval joins."""

from __future__ import annotations

from dataclasses import replace

from support.grammar.clauses import grouped, items, maybe_where, projection
from support.grammar.draw import Column, Draw, Relation, Text, both, plain
from support.grammar.kinds import EXACT
from support.grammar.relations import base, cache, derived
from support.grammar.select import Item, Query, Select

KINDS = ("JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "SEMI JOIN", "ANTI JOIN", "CROSS JOIN")
_OF_CACHE = ("JOIN", "LEFT JOIN", "SEMI JOIN", "ANTI JOIN")


def join(draw: Draw) -> Query:
    """Two to four sides; then a projection or a GROUP BY over them."""
    relation = joined_relation(draw)
    if draw.chance(0.3):
        return grouped(draw, relation)
    return Select(items(draw, relation, 2, 5), relation.text, maybe_where(draw, relation, 0.25))


def lookup(draw: Draw) -> Query:
    """A stream and what a cache knows of its rows: joined, or asked for in a subquery."""
    left = base(draw)
    if draw.world.cache is None:
        return projection(draw, left)
    form = draw.one(("asked", "asked", "first", "first", "joined", "joined"))
    if form == "asked":
        return _asked(draw, left)
    if form == "first":
        return _cache_first(draw, left)
    if draw.chance(0.5):
        relation = _by_name(draw, left)
    else:
        relation = pair(draw, left, cache(draw), draw.one(_OF_CACHE))
    if draw.chance(0.3):
        relation = pair(draw, relation, cache(draw), draw.one(_OF_CACHE[:2]))
    if draw.chance(0.3):
        return grouped(draw, replace(relation, arrival="", hidden=""))
    return Select(items(draw, relation, 2, 5), relation.text, maybe_where(draw, relation, 0.25))


def _by_name(draw: Draw, left: Relation) -> Relation:
    """ON says the stream's column without the stream."""
    known, word = cache(draw), draw.one(_OF_CACHE)
    draw.meet(f"join:{word}", "lookup by a bare name")
    key = known.columns[0].text
    text = both("{s} {w} {c} ON id = {k}", s=left.text, w=word, c=known.text, k=key)
    is_asked = word in ("SEMI JOIN", "ANTI JOIN")
    return Relation(text, left.columns if is_asked else (*left.columns, *known.columns))


def _cache_first(draw: Draw, left: Relation) -> Query:
    """The cache, or two of them, before the stream that looks them up."""
    key = next(c.text for c in left.columns if c.name == "k")
    first, second = cache(draw), cache(draw)
    a, b = (c.columns[0].text for c in (first, second))
    draw.meet("join:cache first")
    if draw.chance(0.8):
        text = both(
            "{c} JOIN {d} ON {a} = {b} JOIN {s} ON {b} = {k}",
            c=first.text,
            d=second.text,
            s=left.text,
            a=a,
            b=b,
            k=key,
        )
        columns = (*first.columns, *second.columns, *left.columns)
    else:
        word = draw.one(("JOIN", "RIGHT JOIN"))
        text = both("{c} {w} {s} ON {a} = {k}", c=first.text, w=word, s=left.text, a=a, k=key)
        columns = (*first.columns, *left.columns)
    relation = Relation(text, columns)
    return Select(items(draw, relation, 2, 5), text, maybe_where(draw, relation, 0.25))


def _asked(draw: Draw, left: Relation) -> Query:
    known = cache(draw)
    k, name, v = (c.text for c in known.columns)
    key = next(c.text for c in left.columns if c.name == "k")
    draw.meet("subquery:cache")
    test = draw.one(
        (
            f"{key} IN (SELECT {k} FROM {known.text.sql})",
            f"EXISTS (SELECT 1 FROM {known.text.sql} WHERE {k} = {key} AND {v} > 1)",
            f"(SELECT max({name}) FROM {known.text.sql} WHERE {k} <= {key})",
            f"(SELECT count(*) FROM {known.text.sql} WHERE {v} = {key})",
        )
    )
    if test.startswith("(") or draw.chance(0.5):
        shown = Item(plain(f"({test})"), Column("sub", "sub", "opaque"))
        return Select((shown, *items(draw, left, 1, 2)), left.text, maybe_where(draw, left, 0.2))
    return Select(items(draw, left, 1, 3), left.text, plain(draw.one((test, f"NOT ({test})"))))


def brackets(draw: Draw) -> Query:
    """A join of a source and a join in brackets."""
    left, b, c = (base(draw) for _ in range(3))
    draw.meet("join of brackets")
    inner = pair(draw, b, c, draw.one(("JOIN", "LEFT JOIN", "RIGHT JOIN")))
    word = draw.one(("JOIN", "LEFT JOIN", "FULL JOIN"))
    text = both("{a} {w} ({i}) ON {o}", a=left.text, w=word, i=inner.text, o=on(draw, left, b))
    relation = Relation(text, (*left.columns, *inner.columns))
    return Select(items(draw, relation, 2, 5), text, maybe_where(draw, relation, 0.25))


def joined_relation(draw: Draw, sides: int = 0) -> Relation:
    relation = side(draw)
    count = sides or draw.weighted(((6, 2), (2, 3), (1, 4)))
    draw.meet(f"join of {count} sides")
    for i in range(1, count):
        if draw.world.cache is not None and draw.chance(0.25):
            relation = pair(draw, relation, cache(draw), draw.one(_OF_CACHE))
            continue
        kind = draw.one((*KINDS, "CROSS JOIN", "FULL JOIN") if i == 1 else KINDS[:6])
        relation = pair(draw, relation, side(draw), kind)
    return replace(relation, arrival="", hidden="")


def side(draw: Draw) -> Relation:
    if draw.chance(0.2):
        made = draw.one((grouped, projection))(draw)
        if any(c.family in ("integer", "text") for c in made.columns):
            return derived(draw, made, is_changelog=True)
    return base(draw)


def pair(draw: Draw, left: Relation, right: Relation, kind: str) -> Relation:
    draw.meet(f"join:{kind}")
    if kind == "CROSS JOIN":
        text = both("{a} CROSS JOIN {b}", a=left.text, b=right.text)
        return Relation(text, (*left.columns, *right.columns))
    shared = _shared(left, right)
    only_left = kind in ("SEMI JOIN", "ANTI JOIN")
    if shared and draw.chance(0.35):
        return _using(draw, left, right, kind, draw.one(shared))
    text = both("{a} {k} {b} ON {on}", a=left.text, k=kind, b=right.text, on=on(draw, left, right))
    return Relation(text, left.columns if only_left else (*left.columns, *right.columns))


def _using(draw: Draw, left: Relation, right: Relation, kind: str, name: str) -> Relation:
    draw.meet("join with USING")
    text = both("{a} {k} {b} USING ({n})", a=left.text, k=kind, b=right.text, n=name)
    known = next(c for c in left.columns if c.name == name)
    merged = replace(known, text=name)
    if kind in ("RIGHT JOIN", "FULL JOIN"):  # ties go by the columns of both sides
        return Relation(text, (*left.columns, *right.columns, merged))
    shown = tuple(merged if c is known else c for c in left.columns)
    if kind in ("SEMI JOIN", "ANTI JOIN"):
        return Relation(text, shown)
    return Relation(text, (*shown, *(c for c in right.columns if c.name != name)))


def _shared(left: Relation, right: Relation) -> list[str]:
    """Names that stand once on each side and may be compared."""
    names = [c.name for c in left.columns]
    ours = {c.name for c in left.columns if c.name in ("k", "g", "id") and names.count(c.name) == 1}
    return sorted(ours & {c.name for c in right.columns if "." in c.text})


def on(draw: Draw, left: Relation, right: Relation) -> str:
    """Equal keys of one family, and sometimes more; rarely no equality at all."""
    pairs = [
        (a, b) for a in left.columns for b in right.columns
        if a.family == b.family and a.family in EXACT and "." in a.text and not _is_timed(a, b)
    ]  # fmt: skip
    usual = [
        p
        for p in pairs
        if p[0].name in ("k", "g", "y0", "y1") and p[1].name in ("k", "g", "y0", "y1")
    ]
    if not pairs:
        return "true"
    a, b = draw.one(usual) if usual and draw.chance(0.85) else draw.one(pairs)
    if draw.chance(0.07):
        draw.meet("join on an inequality")
        return f"{a.text} < {b.text}"
    if a.family == b.family == "integer" and draw.chance(0.25):
        draw.meet("join on an expression")
        return f"{a.text} + 1 = {b.text}"
    words = "IS NOT DISTINCT FROM" if draw.chance(0.08) else "="
    parts = [f"{a.text} {words} {b.text}"]
    if draw.chance(0.35):
        draw.meet("join with a residual")
        c, d = draw.one(pairs)
        parts.append(
            draw.one(
                (
                    f"{c.text} <= {d.text}",
                    f"{c.text} <> {d.text}",
                    f"{c.text} IS NOT NULL",
                    f"{c.text} = {d.text}",
                )
            )
        )
    return " AND ".join(parts)


def _is_timed(*pair: Column) -> bool:
    """Two times that watermarks may follow: to join on them is to bound the join (`interval_join`)."""
    return all(c.family.startswith("timestamp") and c.name[0] != "c" for c in pair)


def asof(draw: Draw) -> Query:
    """Each left row with the nearest right row; of equal ones the first by its columns."""
    left, right = base(draw, changelog=False), base(draw)
    word = draw.one(("ASOF JOIN", "ASOF LEFT JOIN"))
    draw.meet(f"join:{word}")
    name = draw.one(("id", "k", "ts")) if left.of("timestamp") and right.of("timestamp") else "id"
    a, b = (next(c for c in r.columns if c.name == name) for r in (left, right))
    if a.family != b.family:
        a, b = (next(c for c in r.columns if c.name == "id") for r in (left, right))
    g, h = (next(c for c in r.columns if c.name == "g") for r in (left, right))
    compare = draw.one((">=", ">", "<=", "<"))
    alias = h.text.partition(".")[0]
    first = (
        f"(SELECT DISTINCT ON ({h.text}, {b.text}) * FROM {right.text.twin} "
        f"ORDER BY {h.text}, {b.text}, {right.order}) AS {alias}"
    )
    on_text = f"{g.text} = {h.text} AND {a.text} {compare} {b.text}"
    text = both(
        "{l} {w} {r} ON {o}", l=left.text, w=word, r=replace(right.text, twin=first), o=on_text
    )
    relation = Relation(text, (*left.columns, *right.columns))
    return Select(items(draw, relation, 2, 5), text)


def interval_join(draw: Draw) -> Query:
    """Both sides timed, and a bound between their times: a row behind its watermark is late."""
    left, right = (base(draw, timed=True) for _ in range(2))
    kind = draw.one(("JOIN", "LEFT JOIN"))
    draw.meet(f"interval {kind}")
    sides = [in_time(left), in_time(right)]
    a, b = (next(c.text for c in r.columns if c.name == "ts") for r in (left, right))
    k, j = (next(c.text for c in r.columns if c.name == "k") for r in (left, right))
    low, high = draw.one(((0, 10), (-5, 5), (0, 3)))
    bound = f"{b} BETWEEN {a} + INTERVAL ({low}) SECONDS AND {a} + INTERVAL ({high}) SECONDS"
    text = both(
        "{l} {w} {r} ON {k} = {j} AND {o}", l=sides[0], w=kind, r=sides[1], k=k, j=j, o=bound
    )
    relation = Relation(text, (*left.columns, *right.columns))
    shown: tuple[Item, ...] = items(draw, relation, 2, 4)
    return Select(shown, text)


def in_time(relation: Relation) -> Text:
    """The twin has it without rows that came behind their watermark."""
    alias = relation.columns[0].text.partition(".")[0]
    test = f"{alias}._wm IS NULL OR {alias}.ts IS NULL OR {alias}.ts >= {alias}._wm"
    return replace(
        relation.text, twin=f"(SELECT * FROM {relation.text.twin} WHERE {test}) AS {alias}"
    )
