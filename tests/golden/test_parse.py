"""Cells and the statements that they are read as."""

from __future__ import annotations

import dataclasses
from typing import Any

from stream_magic.errors import Span
from stream_magic.language.parser import parse, render
from stream_magic.language.statements import Name, OptionLiteral, Query

SECTIONS = ("cell", "tree")


def test_cell_is_read_as_these_statements(golden: Any) -> None:
    statements = parse(golden["cell"], allow_select=True)
    golden.check("tree", "\n".join(line for s in statements for line in tree(s)))


def test_statements_survive_being_printed(golden: Any) -> None:
    statements = parse(golden["cell"], allow_select=True)
    printed = "; ".join(render(s) for s in statements)
    assert parse(printed, allow_select=True) == statements
    assert "; ".join(render(s) for s in parse(printed, allow_select=True)) == printed


def tree(node: Any, indent: str = "") -> list[str]:
    """The fields that say something, one a line; a query as DuckDB's text."""
    lines = [f"{indent}{type(node).__name__}"]
    for f in dataclasses.fields(node):
        value = getattr(node, f.name)
        if isinstance(value, Span) or value in (None, (), False):
            continue
        lines += shown(f.name, value, f"{indent}  ")
    return lines


def shown(label: str, value: Any, indent: str) -> list[str]:
    if isinstance(value, tuple):
        return [line for item in value for line in shown(label, item, indent)]
    if isinstance(value, Name):
        return [f"{indent}{label} {value.text}"]
    if isinstance(value, OptionLiteral):
        return [f"{indent}{label} {value.name.text} = {value.kind} {value.value!r}"]
    if isinstance(value, Query):
        emit = f" | emit {value.emit}" if value.emit else ""
        return [f"{indent}{label} {value.ast.sql(dialect='duckdb')}{emit}"]
    if dataclasses.is_dataclass(value):
        first, *rest = tree(value, indent)
        return [f"{indent}{label} {first.strip()}", *rest]
    return [f"{indent}{label} {value}"]
