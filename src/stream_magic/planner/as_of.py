"""`FOR SYSTEM_TIME AS OF o.ts`: each row joined with the version of another stream that was valid at its time.

The rows of that stream are the versions: of a key the one with the highest time that is not above the row's. It
is an ASOF join whose both times are watermarks. So a row that came before its version is corrected when the
version comes; a version is forgotten when no row can ask for it any more, a row when no version can change it.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp

from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.joins import asof_join, equalities
from stream_magic.planner.logical import Leg, Op, Product, conjuncts


def join_as_of(
    ctx: Context, left: Op, right: Op, kind: str, condition: exp.Expr | None, asked: exp.Expr | None, table: exp.Expr
) -> Product:  # fmt: skip
    """Joins the versions `right` to `left`.

    Args:
        ctx: of the query.
        left: the rows.
        right: the versions.
        kind: of the join.
        condition: over column names.
        asked: the time that is asked for, over column names; None if it is no column.
        table: where that stands in the query.

    Raises:
        PlanError: SM3063.
    """
    if kind not in ("INNER", "LEFT"):
        raise _refused(ctx, f"{kind} JOIN takes no versions", "write JOIN or LEFT JOIN", table)
    versions = next((c for c in right.columns if c.is_time), None)
    if versions is None or not right.has_watermark or right.is_changelog:
        raise _refused(
            ctx, "what stands before FOR SYSTEM_TIME AS OF has no versions in event time",
            "read a stream whose rows are the versions, with WATERMARK FOR the time from which they are valid", table,
        )  # fmt: skip
    at = next((c for c in left.columns if isinstance(asked, exp.Column) and c.name == asked.name), None)  # fmt: skip
    if at is None or not at.is_time or not left.has_watermark:
        times = ", ".join(c.label for c in left.columns if c.is_time and left.has_watermark)
        hint = f"write {times}" if times else "declare WATERMARK FOR the time of the left side"
        raise _refused(ctx, "AS OF asks for the time that the watermark of the left side follows", hint, table)  # fmt: skip
    parts = conjuncts(condition)
    if len(equalities(parts, {c.name for c in right.columns})) != len(parts) or not parts:
        raise _refused(
            ctx, "versions are found by equal keys", "write ON r.key = o.key, and other conditions into WHERE", table
        )  # fmt: skip
    test = exp.GTE(this=at.ref, expression=versions.ref)
    product, keys = asof_join(ctx, left, right, kind, [*parts, test], [versions])
    product.legs[1].late_us = _parse(f"epoch_us({versions.name}) + 1")
    if not left.is_changelog:
        _bound(product, at, versions, keys)
    return product


def _bound(product: Product, at: Column, versions: Column, keys: list[exp.Expr]) -> None:
    """When rows are late, and when they can be forgotten: a version when the next one of its key has taken its place."""
    rows, history = product.legs
    rows.late_us = rows.forget_us = _parse(f"epoch_us({at.name}) + 1")
    by = ", ".join(k.sql("duckdb") for k in keys)
    time_us = f"epoch_us({versions.name})"
    history.forget_us = _parse(
        f"min({time_us}) OVER (PARTITION BY {by} ORDER BY {time_us} RANGE BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
    )
    product.bound = (
        "rows and versions forgotten behind the watermark, the newest version of each key kept"
    )


def versions_sql(leg: Leg, table: str, columns: list[str]) -> exp.Expr:
    """Of versions that begin at the same moment the first by the row's other columns."""
    keys = [k.sql("duckdb") for k in leg.moment]
    rest = [f"{c} NULLS LAST" for c in columns if c not in keys]
    by = ", ".join(keys)
    return _parse(f"(SELECT DISTINCT ON ({by}) * FROM {table} ORDER BY {', '.join([by, *rest])})")


def _parse(sql: str) -> exp.Expr:
    return sqlglot.parse_one(sql, read="duckdb")


def _refused(ctx: Context, what: str, hint: str, table: exp.Expr) -> Exception:
    return ctx.refuse("SM3063", what, hint, table)
