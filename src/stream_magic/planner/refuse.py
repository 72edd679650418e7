"""What cannot travel through a stream, and what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlglot import exp

from stream_magic.errors import PlanError, Span
from stream_magic.language.binder import lost_in_arrow
from stream_magic.language.spans import span_of


class Unsupported(NamedTuple):
    """What cannot be kept up to date yet, and what to write instead."""

    code: str
    what: str
    hint: str


# By sqlglot's name for a clause of a SELECT, or of an item in FROM.
CLAUSES = {
    "sample": Unsupported("SM3006", "SAMPLE", "filter by a hash: WHERE hash(id) % 100 < 10"),
    "pivots": Unsupported("SM3007", "PIVOT", "aggregate with FILTER: sum(x) FILTER (WHERE category = 'Toys')"),
    "connect": Unsupported("SM3008", "CONNECT BY", "there is no streaming form"),
    "match": Unsupported("SM3009", "MATCH_RECOGNIZE", "it comes with a later version"),
    "version": Unsupported("SM3012", "this form of AS OF", "write FOR SYSTEM_TIME AS OF o.ts"),
}  # fmt: skip


def refuse_collations(ast: exp.Expr, text: str) -> None:
    """A collation is lost between epochs: groups would be those of the plain text.

    Raises:
        PlanError: SM3054.
    """
    collation = ast.find(exp.Collate)
    is_grouped = any(s.args.get("group") or s.find(exp.AggFunc) for s in ast.find_all(exp.Select))
    if collation is not None and is_grouped:
        raise PlanError(
            "SM3054", "COLLATE beside GROUP BY or an aggregate is not supported yet",
            hint="group by lower(name), or strip_accents(name)", span=span_of(collation, text),
        )  # fmt: skip


def refuse_types(names: Sequence[str], types: Sequence[str], span: Span) -> None:
    """Columns of a type whose values would change on their way.

    Raises:
        PlanError: SM3052.
    """
    for name, kind in zip(names, types, strict=True):
        if lost_in_arrow(kind):
            raise PlanError(
                "SM3052", f"the column {name} is {kind}, which does not travel through a stream",
                hint=f"cast it: CAST({name} AS VARCHAR)", span=span,
            )  # fmt: skip
