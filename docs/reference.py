"""Examples of docs/language: read from the pages, run, and written back with their results.

A page is plain Markdown. In front of a result stands a fenced block, whose first line says what it is:
`sql` a query over the sample of README.md, `sql twin` the same in DuckDB's words where that is another
text, `sql cell` statements. The result is the table or the text behind it, written by `make docs`.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

import stream_magic
from stream_magic.contracts.testkit import ManualClock

FOLDER = Path(__file__).parent / "language"
EPOCHS = 3
_FENCE = re.compile(r"```(.*)")
_ALL = 1_000_000


@dataclass
class Block:
    """A fenced block. `start` and `end` are lines of the page, with the fences."""

    kind: str
    text: str
    start: int
    end: int


@dataclass
class Example:
    """A block with its result, which stands in the lines [start, end) of the page."""

    page: str
    kind: str
    text: str
    twin: str
    start: int
    end: int

    @property
    def oracle(self) -> str:
        """What DuckDB runs."""
        return self.twin or self.text


@dataclass
class Sample:
    """What the examples read.

    Attributes:
        statements: what the app runs first.
        rows: for each stream VALUES in DuckDB's SQL, by arrival.
        files: name -> text.
    """

    statements: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)


def pages() -> list[Path]:
    return sorted(FOLDER.glob("*.md"))


def sample() -> Sample:
    found = Sample()
    for block in blocks((FOLDER / "README.md").read_text(encoding="utf-8")):
        kind, _, name = block.kind.rpartition(" ")
        if block.kind == "sql sample":
            found.statements += block.text
        elif kind == "sql rows":
            found.rows[name] = block.text
        elif kind == "csv":
            found.files[name] = block.text
    return found


def examples(path: Path) -> list[Example]:
    """The blocks of a page that have results."""
    page = path.read_text(encoding="utf-8")
    lines, there = page.split("\n"), blocks(page)
    found: list[Example] = []
    for i, block in enumerate(there):
        if block.kind not in ("sql", "sql cell"):
            continue
        following = there[i + 1] if i + 1 < len(there) else None
        has_twin = following is not None and following.kind == "sql twin"
        end = following.end if has_twin and following is not None else block.end
        twin = following.text if has_twin and following is not None else ""
        found.append(Example(path.name, block.kind, block.text, twin, end, _output_end(lines, end)))
    return found


def blocks(page: str) -> list[Block]:
    """All fenced blocks of a page."""
    lines = page.split("\n")
    found: list[Block] = []
    opened: tuple[int, str] | None = None
    for number, line in enumerate(lines):
        fence = _FENCE.match(line)
        if fence and opened is None:
            opened = number, fence[1].strip()
        elif fence and opened is not None:
            text = "\n".join(lines[opened[0] + 1 : number])
            found.append(Block(opened[1], text, opened[0], number + 1))
            opened = None
    return found


def _output_end(lines: Sequence[str], start: int) -> int:
    """Where the result behind a line ends; the line itself if there is none."""
    at = start + 1
    if at >= len(lines) or not lines[at].startswith(("|", "```text")):
        return start
    if lines[at].startswith("|"):
        while at < len(lines) and lines[at].startswith("|"):
            at += 1
        return at
    return lines.index("```", at) + 1


# --- running ---------------------------------------------------------------------------------------


@contextmanager
def sample_app() -> Iterator[stream_magic.App]:
    """An app with the sample's statements, in a folder with its files."""
    given, before = sample(), Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        for name, text in given.files.items():
            (Path(folder) / name).write_text(text + "\n", encoding="utf-8")
        os.chdir(folder)
        app = stream_magic.App("reference", clock=ManualClock("2026-01-01 12:00:00"))
        try:
            app.execute(given.statements)
            yield app
        finally:
            app.close()
            os.chdir(before)


def epochs(app: stream_magic.App) -> Iterator[dict[str, pa.Table]]:
    """Pushes the sample's rows in parts; after each the app has taken a step, and all rows so far are told."""
    whole = {n: _rows(app, n, values) for n, values in sample().rows.items()}
    for part in range(1, EPOCHS + 1):
        for name, table in whole.items():
            first, last = (table.num_rows * p // EPOCHS for p in (part - 1, part))
            app.push(name, table.slice(first, last - first))
        app.step()
        yield {n: t.slice(0, t.num_rows * part // EPOCHS) for n, t in whole.items()}


def _rows(app: stream_magic.App, name: str, values: str) -> pa.Table:
    with duckdb.connect() as con:
        return (
            con.sql(f"FROM ({values})")
            .to_arrow_table()
            .rename_columns(app[name].schema.names)
            .cast(app[name].schema)
        )


def run_queries(app: stream_magic.App, found: Sequence[Example]) -> Iterator[dict[str, pa.Table]]:
    """Runs all examples as continuous queries, under the names of `name_of`; after each epoch the rows so far."""
    for number, example in enumerate(found):
        app.execute(f"CREATE TABLE {name_of(number)} AS {example.text}")
    yield from epochs(app)


def name_of(number: int) -> str:
    return f"example_{number}"


# --- writing ---------------------------------------------------------------------------------------


def written() -> dict[Path, str]:
    """All pages with their results of now."""
    results: dict[tuple[str, int], list[str]] = {}
    queries = [e for p in pages() for e in examples(p) if e.kind == "sql"]
    with sample_app() as app:
        for _ in run_queries(app, queries):
            pass
        for number, example in enumerate(queries):
            results[example.page, example.start] = shown(app[name_of(number)].preview(_ALL))
    for example, value in run_cells():
        results[example.page, example.start] = shown(value)
    return {p: with_results(p, results) for p in pages()}


def with_results(path: Path, results: Mapping[tuple[str, int], Sequence[str]]) -> str:
    """The page with these lines behind its examples."""
    lines = path.read_text(encoding="utf-8").split("\n")
    for example in reversed(examples(path)):
        result = results[path.name, example.start]
        lines[example.start : example.end] = ["", *result] if result else []
    return "\n".join(lines)


def run_cells() -> Iterator[tuple[Example, Any]]:
    """Runs the statements of all pages, one after the other, and gives what each shows."""
    for path in pages():
        cells = [e for e in examples(path) if e.kind == "sql cell"]
        if cells:
            with sample_app() as app:
                for example in cells:
                    yield example, app.execute(example.text)


def shown(value: Any) -> list[str]:
    """A result as lines of Markdown."""
    if value is None:
        return []
    if not isinstance(value, pa.Table):
        return ["```text", *str(value).rstrip().split("\n"), "```"]
    rows = [[_cell(v) for v in row.values()] for row in value.to_pylist()]
    names = value.schema.names
    return [_line(names), _line(["---"] * len(names)), *map(_line, sorted(rows))]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return f"[{', '.join(map(_cell, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {_cell(v)}" for k, v in value.items()) + "}"
    return "NULL" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
