"""Golden law files: what is declared, what happens, what is expected (tests/golden/test_law.py)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pyarrow as pa

from support.compare import rows_of
from support.events import Judge, Sessions
from support.law import Batch, Query
from support.sources import Source, oracle

SECTIONS = (
    "stream", "setup", "session", "query", "twin", "epoch", "changes", "result", "end", "idle",
)  # fmt: skip
_PIECE = r"'(?:[^']|'')*'|\{[^}]*\}|\[[^\]]*\]|\([^)]*\)"
_VALUE = re.compile(rf"(?:{_PIECE}|[^\s'{{\[(])+")
_IDLE_S = 61
_CHANGE = re.compile(r"(?:(\w+)(?:/(\d+))?: )?([+-])(.*)")


@dataclass(frozen=True)
class Change:
    source: str
    partition: int
    weight: int
    values: tuple[str, ...]


class LawFile:
    """One golden file, read."""

    def __init__(self, golden: Any) -> None:
        self.sections = golden.sections
        heads = {
            n: [f"{s.head}\n{s.body}".strip() for s in self.sections if s.name == n]
            for n in SECTIONS
        }
        self.streams, self.setup = heads["stream"], heads["setup"]
        self.sessions = heads["session"]
        self.query = Query(heads["query"][0], heads["twin"][0] if heads["twin"] else "")

    def sources(self) -> list[Source]:
        """The sources anew."""
        made = [_source(head) for head in self.streams]
        for head in self.sessions:  # session s name gap_seconds [key]
            name, rule, gap, *key = head.split()
            source = next(s for s in made if s.name == name)
            source.sessions[rule] = Sessions(timedelta(seconds=float(gap)), key[0] if key else None)
        return made

    def changes(self, section: Any) -> list[Change]:
        """The rows of one epoch."""
        first = self.streams[0].partition("(")[0].strip()
        return [_change(line, first) for line in section.lines if line.strip()]

    def play(self, batch: Batch, *, cut: str = "as written") -> Iterator[Any]:
        """Runs the sections; yields each after it has happened."""
        for section in self.sections:
            if section.name == "epoch":
                self._epoch(batch, section, cut)
            elif section.name == "idle":
                batch.idle(float(section.head or _IDLE_S))
            elif section.name == "end":
                batch.end(section.head)
            yield section
        batch.step()

    def _epoch(self, batch: Batch, section: Any, cut: str) -> None:
        for change in self.changes(section):
            source = batch.sources[change.source]
            weights = [change.weight] if source.is_changelog else None
            batch.push([row(source, change.values)], weights, change.partition, change.source)
            if cut == "one row an epoch":
                batch.step()
        if cut == "as written":
            batch.step()


def _source(head: str) -> Source:
    name, rest = head.split("(", 1)
    columns, options = rest.rsplit(")", 1)
    mark = re.search(r"WATERMARK FOR (\w+) AS \w+(?: - (INTERVAL .+))?$", columns)
    judge = None
    if mark:
        count = re.search(r"partitions = (\d+)", options)
        late = re.search(r"allowed_lateness = '([^']+)'", options)
        lateness = _duration(f"INTERVAL '{late[1]}'") if late else timedelta(0)
        judge = Judge(int(count[1]) if count else 1, _duration(mark[2]), lateness, mark[1])
    return Source(name.strip(), columns, options.strip(), judge)


def _duration(interval: str | None) -> timedelta:
    if not interval:
        return timedelta(0)
    found: timedelta = oracle().sql(f"SELECT {interval}").fetchall()[0][0]
    return found


def _change(line: str, first: str) -> Change:
    found = _CHANGE.fullmatch(line.strip())
    assert found, f"not a change: {line}"
    values = tuple(_VALUE.findall(found[4]))
    return Change(found[1] or first, int(found[2] or 0), 1 if found[3] == "+" else -1, values)


def row(source: Source, values: tuple[str, ...]) -> dict[str, Any]:
    """SQL literals as the values of a row."""
    assert source.schema is not None
    declared = source.columns.partition(", WATERMARK")[0]
    oracle().execute(f"CREATE OR REPLACE TEMP TABLE _literals ({declared})")
    oracle().execute(f"INSERT INTO _literals VALUES ({', '.join(values)})")
    found: dict[str, Any] = oracle().sql("FROM _literals").to_arrow_table().to_pylist()[0]
    return found


def shown_delta(deltas: list[pa.Table]) -> str:
    """What was emitted: a line a row, its sign before it."""
    lines = []
    for delta in deltas:
        weights = delta.column("_weight").to_pylist()
        rows = rows_of(delta.drop_columns(["_weight"]))
        for values, weight in zip(rows, weights, strict=True):
            lines += [f"{'+' if weight > 0 else '-'} {_shown(values)}".rstrip()] * abs(weight)
    return _sorted_changes(lines)


def shown_difference(before: Counter[Any], after: Counter[Any]) -> str:
    lines = [f"- {_shown(v)}".rstrip() for v in (before - after).elements()]
    lines += [f"+ {_shown(v)}".rstrip() for v in (after - before).elements()]
    return _sorted_changes(lines)


def shown_rows(rows: Iterator[Any]) -> str:
    return "\n".join(sorted(_shown(r) for r in rows))


def _sorted_changes(lines: list[str]) -> str:
    return "\n".join(sorted(lines, key=lambda t: (t[2:], t[0] == "+")))


def _shown(values: tuple[Any, ...]) -> str:
    return " ".join("NULL" if v is None else _text(v) for v in values)


def _text(value: Any) -> str:
    """Of canonical values: a STRUCT is a tuple of pairs, a LIST a tuple."""
    if not isinstance(value, tuple):
        return f"{value:.10g}" if isinstance(value, float) else str(value)
    is_struct = bool(value) and all(
        isinstance(v, tuple) and len(v) == 2 and isinstance(v[0], str) for v in value
    )
    if is_struct:
        return "{" + ", ".join(f"{k}: {_text(v)}" for k, v in value) + "}"
    return "[" + ", ".join("NULL" if v is None else _text(v) for v in value) + "]"
