"""Small pieces of SQL trees that the planner puts together."""

from __future__ import annotations

from collections.abc import Sequence

import sqlglot
from sqlglot import exp

from stream_magic.language.binder import INPUT, quote


def parse_select(sql: str) -> exp.Select:
    return sqlglot.parse_one(sql, read="duckdb", into=exp.Select)


def aliased(item: exp.Expr, alias: str) -> exp.Expr:
    """The item under a name, in place."""
    item.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    return item


def read_with_types(names: Sequence[str], types: Sequence[str], carried: Sequence[str]) -> exp.Expr:
    """`_in`, with the DuckDB types that Arrow does not carry cast back."""
    casts = [
        f"CAST({quote(n)} AS {t}) AS {quote(n)}"
        for n, t, c in zip(names, types, carried, strict=True)
        if t != c
    ]
    if not casts:
        return exp.to_table(INPUT)
    return exp.Subquery(this=parse_select(f"SELECT * REPLACE ({', '.join(casts)}) FROM {INPUT}"))


def from_items(select: exp.Select) -> list[exp.Expr]:
    """What stands in FROM, the joined items too."""
    if select.args.get("from_") is None:
        return []
    return [select.args["from_"].this, *(j.this for j in select.args.get("joins") or [])]


def unaliased(item: exp.Expr) -> exp.Expr:
    return item.this if isinstance(item, exp.Alias) else item


def short(node: exp.Expr, limit: int = 40) -> str:
    """An expression for people, cut if it is long."""
    text = node.sql("duckdb")
    return text if len(text) <= limit else text[: limit - 1] + "…"


def with_places(sql: str, stem: str, count: int) -> str:
    """The names that stand for the inputs become `{0}`, `{1}` ..., from the last on: `_sm_i1` begins `_sm_i10` too."""
    for i in reversed(range(count)):
        sql = sql.replace(f"{stem}{i}", f"{{{i}}}")
    return sql
