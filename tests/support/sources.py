"""A memory source beside DuckDB: all that was taken from it, and how event time judged each row.

`load` writes two tables for the twins: `name`, the rows that are there, and `name_n` with what SQL
cannot see: `_n` the arrival number, `_wm` the watermark that the row is judged by, `_at` the clock's time
when it came, and a column `_late_...` for each session rule. `name_w(w)` holds the source's watermark now.
"""

from __future__ import annotations

import functools
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from support.compare import canonical
from support.events import Judge, Row, Sessions

CLOCK_START = datetime(2026, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is


@functools.cache
def oracle() -> duckdb.DuckDBPyConnection:
    """The one connection of all twins, with the macros of twins.sql: a new one for each example costs 50 ms."""
    con = duckdb.connect()
    con.execute(Path(__file__).with_name("twins.sql").read_text(encoding="utf-8"))
    return con


@dataclass
class Taken:
    """A row that an epoch took.

    Attributes:
        number: of its arrival, among those of all sources.
        mark: the watermark that it is judged by.
        at_s: the clock's time, in seconds from `CLOCK_START`.
        late: for each session rule.
    """

    row: Row
    weight: int
    number: int
    mark: datetime | None = None
    at_s: float = 0.0
    late: tuple[bool, ...] = ()


@dataclass
class Source:
    """A memory source and all that was pushed into it and taken by an epoch.

    Attributes:
        judge: follows its watermark, if it has one.
        sessions: name of a `_late_NAME` column -> the rule.
        waiting: row, weight, partition and number of what was pushed.
        marks: the watermark after the row of that number, where it rose.
    """

    name: str
    columns: str
    options: str = ""
    judge: Judge | None = None
    sessions: dict[str, Sessions] = field(default_factory=dict)
    taken: list[Taken] = field(default_factory=list)
    waiting: list[tuple[Row, int, int, int]] = field(default_factory=list)
    marks: list[tuple[int, datetime]] = field(default_factory=list)
    schema: pa.Schema | None = None
    _there: dict[Any, list[Taken]] = field(default_factory=dict)

    @property
    def is_changelog(self) -> bool:
        return "changelog = true" in self.options

    @property
    def create(self) -> str:
        more = f", {self.options}" if self.options else ""
        return f"CREATE SOURCE {self.name} ({self.columns}) WITH (connector = 'memory'{more})"

    def push(
        self, rows: Sequence[Row], weights: Sequence[int] | None, partition: int, numbers: Iterator[int]
    ) -> None:  # fmt: skip
        """Notes rows that an epoch will take."""
        assert self.schema is not None
        names = self.schema.names
        signs = [1] * len(rows) if weights is None else list(weights)
        full = [{n: row.get(n) for n in names} for row in rows]
        self.waiting += [(r, w, partition, next(numbers)) for r, w in zip(full, signs, strict=True)]

    def step(self, now_s: float) -> None:
        """What waited has come."""
        for row, weight, partition, number in self.waiting:
            taken = Taken(row, weight, number, at_s=now_s)
            if self.judge is not None:
                self._time(taken, self.judge, partition)
            self.take(taken)
        self.waiting = []

    def take(self, taken: Taken) -> None:
        self.taken.append(taken)
        same = self._there.setdefault(canonical(taken.row), [])
        if taken.weight > 0:
            same.append(taken)
        elif same:
            same.pop()  # the copy that came last

    def _time(self, taken: Taken, judge: Judge, partition: int) -> None:
        before = judge.source
        taken.mark = judge.take(taken.row, partition)
        self.judge_sessions(taken, before)
        self.note_mark(taken.number)

    def judge_sessions(self, taken: Taken, before: datetime | None) -> None:
        """Args: `before` is the source's watermark before the row."""
        assert self.judge is not None
        taken.late = tuple(
            not r.admit(taken.row, taken.mark, self.judge, before) for r in self.sessions.values()
        )

    def note_mark(self, number: int) -> None:
        """The watermark as it is now is that of the rows after this number."""
        now = None if self.judge is None else self.judge.source
        if now is not None and (not self.marks or now > self.marks[-1][1]):
            self.marks.append((number, now))

    def mark_before(self, number: int) -> datetime | None:
        """The source's watermark just before a row came, of whatever source."""
        at = bisect_left(self.marks, number, key=lambda m: m[0])
        return self.marks[at - 1][1] if at else None

    def there(self) -> list[Taken]:
        """What is there, in order of arrival."""
        return sorted((t for same in self._there.values() for t in same), key=lambda t: t.number)

    def net(self) -> list[Row]:
        """The rows that are there, in order of arrival."""
        return [t.row for t in self.there()]

    def load(self, choose: Callable[[Source], list[Row]] | None = None) -> None:
        """Makes the tables of this source anew, of all rows that are there or of those chosen."""
        assert self.schema is not None
        there = self.there()
        if choose is not None:
            there = [Taken(row, 1, n) for n, row in enumerate(choose(self), start=1)]
        con, name = oracle(), self.name
        declared = self.columns.split(", WATERMARK", maxsplit=1)[0]
        con.register("_rows", pa.Table.from_pylist([t.row for t in there], schema=self.schema))
        con.register("_hidden", self._hidden(there))
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} ({declared})")
        con.execute(f"INSERT INTO {name} FROM _rows")
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name}_n AS FROM {name} POSITIONAL JOIN _hidden")
        con.unregister("_rows")
        con.unregister("_hidden")
        if self.judge is not None:
            now = pa.table({"w": pa.array([self.judge.source], self._time_type)})
            con.register("_now", now)
            con.execute(f"CREATE OR REPLACE TEMP TABLE {name}_w AS FROM _now")
            con.unregister("_now")

    @property
    def _time_type(self) -> pa.DataType:
        assert self.schema is not None
        if self.judge is None:
            return pa.timestamp("us")
        return self.schema.field(self.judge.column).type

    def _hidden(self, there: list[Taken]) -> pa.Table:
        columns = {
            "_n": pa.array([t.number for t in there], pa.int64()),
            "_wm": pa.array([t.mark for t in there], self._time_type),
            "_at": pa.array(
                [CLOCK_START + timedelta(seconds=t.at_s) for t in there], pa.timestamp("us")
            ),
        }
        for i, name in enumerate(self.sessions):
            lates = [bool(t.late and t.late[i]) for t in there]
            columns[f"_late_{name}"] = pa.array(lates, pa.bool_())
        return pa.table(columns)
