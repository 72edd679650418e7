"""Columns that follow from another one: a window's end from its start. Grouped by the one, they need no look at the rows."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pyarrow as pa
from sqlglot import exp

from stream_magic.planner.parts import Follows
from stream_magic.planner.volatile import VolatileFinder


def find_follows(
    select: exp.Select, schema: pa.Schema, volatile: VolatileFinder
) -> tuple[Follows, ...]:
    """Those that are made of a time among the columns, and of constants."""
    items = {e.alias: e.unalias() for e in select.expressions}
    # Times that are equal are the same; 0.0 and -0.0 are equal, and 1/x of them is not.
    bases = {n: e for n, e in items.items() if pa.types.is_timestamp(schema.field(n).type)}
    found = []
    for name, made in items.items():
        if made.find(exp.Query) or volatile.is_drawn(made):
            continue
        for base, of in bases.items():
            sql = _over(made, of, base) if made != of else None
            if sql is not None:
                found.append(Follows(name, base, sql))
    return tuple(found)


def followers(follows: Sequence[Follows], among: Collection[str]) -> dict[str, str]:
    """Of these columns: those that follow from others of them that follow from none, and how."""
    inside = [f for f in follows if f.name in among and f.base in among]
    names = {f.name for f in inside}
    return {f.name: f.sql for f in inside if f.base not in names}


def _over(made: exp.Expr, of: exp.Expr, base: str) -> str | None:
    """An expression over a column that stands for `of`, or None if it reads another one, too."""
    column = exp.column(exp.to_identifier(base, quoted=True))
    written = made.copy().transform(lambda n: column.copy() if n == of else n)
    columns = list(written.find_all(exp.Column))
    return written.sql("duckdb") if columns and all(c == column for c in columns) else None
