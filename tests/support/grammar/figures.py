"""What law runs have seen, to be added up over slices, processes and days (a line of JSON for each slice)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass
class Figures:
    """Of one slice, or of many.

    Attributes:
        queries: that were compared at least once.
        comparisons: a query after an epoch.
        met: how many compared queries met each rule, node, aggregate, clause, input.
        refused: queries by code; `refusals` has the first of each.
        unsuited: queries that DuckDB itself does not take, or fails on.
        differences: golden law files with what differs.
    """

    queries: int = 0
    comparisons: int = 0
    seconds: float = 0.0
    met: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, str] = field(default_factory=dict)
    unsuited: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.queries += other.queries
        self.comparisons += other.comparisons
        self.seconds += other.seconds
        self.met += other.met
        self.refused += other.refused
        self.unsuited += other.unsuited
        self.refusals = {**other.refusals, **self.refusals}
        self.differences += other.differences

    def lacking(self, needed: Iterable[str], least: int) -> dict[str, int]:
        """What was met less often."""
        return {name: self.met[name] for name in sorted(needed) if self.met[name] < least}

    def as_json(self) -> dict[str, Any]:
        return {
            "queries": self.queries, "comparisons": self.comparisons, "seconds": round(self.seconds, 1),
            "differences": self.differences, "refused": dict(self.refused.most_common()), "refusals": self.refusals,
            "unsuited": dict(self.unsuited.most_common(30)), "met": dict(sorted(self.met.items())),
        }  # fmt: skip

    @classmethod
    def of_json(cls, found: dict[str, Any]) -> Figures:
        return cls(
            found["queries"], found["comparisons"], found["seconds"], Counter(found["met"]), Counter(found["refused"]),
            found["refusals"], Counter(found["unsuited"]), found["differences"],
        )  # fmt: skip


@dataclass(frozen=True)
class Slice:
    """Histories of the seeds [first, last], run over the sources as they were at `commit`."""

    first: int
    last: int
    commit: str
    figures: Figures


def append(path: Path, done: Slice) -> None:
    line = {"seeds": [done.first, done.last], "commit": done.commit, **done.figures.as_json()}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")


def read(paths: Iterable[Path]) -> list[Slice]:
    """The slices of all files; one that was run again replaces what it said before."""
    found: dict[tuple[int, int], Slice] = {}
    for path in paths:
        for line in path.read_text(encoding="utf-8").splitlines():
            said = json.loads(line)
            first, last = said["seeds"]
            found[first, last] = Slice(first, last, said["commit"], Figures.of_json(said))
    return list(found.values())
