"""Names that stand for more than a column: the whole row, fields, elements; and names that DuckDB gives itself."""

from __future__ import annotations

from dataclasses import replace

from support.grammar.clauses import item, maybe_where
from support.grammar.draw import Column, Draw, Relation, Text, plain
from support.grammar.relations import base
from support.grammar.select import Item, Select


def names(draw: Draw) -> Select:
    """Items that say no column of the row outright."""
    relation = _nested(draw, base(draw))
    alias = relation.columns[0].text.partition(".")[0]
    chosen = [form(draw, relation, alias) for form in draw.some(_FORMS, 3, 6)]
    return Select((*chosen, item(draw, relation)), relation.text, maybe_where(draw, relation, 0.3))


def _nested(draw: Draw, of: Relation) -> Relation:
    """The rows with a STRUCT and a list of some of their columns."""
    alias = draw.name("q")
    known = tuple(Column(f"{alias}.{c.name}", c.name, c.family) for c in of.columns)
    given = ", ".join(c.text for c in of.columns)
    k, g = (next(c.text for c in of.columns if c.name == n) for n in ("k", "g"))
    made = f"{{'p': {k}, 'q': {{'r': {g}}}}} AS st, [{k}, 2] AS li"
    text = Text(
        *(f"(SELECT {given}, {made} FROM {t}) AS {alias}" for t in (of.text.sql, of.text.twin))
    )
    more = (Column(f"{alias}.st", "st", "opaque"), Column(f"{alias}.li", "li", "list"))
    return replace(of, text=text, columns=(*known, *more), arrival="", hidden="")


def _row(draw: Draw, relation: Relation, alias: str) -> Item:
    name = draw.name("w")
    return Item(plain(alias), Column(name, name, "opaque"))


def _star(draw: Draw, relation: Relation, alias: str) -> Item:
    return Item(
        plain(
            draw.one((f"{alias}.*", "* LIKE 'c%'", "coalesce(COLUMNS('^[gk]$')::VARCHAR, 'none')"))
        )
    )


def _fields(draw: Draw, relation: Relation, alias: str) -> Item:
    return Item(
        plain(
            draw.one(
                ("st.*", "st.*", f"unnest({alias}.st)", f"unnest({alias}.st, recursive := true)")
            )
        )
    )


def _elements(draw: Draw, relation: Relation, alias: str) -> Item:
    name = draw.name("w")
    one = draw.one(
        (f"[x + {alias}.k FOR x IN {alias}.li IF x > 0]", f"[k + 1 FOR k IN {alias}.li]")
    )
    return Item(plain(one), Column(name, name, "list"))


def _chained(draw: Draw, relation: Relation, alias: str) -> Item:
    name = draw.name("w")
    one = draw.one(
        (
            f"{alias}.li.list_sort()",
            f"{alias}.li.list_transform(lambda x: x + {alias}.k).list_sort()",
            "li.list_transform(lambda x: x + k).len()",
            "greatest(*COLUMNS('^(k|id)$'))",
        )
    )
    return Item(plain(one), Column(name, name, "opaque"))


def _unnamed(draw: Draw, relation: Relation, alias: str) -> Item:
    return Item(
        plain(
            draw.one(
                (
                    f"upper({alias}.g)",
                    f"{alias}.k + 1",
                    "abs(st.p)",
                    f"upper({alias}.st.q.r)",
                )
            )
        )
    )


_FORMS = (_row, _star, _fields, _elements, _chained, _unnamed)
