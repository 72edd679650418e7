"""Plans put together by hand, run without an app: what operators promise, and the plain SQL that says the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

from stream_magic.core.change import (
    BEFORE_TIME,
    LATE_BY,
    LATE_FIELD,
    SEQ,
    SEQ_FIELD,
    WEIGHT,
    WEIGHT_FIELD,
    visible,
)
from stream_magic.engine.network import Network
from stream_magic.engine.operators.base import Flow, Turn
from stream_magic.engine.program import Program
from stream_magic.engine.state import Database
from stream_magic.engine.timeline import Progress, Steps, Timeline
from stream_magic.engine.wave import Wave
from stream_magic.language.catalog import Relation
from stream_magic.planner.identity import keys
from stream_magic.planner.nodes import Join, Node, Read, Side
from support.sources import oracle

Row = dict[str, Any]
MATCH = (
    "EXISTS (SELECT 1 FROM _sm_delta AS d WHERE d.k1 = t0.k0)"  # of the other side of an outer join
)


def read(
    name: str, columns: str, *, is_changelog: bool = False, time_column: str | None = None
) -> Read:
    """A relation with columns as CREATE TABLE says them."""
    kinds = described(f"SELECT {_nulls(columns)} LIMIT 0")
    schema = oracle().sql(f"SELECT {_nulls(columns)} LIMIT 0").to_arrow_table().schema
    return Read(
        Relation(
            name, "stream", schema, tuple(kinds.values()), is_changelog=is_changelog, time_column=time_column,
        )
    )  # fmt: skip


def described(sql: str) -> dict[str, str]:
    """Names and DuckDB types of a SELECT."""
    return {str(r[0]): str(r[1]) for r in oracle().execute(f"DESCRIBE {sql}").fetchall()}


def out_schema(
    schema: pa.Schema, *, is_changelog: bool = False, has_watermark: bool = False
) -> pa.Schema:
    """Visible columns and the engine's."""
    extra = [SEQ_FIELD, *([LATE_FIELD] if has_watermark else [])]
    return pa.schema([*schema, *extra, *([WEIGHT_FIELD] if is_changelog else [])])


def side(r: Read, **more: Any) -> Side:
    return Side(r, tuple(r.relation.schema.names), r.relation.types, **more)


def interval_join(kind: str = "JOIN", **options: Any) -> tuple[Join, list[Read]]:
    """b at most 10 after a; each side's time is its watermark. `kind` may be LEFT JOIN."""
    a = read("a", "k0 INTEGER; t0 BIGINT", time_column="t0", **options)
    b = read("b", "k1 INTEGER; t1 BIGINT", time_column="t1", **options)
    is_inner = kind == "JOIN"
    sides = (
        side(a, late_us="t0 + 1", forget_us="t0 + 11"),
        side(b, is_linear=is_inner, touched="" if is_inner else MATCH, late_us="t1 + 1", forget_us="t1 + 1" if is_inner else "t1 + 11"),
    )  # fmt: skip
    schema = pa.schema([*a.relation.schema, *b.relation.schema])
    is_changelog = not is_inner or bool(options)
    join = Join(
        sides, f"{{0}} AS t0 {kind} {{1}} AS t1 ON t0.k0 = t1.k1 AND t1.t1 >= t0.t0 AND t1.t1 <= t0.t0 + 10",
        ("k0", "t0", "k1", "t1"), (0, 1), out_schema(schema, is_changelog=is_changelog, has_watermark=True),
        ("INTEGER", "BIGINT", "INTEGER", "BIGINT"),
    )  # fmt: skip
    return join, [a, b]


@dataclass
class Event:
    """One row of one relation; with a time, its watermark is that time."""

    relation: str
    row: Row
    weight: int = 1
    watermark_us: int | None = None


