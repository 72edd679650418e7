"""Each item of the list of bad input names tests that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
LIST = ast.get_docstring(ast.parse((TESTS / "services" / "test_bad_input.py").read_text())) or ""
ENTRIES = re.findall(r"^- (.+): (\S+)::(\S+)$", LIST, re.MULTILINE)


def test_the_list_is_whole() -> None:
    items = dict.fromkeys(item for item, *_ in ENTRIES)
    assert len(items) == 23, list(items)
    assert LIST.count("\n- ") == len(ENTRIES), "a line could not be read"


@pytest.mark.parametrize(("item", "file", "name"), ENTRIES)
def test_the_test_of_an_item_exists(item: str, file: str, name: str) -> None:
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}, item
