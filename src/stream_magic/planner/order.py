"""What SQL leaves open about order, settled (DESIGN 3.3 d): ties by the row's other columns, the rest by arrival."""

from __future__ import annotations

from collections.abc import Container, Iterable

from sqlglot import exp

from stream_magic.core.change import SEQ
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.logical import Op


def ties(columns: Iterable[Column], named: Container[str] = ()) -> list[exp.Ordered]:
    """Sort keys of the row's other columns, in their order."""
    return [exp.Ordered(this=c.ref, nulls_first=False) for c in columns if c.name not in named]


def sorted_by(order: Iterable[exp.Ordered]) -> set[str]:
    """Names of the columns that an ORDER BY has already."""
    return {o.this.name for o in order if isinstance(o.this, exp.Column)}


def arrival() -> exp.Ordered:
    """The row that came first comes first."""
    return exp.Ordered(this=exp.column(SEQ), nulls_first=False)


def latest() -> exp.Ordered:
    """The row that came last comes first."""
    return exp.Ordered(this=exp.column(SEQ), desc=True, nulls_first=False)


def over(parts: Iterable[Column], order: Iterable[exp.Ordered] = ()) -> str:
    """`OVER (PARTITION BY ... ORDER BY ...)`."""
    by = ", ".join(c.name for c in parts)
    keys = ", ".join(o.sql("duckdb") for o in order)
    return f"OVER ({f'PARTITION BY {by} ' if by else ''}{f'ORDER BY {keys}' if keys else ''})"


def require_arrival(ctx: Context, op: Op, what: str, hint: str, node: exp.Expr | None) -> None:
    """Raises if rows have no settled order of arrival here.

    Raises:
        PlanError: SM3056.
    """
    if not op.has_order:
        raise ctx.refuse(
            "SM3056", f"{what} goes by arrival, and that is not settled where rows are changed or joined", hint, node
        )  # fmt: skip