@dataclass
class Rig:
    """A program, its database, and what it was given and gave.

    `errors` and `given` are in order; `net` is what each relation holds.
    """

    root: Node
    reads: Sequence[Read]
    database: Database = field(default_factory=Database)
    given: list[pa.Table] = field(default_factory=list)
    errors: list[tuple[str, int]] = field(default_factory=list)
    net: dict[str, list[Row]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.program = Program(self.root, keys(self.root), Network(self.database, lambda _: False))
        self.net = {r.relation.id: [] for r in self.reads}
        self._marks = dict.fromkeys(self.net, BEFORE_TIME)
        self._progress = {name: Progress() for name in self.net}
        self._next = 0
        self._is_first = True

    def epoch(self, events: Sequence[Event] = (), *, breaks: bool = False) -> pa.Table:
        """Runs once; with `breaks` the transaction is rolled back, and nothing has happened."""
        flows = {r.relation.id: self._flow(r, events) for r in self.reads}
        wave = self.wave(flows, self._next + len(events) - 1)
        try:
            with self.database.transaction():
                out = wave.run(self.program, is_first=self._is_first).delta
                if breaks:
                    raise _Broken
        except _Broken:
            return out
        self._keep(events, flows, wave, out)
        return out

    def wave(self, flows: Mapping[str, Flow], last_seq: int = -1) -> Wave:
        return Wave(lambda name, _, is_first: flows[name], Turn(last_seq=last_seq))

    def total(self) -> pa.Table:
        """The sum of all that was given, as rows."""
        table = pa.concat_tables([visible(t, with_weight=True) for t in self.given])
        con = oracle()
        con.register("_given", table)
        names = ", ".join(f'"{n}"' for n in table.column_names[:-1])
        summed = con.sql(
            f"SELECT {names}, sum({WEIGHT}) AS _n FROM _given GROUP BY ALL HAVING _n <> 0"
        ).to_arrow_table()
        con.unregister("_given")
        counts = summed.column("_n").to_pylist()
        assert all(c > 0 for c in counts), "taken back, but never given"
        return summed.drop_columns("_n").take(pa.array(np.repeat(np.arange(len(counts)), counts)))

    def state_rows(self) -> int:
        """Rows in all tables of all operators."""
        tables = self.database.arrow("SELECT table_name FROM duckdb_tables()").column(0).to_pylist()
        return sum(self.database.arrow(f"SELECT count(*) AS n FROM {t}")["n"][0].as_py() for t in tables)  # fmt: skip

    def load(self, con: duckdb.DuckDBPyConnection) -> list[str]:
        """Tables with what the relations hold, in the order of `reads`."""
        names = []
        for r in self.reads:
            columns = dict(zip(r.relation.schema.names, r.relation.types, strict=True))
            con.register("_rows", pa.Table.from_pylist(self.net[r.relation.id], schema=r.relation.schema))  # fmt: skip
            declared = ", ".join(f'"{n}" {t}' for n, t in columns.items())
            con.execute(f"CREATE OR REPLACE TEMP TABLE {r.relation.id} ({declared})")
            con.execute(f"INSERT INTO {r.relation.id} FROM _rows")
            con.unregister("_rows")
            names.append(r.relation.id)
        return names

    def _flow(self, r: Read, events: Sequence[Event]) -> Flow:
        relation = r.relation
        mine = [(self._next + i, e) for i, e in enumerate(events) if e.relation == relation.id]
        numbers = np.array([n for n, _ in mine], np.int64)
        rows = pa.Table.from_pylist([e.row for _, e in mine], schema=relation.schema)
        rows = rows.append_column(SEQ_FIELD, pa.array(numbers))
        timeline = None
        if relation.time_column is not None:
            start = self._marks[relation.id]
            after = [start if e.watermark_us is None else e.watermark_us for _, e in mine]
            timeline = Timeline((Steps(start, numbers + 1, np.array(after, np.int64)),))
            rows = rows.append_column(LATE_FIELD, pa.array(timeline.before(numbers)))
        if relation.is_changelog:
            weights = pa.array([e.weight for _, e in mine], pa.int64())
            rows = rows.append_column(WEIGHT_FIELD, weights)
        return Flow(rows, timeline)

    def _keep(
        self, events: Sequence[Event], flows: Mapping[str, Flow], wave: Wave, out: pa.Table
    ) -> None:
        errors = wave.errors(self.program, is_first=self._is_first)
        self.errors += [(e.code, e.seq) for e in errors]
        wave.commit()
        self._is_first = False
        self._next += len(events)
        self.given.append(out)
        for name, flow in flows.items():
            if flow.timeline is not None:
                self._marks[name] = flow.timeline.end_us
        for e in events:
            if e.weight > 0:
                self.net[e.relation] += [e.row] * e.weight
            else:
                for _ in range(-e.weight):
                    self._take_back(e)

    def _take_back(self, e: Event) -> None:
        wanted = key(e.row)
        rows = self.net[e.relation]
        at = next((i for i, row in enumerate(rows) if key(row) == wanted), None)
        if at is not None:
            del rows[at]


def key(row: Row) -> str:
    """Equal for what SQL calls the same row."""
    return repr({k: (v + 0.0 if isinstance(v, float) else v) for k, v in row.items()})


def numbers(table: pa.Table) -> list[tuple[int, int | None]]:
    """Arrival number and judging watermark of each row."""
    marks = table.column(LATE_BY).to_pylist() if LATE_BY in table.column_names else [None] * len(table)  # fmt: skip
    return list(zip(table.column(SEQ).to_pylist(), marks, strict=True))


def _nulls(columns: str) -> str:
    pairs = [c.strip().split(" ", 1) for c in columns.split(";")]
    return ", ".join(f"NULL::{t} AS {n}" for n, t in pairs)


class _Broken(Exception):
    """An epoch that is rolled back."""
