"""Cells with mistakes and the whole text that their author reads."""

from __future__ import annotations

from typing import Any

import pytest

from stream_magic.errors import CellError
from stream_magic.language.parser import parse, parse_query

SECTIONS = ("cell", "query", "error")


def test_mistake_is_explained(golden: Any) -> None:
    kind, text = next((s.name, s.body) for s in golden.sections if s.name in ("cell", "query"))
    with pytest.raises(CellError) as caught:
        parse(text) if kind == "cell" else parse_query(text)
    golden.check("error", str(caught.value))
