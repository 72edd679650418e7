"""Cells whose names or types do not fit, or that have no rule: the whole text that their author reads."""

from __future__ import annotations

from typing import Any

import pytest

import stream_magic
from stream_magic.errors import StreamMagicError

SECTIONS = ("setup", "cell", "error")


def test_mistake_is_explained(golden: Any) -> None:
    app = stream_magic.App("golden")
    app.execute(golden["setup"])
    before = app.status()
    cells = [s for s in golden.sections if s.name == "cell"]
    errors = [s for s in golden.sections if s.name == "error"]
    assert len(cells) == len(errors), "write an empty `error` after each cell"
    for cell, error in zip(cells, errors, strict=True):
        with pytest.raises(StreamMagicError) as caught:
            app.execute(cell.body)
        golden.check(error, str(caught.value))
        assert app.status() == before, "a cell with an error changes nothing"
    app.close()
