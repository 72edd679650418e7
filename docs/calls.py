"""The page docs/language/duckdb.md: a call of each function of DuckDB, as tests/property/test_duckdb_functions.py runs it."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import reference

from support.functions import (
    AGGREGATES,
    COLUMNS,
    INTERNAL,
    LEFT_OUT,
    MACROS,
    REFUSED,
    call_of,
    chosen,
    functions,
    sample,
)

PAGE = reference.FOLDER / "duckdb.md"
_WINDOW = "SELECT {} OVER (ORDER BY id) FROM sample"
_HEAD = """# A call of each function of DuckDB

Written by `make docs`. A test runs each call in a continuous query, and compares after each epoch with what DuckDB answers.

## What the calls read

Four rows by `id`. This is the first; the last holds NULLs.
"""
_LONGEST = 70


def page(con: duckdb.DuckDBPyConnection) -> str:
    """Args: con: a connection of one thread, with the sample."""
    aggregates = _aggregates(con)
    macros = {c.partition("(")[0]: c for c in MACROS}
    plain = {n: c for n, c in chosen(con, "scalar", "macro").items() if n not in macros}
    named = {n: c for n, c in plain.items() if n[0].isalnum() or n[0] == "_"}
    operators = {n: c for n, c in plain.items() if n not in named}
    rows = [(f"`{n}`", f"`{kind}`", f"`{v}`") for n, (kind, v, *_) in COLUMNS.items()]
    first = "SELECT ({})::VARCHAR FROM sample LIMIT 1"
    whole = "SELECT ({})::VARCHAR FROM sample WHERE id < 3"
    parts = [
        _HEAD, _table(("column", "type", "value"), rows),
        "\n## Operators\n", _answers(con, operators, first, "of the first row"),
        "\n## Of a row\n", _answers(con, named, first, "of the first row"),
        "\n## Aggregates\n", _answers(con, aggregates | macros, whole, "of the first three rows"),
        "\n## Window functions\n", _answers(con, _windows(con), whole, "of the first row"),
    ]  # fmt: skip
    return "\n".join(parts).rstrip() + "\n"


def _aggregates(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    names = dict.fromkeys(f.name for f in functions(con, "aggregate"))
    left = {n for n in names if n in LEFT_OUT or n in REFUSED or n.startswith(INTERNAL)}
    found = {n: AGGREGATES.get(n) or _first_call(con, n) for n in names if n not in left}
    return {n: c for n, c in found.items() if c}


def _first_call(con: duckdb.DuckDBPyConnection, name: str) -> str | None:
    calls = (call_of(con, f) for f in functions(con, "aggregate") if f.name == name)
    return next((c for c in calls if c), None)


def _windows(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    calls = {f.name: call_of(con, f, _WINDOW) for f in functions(con, "window")}
    return {n: f"{c} OVER (ORDER BY id)" for n, c in calls.items() if c}


def _answers(con: duckdb.DuckDBPyConnection, calls: dict[str, str], form: str, of: str) -> str:
    rows = ((f"`{n}`", f"`{c}`", _answer(con, form.format(c))) for n, c in sorted(calls.items()))
    return _table(("function", "call", of), rows)


def _answer(con: duckdb.DuckDBPyConnection, sql: str) -> str:
    found = con.execute(sql).fetchone()
    text = "NULL" if found is None or found[0] is None else str(found[0])
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 4]} ..."


def _table(head: tuple[str, ...], rows: Iterator[tuple[str, ...]] | list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(map(_cell, line)) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def main() -> None:
    """Writes the page."""
    with duckdb.connect() as con:
        con.execute("SET threads = 1")
        sample(con, "sample")
        PAGE.write_text(page(con), encoding="utf-8")


if __name__ == "__main__":
    main()
