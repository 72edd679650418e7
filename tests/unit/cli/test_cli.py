from __future__ import annotations

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stream_magic.cli.main import main
from support.python_functions import _functions  # noqa: F401

PIPELINE = """
CREATE SOURCE orders WITH (connector = 'generator', rows = 500, start = '2026-01-01 00:00:00');
CREATE STREAM paid AS SELECT after.order_id, after.amount, after.note FROM orders WHERE after.status = 'paid';
CREATE TARGET files FROM paid WITH (connector = 'file', path = '{out}') FORMAT csv;
"""


def csv_rows(folder: Path) -> list[dict[str, str]]:
    rows: list[dict[str, str]] = []
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="", encoding="utf-8") as f:
            rows += list(csv.DictReader(f))
    return rows


def test_run_executes_a_file_until_its_sources_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "shop.sql"
    script.write_text(PIPELINE.format(out=tmp_path / "out"))
    assert main(["run", str(script)]) == 0
    rows = csv_rows(tmp_path / "out")
    assert len(rows) > 10
    assert list(rows[0]) == ["order_id", "amount", "note"]
    assert "complete" in capsys.readouterr().out


def test_run_takes_the_stream_and_cq_cells_of_a_notebook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cells = [
        ("markdown", "# A shop"),
        ("code", "%load_ext stream_magic\nprint('not run')"),
        ("code", "%%stream shop\n" + PIPELINE.format(out=tmp_path / "out")),
        (
            "code",
            "%%cq total --chart line --x n --y total\nSELECT count(*) AS n, sum(amount) AS total FROM paid",
        ),
        ("code", "%%cq --once\nSELECT 1 AS x FROM paid"),
    ]
    assert main(["run", str(written(tmp_path, cells))]) == 0
    said = capsys.readouterr().out
    assert "not run" not in said
    assert "total" in said
    assert len(csv_rows(tmp_path / "out")) > 10


@pytest.mark.usefixtures("_functions")
def test_run_defines_the_python_functions_of_a_notebook(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    define = "@stream_magic.udf(deterministic=True)\ndef rooted(x: float) -> float:\n    return math.sqrt(x)"
    query = "AS SELECT rooted(after.order_id) AS root FROM orders WHERE after IS NOT NULL"
    cells = [
        ("code", "import math\nimport stream_magic\nprint('not run')"),
        ("code", define),
        ("code", "%%stream shop\n" + PIPELINE.format(out=tmp_path / "out")),
        ("code", (f"%%stream\nCREATE STREAM roots {query};\nCREATE TARGET r FROM roots "
         f"WITH (connector = 'file', path = '{tmp_path / 'roots'}') FORMAT csv")),
    ]  # fmt: skip
    assert main(["run", str(written(tmp_path, cells))]) == 0
    assert "not run" not in capsys.readouterr().out
    roots = [float(row["root"]) for row in csv_rows(tmp_path / "roots")]
    assert 1.0 in roots
    assert pytest.approx(2**0.5) in roots


def written(folder: Path, cells: list[tuple[str, str]]) -> Path:
    """A notebook of these cells."""
    listed = [{"cell_type": kind, "source": text.splitlines(keepends=True)} for kind, text in cells]
    path = folder / "shop.ipynb"
    path.write_text(json.dumps({"cells": listed}))
    return path


def test_run_says_what_is_wrong_and_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "shop.sql"
    script.write_text("CREATE SOURCE s WITH (connector = 'generatr')")
    assert main(["run", str(script)]) == 1
    assert "did you mean 'generator'?" in capsys.readouterr().err
    assert main(["run", str(tmp_path / "none.sql")]) == 1
    assert "there is no file" in capsys.readouterr().err


def test_the_headless_demo_counts_the_same_rows_everywhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--headless", "--seconds", "3", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out.splitlines()
    report = json.loads(said[-1])
    assert report["agree"] is True
    assert set(report["checks"].values()) == {True}
    orders = pq.read_table(tmp_path / "input_log.parquet")
    assert orders.num_rows == report["rows_in"]["orders"] == 600
    messages = [
        json.loads(line)
        for line in (tmp_path / "topic_dump.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    with_row = [row for row in orders.to_pylist() if row["after"] is not None]
    assert sorted(m["order_id"] for m in messages) == sorted(
        r["after"]["order_id"] for r in with_row
    )
    kept = [m for m in messages if m["location_id"] != 10]
    assert sorted(r["order_id"] for r in csv_rows(tmp_path / "orders")) == sorted(
        str(m["order_id"]) for m in kept
    )
    revenue = pq.read_table(tmp_path / "table_revenue.parquet")
    assert sum(revenue.column("orders").to_pylist()) == len(messages)


def test_doctor_has_a_line_for_everything(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--brokers", "127.0.0.1:1", "--mysql", "127.0.0.1:1"]) == 0
    said = capsys.readouterr().out
    assert "duckdb 2." in said
    assert "Kafka at 127.0.0.1:1: does not answer" in said
    assert "all that is needed is there" in said
