"""Law files: rows in, changes out, epoch by epoch (STYLE.md 4).

`stream s(columns) [options]` declares a memory source, `query` the SELECT; then `epoch` holds the
rows that come (`+ 1 10` or `- 1 10`, values as SQL literals parted by blanks, `s: + 1` for one of
several streams) and `changes` what is emitted. Each file runs three ways: as written, all input in
one epoch, one row an epoch; the sum of what is emitted is the same.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

import pyarrow as pa
import pytest

import stream_magic
from stream_magic.contracts.testkit import ManualClock
from support.compare import canonical
from support.sources import oracle

SECTIONS = ("stream", "query", "epoch", "changes")
_VALUE = re.compile(r"'(?:[^']|'')*'|\{[^}]*\}|\[[^\]]*\]|\S+")
Change = tuple[str, int, list[str]]


class Run:
    """One app for a law file."""

    def __init__(self, golden: Any) -> None:
        self.app = stream_magic.App("golden", clock=ManualClock("2026-01-01 00:00:00"))
        self.streams: list[str] = []
        for s in golden.sections:
            if s.name == "stream":
                name, columns, options = _declaration(s.head)
                self.streams.append(name)
                self.app.execute(
                    f"CREATE SOURCE {name} ({columns}) WITH (connector = 'memory'{options})"
                )
        query = next(s for s in golden.sections if s.name == "query")
        self.app.execute(f"CREATE TABLE r AS {query.head}\n{query.body}")
        self.schema: pa.Schema = self.app["r"].schema
        self.emitted: list[pa.Table] = []
        self.app["r"].subscribe(lambda _epoch, delta: self.emitted.append(delta))

    def push(self, name: str, weight: int, values: list[str]) -> None:
        schema = self.app[name].schema
        items = [f"{v} AS c{i}" for i, v in enumerate(values)]
        literal = oracle().sql(f"SELECT {', '.join(items)}").to_arrow_table()
        row = dict(zip(schema.names, literal.to_pylist()[0].values(), strict=True))
        changelog = weight < 0 or self.takes_weights
        self.app.push(name, [row], [weight] if changelog else None)

    takes_weights = False

    def step(self) -> str:
        self.emitted.clear()
        self.app.step()
        rows = [r for delta in self.emitted for r in delta.to_pylist()]
        return "\n".join(sorted((_line(r) for r in rows), key=lambda t: (t[2:], t[0] == "+")))


def _declaration(head: str) -> tuple[str, str, str]:
    name, rest = head.split("(", 1)
    columns, options = rest.rsplit(")", 1)
    return name.strip(), columns, f", {options.strip()}" if options.strip() else ""


def _changes(golden: Any) -> list[list[Change]]:
    first = next(_declaration(s.head)[0] for s in golden.sections if s.name == "stream")
    sections = [s for s in golden.sections if s.name == "epoch"]
    return [[_change(line, first) for line in s.lines] for s in sections]


def _change(line: str, first: str) -> Change:
    name, rest = line.split(": ", 1) if re.match(r"\w+: ", line) else (first, line)
    return name, 1 if rest[0] == "+" else -1, _VALUE.findall(rest[1:])


def _line(row: dict[str, Any]) -> str:
    weight = row.pop("_weight")
    sign = "+" if weight > 0 else "-"
    return " ".join([sign, *("NULL" if v is None else str(v) for v in row.values())])


def _run(golden: Any) -> Run:
    run = Run(golden)
    run.takes_weights = any("changelog = true" in s.head for s in golden.sections)
    return run


def test_changes_are_emitted_epoch_by_epoch(golden: Any) -> None:
    run = _run(golden)
    expected = [s for s in golden.sections if s.name == "changes"]
    epochs = _changes(golden)
    if golden.update:
        assert len(expected) == len(epochs), "write an empty `changes` after each epoch"
    for changes, section in zip(epochs, expected, strict=True):
        for change in changes:
            run.push(*change)
        golden.check(section, run.step())
    run.app.close()


@pytest.mark.parametrize("cut", ["all input in one epoch", "one row an epoch"])
def test_the_end_is_the_same_however_epochs_are_cut(golden: Any, cut: str) -> None:
    written, other = _run(golden), _run(golden)
    for changes in _changes(golden):
        for change in changes:
            written.push(*change)
            other.push(*change)
            if cut == "one row an epoch":
                other.app.step()
        written.app.step()
    other.app.step()
    ends = [
        Counter(map(canonical, run.app.sql("SELECT * FROM r").to_arrow_table().to_pylist()))
        for run in (written, other)
    ]
    assert ends[0] == ends[1]
    for run in (written, other):
        run.app.close()
