"""docs/language names all that there is, each with an example; the examples run in tests/golden/test_reference.py."""

from __future__ import annotations

import re

import pytest
import reference

from house.test_docs import generator
from stream_magic.language import statements
from stream_magic.language.functions import macros
from stream_magic.language.parser import parse
from stream_magic.magics.commands import COMMANDS
from stream_magic.planner.windows import WINDOW_FUNCTIONS

PAGES = {p.name: p for p in reference.pages()}
QUERIES = [e.text for p in PAGES.values() for e in reference.examples(p) if e.kind == "sql"]


def test_every_statement_has_an_example() -> None:
    cells = [e.text for e in reference.examples(PAGES["statements.md"])]
    shown = {type(s) for cell in cells for s in parse(cell, allow_select=True)}
    kinds = {
        k
        for k in vars(statements).values()
        if isinstance(k, type) and issubclass(k, statements.Statement) and k.word
    }
    assert kinds == shown


@pytest.mark.parametrize("name", sorted(WINDOW_FUNCTIONS | set(macros())))
def test_every_function_of_ours_has_an_example(name: str) -> None:
    called = re.compile(rf"\b{name}\(", re.IGNORECASE)
    assert any(called.search(q) for q in QUERIES)


def test_every_command_has_an_example() -> None:
    cells = PAGES["magics.md"].read_text(encoding="utf-8")
    assert {c for c in COMMANDS if f"\n%stream {c}" not in cells} == set()


def test_what_is_refused_is_that_of_the_code() -> None:
    assert PAGES["refused.md"].read_text(encoding="utf-8") == generator().refused(), (
        "run `make docs`"
    )


def test_meanings_are_those_of_the_code() -> None:
    page = PAGES["series.md"].read_text(encoding="utf-8")
    assert page == generator().with_macros(page), "run `make docs`"
