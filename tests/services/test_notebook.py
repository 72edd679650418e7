"""`01_mysql_to_kafka.ipynb` runs top to bottom on servers of its own, and its numbers agree."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import nbformat
import pyarrow.parquet as pq
import pytest
from nbclient import NotebookClient

pytestmark = pytest.mark.services

EXAMPLES = Path(__file__).parents[2] / "examples"
NODES = {
    "orders", "products", "enriched", "to_kafka", "from_kafka", "elsewhere", "csv_files",
    "json_files", "parquet_files", "revenue", "operations",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the notebook runs: with the helpers beside it, and room for what it writes."""
    folder = tmp_path_factory.mktemp("story")
    (folder / "servers").symlink_to(EXAMPLES / "servers")
    return folder


@pytest.fixture(scope="module")
def story(folder: Path) -> nbformat.NotebookNode:
    notebook = nbformat.read(EXAMPLES / "01_mysql_to_kafka.ipynb", as_version=4)
    assert not any(c.get("outputs") for c in notebook.cells), "stored without outputs"
    client = NotebookClient(
        notebook, timeout=120, kernel_name="python3", allow_errors=True,
        resources={"metadata": {"path": str(folder)}},
    )  # fmt: skip
    client.execute()
    return notebook


def texts(notebook: nbformat.NotebookNode, start: str) -> list[str]:
    """What cells with this text show, as plain text."""
    cells = [c for c in notebook.cells if c.cell_type == "code" and start in c.source]
    return ["\n".join(o["data"]["text/plain"] for o in c.outputs) for c in cells]


def figures(status: str) -> dict[str, tuple[str, int, int]]:
    """State, rows in, rows out of each node."""
    found = {}
    for line in status.splitlines()[2:]:
        name, _, state, rows_in, rows_out = line.split()[:5]
        found[name] = (state, int(rows_in.replace(",", "")), int(rows_out.replace(",", "")))
    return found


def test_no_cell_fails_or_prints(story: nbformat.NotebookNode) -> None:
    wrong = [
        (c.source, o.get("text") or o.get("evalue"))
        for c in story.cells if c.cell_type == "code"
        for o in c.outputs if o.output_type not in ("display_data", "execute_result")
    ]  # fmt: skip
    assert wrong == []


def test_raw_events_have_what_a_change_is(story: nbformat.NotebookNode) -> None:
    [columns] = texts(story, "%stream describe orders")
    lines = dict(line.split(maxsplit=1) for line in columns.splitlines()[1:])
    assert set(lines) >= {"op", "before", "after", "ts", "source"}
    assert lines["after"].startswith("STRUCT(order_id BIGINT, customer_id UINTEGER")
    assert lines["before"] == lines["after"]
    [preview] = texts(story, "%stream preview orders")
    assert "gtid" in preview


def test_status_tells_what_happened_to_each_node(story: nbformat.NotebookNode) -> None:
    running, broken, stopped = map(figures, texts(story, "%stream status"))
    assert set(running) == set(stopped) == NODES
    assert {state for state, *_ in running.values()} == {"running"}
    assert broken["to_kafka"][0] == "reconnecting"
    assert {state for state, *_ in stopped.values()} == {"stopped"}
    assert len({stopped[n][2] for n in ("orders", "enriched", "to_kafka", "from_kafka")}) == 1
    assert stopped["elsewhere"][2] == stopped["csv_files"][2] >= 900


def test_files_and_table_agree(story: nbformat.NotebookNode, folder: Path) -> None:
    assert texts(story, "now_in_files == now_in_table") == ["True"]
    out = folder / "mysql_to_kafka_output"
    rows = []
    for file in sorted((out / "csv").glob("*.csv")):
        with file.open(newline="", encoding="utf-8") as stream:
            rows += list(csv.DictReader(stream))
    assert "10" not in {r["location_id"] for r in rows}
    lines = [t for f in (out / "json").glob("*.jsonl") for t in f.read_text().splitlines()]
    parquet = [pq.read_table(f) for f in (out / "parquet").glob("*.parquet")]
    assert len(rows) == len(lines) == sum(t.num_rows for t in parquet)
    assert sum(json.loads(t)["op"] == "d" for t in lines) == sum(r["op"] == "d" for r in rows)
    wanted = figures(texts(story, "%stream status")[-1])["csv_files"][2]
    assert len(rows) == wanted


def test_the_chart_and_the_tables_are_widgets(story: nbformat.NotebookNode) -> None:
    for start in ("%%cq revenue", "%%cq operations", "CREATE TARGET to_kafka"):
        cell = next(c for c in story.cells if start in c.source)
        kinds = [kind for o in cell.outputs for kind in o["data"]]
        assert "application/vnd.jupyter.widget-view+json" in kinds
