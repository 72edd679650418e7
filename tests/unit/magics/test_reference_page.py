"""The cells of docs/language/magics.md run, one after the other."""

from __future__ import annotations

import reference

from unit.magics.conftest import Cells


def test_the_cells_of_the_page_run(cells: Cells) -> None:
    page = reference.FOLDER / "magics.md"
    given = [
        b for b in reference.blocks(page.read_text(encoding="utf-8")) if b.kind == "python cell"
    ]
    assert len(given) > 10
    for number, cell in enumerate(given):
        cells.ok(cell.text, f"cell-{number}")
