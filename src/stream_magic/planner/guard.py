"""Finds the rows that a statement cannot compute, without trying them one by one."""

from __future__ import annotations

from sqlglot import exp

from stream_magic.core.change import is_hidden
from stream_magic.language.binder import INPUT
from stream_magic.planner.text import unaliased

BAD = "bad"


def probe_sql(select: exp.Select) -> str:
    """A statement that says for each row of `_in`, in order, whether this SELECT fails on it; '' if none can.

    TRY gives NULL for what cannot be computed, and a STRUCT is never NULL itself. It leaves DuckDB's
    fast path, so it runs only on batches that failed.
    """
    reads = select.args["from_"].this
    is_one_to_one = not select.args.get("joins") and not select.args.get("with_")
    tables = [t.name for t in select.find_all(exp.Table)]
    if not is_one_to_one or tables != [INPUT] or select.find(exp.Unnest, exp.Explode, exp.Rand):
        return ""
    where = select.args.get("where")
    items = [
        unaliased(e) for e in select.expressions if not e.is_star and not is_hidden(e.alias_or_name)
    ]
    if not items and where is None:
        return ""
    bad = f"TRY({_row(items)}) IS NULL" if items else "false"
    if where is not None:
        test = where.this.sql("duckdb")
        bad = f"CASE WHEN TRY(row({test})) IS NULL THEN true WHEN TRY({test}) THEN {bad} ELSE false END"
    return f"SELECT {bad} AS {BAD} FROM {reads.sql('duckdb')}"


def _row(items: list[exp.Expr]) -> str:
    return f"row({', '.join(e.sql('duckdb') for e in items)})"
