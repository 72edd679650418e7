"""`now()` and its kin: the time of the app's clock, the same for a whole epoch."""

from __future__ import annotations

from typing import cast

from sqlglot import exp

from stream_magic.language.binder import EmptyTable

CLOCK = "_sm_clock"
_READ = f"(SELECT now FROM {CLOCK})"
_FUNCTIONS = frozenset({"now", "transaction_timestamp", "get_current_timestamp"})

CLOCK_TABLE = EmptyTable(CLOCK, "SELECT TIMESTAMPTZ '2000-01-01' AS now")


def with_clock(select: exp.Select) -> exp.Select:
    """A copy in which the wall clock is read from the epoch's own row."""

    def read(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.CurrentTimestamp):
            return exp.maybe_parse(_READ, dialect="duckdb")
        if isinstance(node, exp.Anonymous) and str(node.this).lower() in _FUNCTIONS:
            return exp.maybe_parse(_READ, dialect="duckdb")
        if isinstance(node, exp.CurrentDate):
            return exp.maybe_parse(f"CAST({_READ} AS DATE)", dialect="duckdb")
        if isinstance(node, exp.Localtimestamp):
            return exp.maybe_parse(f"CAST({_READ} AS TIMESTAMP)", dialect="duckdb")
        return node

    return cast("exp.Select", select.transform(read))
