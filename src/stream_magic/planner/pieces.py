"""Which aggregates are made of plain ones whose partial results can be added or compared."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp

from stream_magic.planner.aggregates import aggregate_core, function_name
from stream_magic.planner.parts import Piece
from stream_magic.planner.text import parse_select

# Their sums are exact: 128 bits, or decimals of 38 digits, or floats as DuckDB adds them.
_SUMMED = frozenset(
    {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE"}
)  # fmt: skip
# Arrow carries them as they are: what is least of them is so after it, too.
_COMPARED = frozenset({"VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP WITH TIME ZONE"})


# Partial sums of them overflow though the whole sum does not.
_OVERFLOWING = frozenset({"HUGEINT", "INTERVAL"})


def may_overflow(sql: str, types: Mapping[str, str]) -> bool:
    """Whether merging partial states of this call may fail where the call over all rows does not."""
    core = aggregate_core(parse_select(f"SELECT {sql}").expressions[0])
    given = list(core.iter_expressions())
    is_sum = function_name(core) in ("sum", "avg", "mean")
    kind = types.get(given[0].name, "") if given and isinstance(given[0], exp.Column) else ""
    return is_sum and kind in _OVERFLOWING


def pieces(sql: str, types: Mapping[str, str]) -> tuple[Piece, ...]:
    """Of one aggregate call over columns of these DuckDB types; () if it is none of them."""
    call = parse_select(f"SELECT {sql}").expressions[0]
    core = aggregate_core(call)
    given = list(core.iter_expressions())
    if isinstance(call, exp.WithinGroup) or len(given) > 1:
        return ()
    name = function_name(core)
    if name in ("count", "count_star"):
        return (Piece(sql, "sum"),)
    if len(given) != 1 or not isinstance(given[0], exp.Column):
        return ()
    kind = types.get(given[0].name, "")
    is_summed = kind in _SUMMED or kind.startswith("DECIMAL(")
    if name in ("min", "max") and (is_summed or kind in _COMPARED):
        return (Piece(sql, "min" if name == "min" else "max"),)
    if not is_summed:
        return ()
    if name == "sum":
        return (Piece(sql, "sum"),)
    if name in ("avg", "mean"):
        return tuple(Piece(_instead(call, core, made), "sum") for made in ("sum", "count"))
    return ()


def _instead(call: exp.Expr, core: exp.Expr, name: str) -> str:
    """The same call of another function."""
    other = exp.Anonymous(this=name, expressions=[e.copy() for e in core.iter_expressions()])
    if call is core:
        return other.sql("duckdb")
    copied = call.copy()
    aggregate_core(copied).replace(other)
    return copied.sql("duckdb")
