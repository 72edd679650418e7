"""The tour runs top to bottom without any server, and its files and tables hold what they say."""

from __future__ import annotations

import csv
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

TOUR = Path(__file__).parents[2] / "examples" / "00_tour.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tour")


@pytest.fixture(scope="module")
def tour(folder: Path) -> nbformat.NotebookNode:
    """The executed tour, stopped by the cell that ends it."""
    notebook = nbformat.read(TOUR, as_version=4)
    last = notebook.cells[-1]
    assert last.source == "# %stream stop"
    last.source = "%stream stop"
    notebook.cells.append(nbformat.v4.new_code_cell("%stream status"))
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    client.execute()
    return notebook


def outputs(notebook: nbformat.NotebookNode, start: str) -> list[nbformat.NotebookNode]:
    cell = next(c for c in notebook.cells if c.cell_type == "code" and start in c.source)
    return list(cell.outputs)


def test_no_cell_fails_or_prints(tour: nbformat.NotebookNode):
    kinds = {
        o.output_type: c.source for c in tour.cells if c.cell_type == "code" for o in c.outputs
    }
    assert set(kinds) == {"display_data", "execute_result"}, kinds


def test_rows_flowed_through_every_node(tour: nbformat.NotebookNode):
    lines = tour.cells[-1].outputs[0]["data"]["text/plain"].splitlines()
    assert lines[0].startswith("main: stopped")
    figures = {}
    for line in lines[2:]:
        name, _, state, rows_in, rows_out = line.split()[:5]
        assert state == "stopped"
        figures[name] = (int(rows_in.replace(",", "")), int(rows_out.replace(",", "")))
    assert set(figures) == {
        "orders", "changes", "products", "enriched", "to_kafka", "from_kafka", "elsewhere",
        "csv_files", "revenue", "brands", "numbers",
    }  # fmt: skip
    assert all(rows_in > 0 for rows_in, _ in figures.values())
    assert figures["to_kafka"][1] == figures["enriched"][1]
    assert figures["csv_files"][1] == figures["elsewhere"][1] >= 1000


def test_the_files_hold_all_rows_but_those_of_location_10(
    tour: nbformat.NotebookNode, folder: Path
):
    paths = sorted((folder / "tour_output" / "orders").glob("*.csv"))
    rows = []
    for path in paths:
        with path.open(newline="", encoding="utf-8") as f:
            rows.append(list(csv.DictReader(f)))
    assert all(len(r) == 500 for r in rows[:-1])
    every = [r for part in rows for r in part]
    status = tour.cells[-1].outputs[0]["data"]["text/plain"]
    line = next(t for t in status.splitlines() if t.startswith("csv_files"))
    assert f"{len(every):,}" == line.split()[4]
    assert "10" not in {r["location_id"] for r in every}
    assert len({r["location_id"] for r in every}) > 10


def test_live_views_are_widgets_with_rows_as_their_text(tour: nbformat.NotebookNode):
    for start in ("%%stream\nCREATE SOURCE orders", "%%cq changes", "%%cq revenue", "%%cq brands"):
        assert "application/vnd.jupyter.widget-view+json" in outputs(tour, start)[0]["data"]
    assert "rows shown" in outputs(tour, "%%cq brands")[0]["data"]["text/plain"]


def test_the_chart_drew_lines(tour: nbformat.NotebookNode):
    states = tour.metadata.widgets["application/vnd.jupyter.widget-state+json"]["state"].values()
    lines = [s["state"] for s in states if s["model_name"] == "LinesModel"]
    assert lines


def test_snapshots_and_errors_are_shown_as_tables(tour: nbformat.NotebookNode):
    assert "music" in outputs(tour, "app.sql(")[0]["data"]["text/html"]
    errors = outputs(tour, "%stream errors numbers")[0]["data"]["text/plain"]
    assert "Could not convert" in errors
    assert "STRUCT(" in outputs(tour, "%stream describe from_kafka")[0]["data"]["text/plain"]


def test_the_tour_is_kept_without_outputs():
    for cell in nbformat.read(TOUR, as_version=4).cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
