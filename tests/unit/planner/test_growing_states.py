"""Which partial states grow with the rows is measured on DuckDB itself."""

from __future__ import annotations

import duckdb
import pytest

from stream_magic import App
from stream_magic.planner.aggregates import BY_ARRIVAL, BY_VALUE, HOLDS_VALUES

_ARGUMENTS = ("x", "x, 0.5", "x, x", "x > 3")


def _state_bytes(con: duckdb.DuckDBPyConnection, call: str, rows: int) -> int | None:
    """Of the exported state over so many rows; None if the call has none."""
    numbers = f"(SELECT i::DOUBLE AS x FROM range({rows}) AS r(i))"
    try:
        con.execute(f"CREATE OR REPLACE TABLE s AS SELECT ({call} EXPORT_STATE) AS state FROM {numbers}")  # fmt: skip
    except duckdb.Error:
        return None
    return con.sql("FROM s").to_arrow_table().nbytes


def _grows(con: duckdb.DuckDBPyConnection, name: str) -> bool:
    for arguments in _ARGUMENTS:
        few, many = (_state_bytes(con, f"{name}({arguments})", n) for n in (10, 5_000))
        if few is not None and many is not None:
            return many > few + 64
    return False


def test_states_that_hold_values_are_known() -> None:
    with duckdb.connect() as con:
        names = "SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type = 'aggregate'"
        found = {name for (name,) in con.sql(names).fetchall() if _grows(con, name)}
    assert found - BY_ARRIVAL - BY_VALUE == HOLDS_VALUES


@pytest.mark.parametrize("call", ["median(v)", "quantile_cont(v, 0.9)", "mad(v)", "avg(v), median(v)"])  # fmt: skip
def test_they_are_said_to_grow(call: str) -> None:
    app = App("t")
    app.execute("CREATE SOURCE a (id INT, v DOUBLE) WITH (connector = 'memory')")
    app.execute(f"CREATE STREAM q AS SELECT id, {call} FROM a GROUP BY id")
    assert app.warnings == ["q: rows of a are kept for ever: add a window: TUMBLE(stream, ts, size) and GROUP BY window_end"]  # fmt: skip
    app.execute("CREATE STREAM q AS SELECT id, avg(v) FROM a GROUP BY id")
    assert app.warnings == []
