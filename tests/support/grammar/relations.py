"""What stands in FROM: a source, what was made of one, a cache, a subquery."""

from __future__ import annotations

from support.grammar.draw import Column, Draw, Relation, Text, plain
from support.grammar.select import Query
from support.grammar.world import Table


def base(draw: Draw, *, changelog: bool | None = None, timed: bool = False) -> Relation:
    """A source, or a stream or table that only filters one."""
    tables = draw.world.timed if timed else draw.world.tables
    if changelog is not None:
        tables = [t for t in tables if t.is_changelog == changelog]
    found = draw.one(tables or draw.world.tables)
    made = [n for n, (t, _, _) in draw.world.streams.items() if t is found]
    if made and draw.chance(0.3) and not timed:
        draw.meet("from:made")
        name = draw.one(made)
        return named(draw, found, name, draw.world.streams[name][1])
    draw.meet("from:changelog" if found.is_changelog else "from:stream")
    return named(draw, found, found.name, f"{found.name}_n")


def named(draw: Draw, table: Table, name: str, twin: str) -> Relation:
    """A table under an alias."""
    alias = draw.name("a")
    columns = tuple(Column(f"{alias}.{n}", n, k.family) for n, k in table.columns.items())
    return Relation(
        Text(f"{name} AS {alias}", f"{twin} AS {alias}"), columns, f"{alias}._n",
        f" EXCLUDE ({', '.join(table.hidden)})",
        table.is_changelog,
    )  # fmt: skip


def cache(draw: Draw) -> Relation:
    alias = draw.name("a")
    draw.meet("from:cache")
    columns = (("k", "integer"), ("name", "text"), ("v", "integer"))
    return Relation(
        plain(f"c0 AS {alias}"), tuple(Column(f"{alias}.{n}", n, f) for n, f in columns)
    )


def derived(draw: Draw, query: Query, *, is_changelog: bool) -> Relation:
    """A SELECT in brackets."""
    alias = draw.name("q")
    draw.meet("from:subquery")
    body = query.text
    columns = tuple(Column(f"{alias}.{c.name}", c.name, c.family) for c in query.columns)
    return Relation(
        Text(f"({body.sql}) AS {alias}", f"({body.twin}) AS {alias}"), columns,
        is_changelog=is_changelog,
    )  # fmt: skip
