"""Values that cannot be computed with: what DuckDB raises for them, and how that is said."""

from __future__ import annotations

import duckdb

# What DuckDB raises when a value does not fit; anything else is a failure of the node.
VALUE_ERRORS = (
    duckdb.ConversionException,
    duckdb.OutOfRangeException,
    duckdb.InvalidInputException,
    duckdb.TypeMismatchException,
)


def reason_of(error: Exception) -> str:
    """One line, without the engine's own SQL."""
    return str(error).split("\n\nLINE ", 1)[0].strip().replace("\n", " ") or type(error).__name__
