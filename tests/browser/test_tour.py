"""The tour in a real JupyterLab: its table and its chart move while nothing runs."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from browser.conftest import Lab, NotebookPage

pytestmark = pytest.mark.browser

TOUR = Path(__file__).parents[2] / "examples" / "00_tour.ipynb"
WATCH_MS = 20_000


def _cells() -> list[str]:
    cells = json.loads(TOUR.read_text(encoding="utf-8"))["cells"]
    return ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]


def _index(cells: list[str], words: str) -> int:
    return next(i for i, c in enumerate(cells) if words in c)


def _changes(page: Page, look: Callable[[], str]) -> None:
    before = look()
    for _ in range(WATCH_MS // 100):
        if look() != before:
            return
        page.wait_for_timeout(100)
    pytest.fail(f"nothing moved within {WATCH_MS / 1000:g} s: {before!r}")


def _shoot(page: Page, name: str) -> None:
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.wait_for_timeout(500)
        page.screenshot(path=Path(folder) / f"{name}.png")


def test_table_and_chart_of_the_tour_move_by_themselves(
    lab: Lab, page: Page, open_notebook: Callable[[str], NotebookPage]
) -> None:
    cells = _cells()
    notebook = open_notebook(lab.write("tour", cells))
    notebook.run_all()
    expect(
        page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.stderr"]')
    ).to_have_count(0)

    table = notebook.output(_index(cells, "%%cq changes"))
    expect(table.get_by_role("grid")).to_be_visible()
    notebook.show(_index(cells, "%%cq changes"))
    _changes(page, table.inner_text)

    at = _index(cells, "%%cq revenue")
    chart = notebook.show(at)
    lines = chart.locator("path.line")
    expect(lines.first).to_be_visible()
    expect(lines).to_have_count(5)
    _changes(page, lambda: lines.first.get_attribute("d") or "")
    expect(chart).to_contain_text(re.compile("books"))
    page.wait_for_timeout(15_000)
    _shoot(page, "tour-light")

    graph = notebook.show(_index(cells, "CREATE TARGET csv_files"))
    expect(graph).to_contain_text("csv_files")
    _changes(page, graph.inner_text)
    _shoot(page, "flow-light")

    notebook.set_theme("JupyterLab Dark")
    notebook.show(at)
    _shoot(page, "tour-dark")
    notebook.show(_index(cells, "%%cq brands"))
    _shoot(page, "tables-dark")
