"""Random tables: sources that only add, changelogs, streams and tables made of them, a cache."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any

import pyarrow as pa

from support.events import Judge, Row, Sessions
from support.grammar.kinds import START, TAME, WILD, Kind
from support.sources import Source

DELAYS = (0, 5, 20)
LATENESS = (0, 0, 7)
GAPS = (5, 15)
_KEY = Kind("INTEGER", "integer", (0, 1, 2, 3))
_GROUP = Kind("VARCHAR", "text", ("a", "b", "c", ""))
_VALUES = [k for k in TAME if k.family in ("integer", "real", "decimal")]


@dataclass
class Table:
    """A source that the world may name.

    Attributes:
        columns: name -> kind. `id` is given by count, `ts` follows the events' time.
        session_gaps: name of a `_late_` column -> (gap in seconds, key).
    """

    name: str
    columns: dict[str, Kind]
    is_changelog: bool = False
    is_timed: bool = False
    partitions: int = 1
    delay_s: int = 0
    lateness_s: int = 0
    session_gaps: dict[str, tuple[int, str | None]] = field(default_factory=dict)
    repeats: bool = False

    def source(self) -> Source:
        """The source anew, with nothing taken."""
        declared = [f"{n} {k.sql}" for n, k in self.columns.items()]
        options = [f"partitions = {self.partitions}"]
        if self.is_timed:
            delay = f" - INTERVAL {self.delay_s} SECONDS" if self.delay_s else ""
            declared.append(f"WATERMARK FOR ts AS ts{delay}")
            options.append(f"allowed_lateness = '{self.lateness_s} seconds'")
            options.append("idle_timeout = '60 seconds'")
        if self.is_changelog:
            options.append("changelog = true")
        judge = Judge(
            self.partitions, timedelta(seconds=self.delay_s), timedelta(seconds=self.lateness_s)
        )
        rules = {
            n: Sessions(timedelta(seconds=g), key) for n, (g, key) in self.session_gaps.items()
        }
        return Source(
            self.name,
            ", ".join(declared),
            ", ".join(options),
            judge if self.is_timed else None,
            rules,
        )

    def row(self, rng: random.Random, number: int, at_s: float) -> Row:
        """A random row at about that time."""
        found: dict[str, Any] = {}
        for name, kind in self.columns.items():
            if name == "id":
                found[name] = number
            elif name == "ts" and self.is_timed:
                time = START + timedelta(seconds=int(at_s), milliseconds=rng.choice((0, 0, 0, 500)))
                found[name] = time.replace(tzinfo=UTC) if kind.family == "timestamptz" else time
            else:
                found[name] = rng.choice(kind.values)
            if name != "id" and rng.random() < (0.04 if name == "ts" else 0.12):
                found[name] = None
        return found


@dataclass
class World:
    """Tables, and what is made of them before the queries.

    Attributes:
        setup: statements; `streams` name what they make: name -> (table it reads, twin, is_changelog).
        cache: rows of the cache `c0`, with the key `k`.
        forget_rows: joins forget when so many rows came: 0 is in every epoch.
    """

    tables: list[Table]
    streams: dict[str, tuple[Table, str, bool]]
    setup: list[str]
    cache: pa.Table | None
    forget_rows: int = 20_000

    @classmethod
    def draw(cls, rng: random.Random) -> World:
        tables = [_table(rng, f"s{i}") for i in range(rng.choice((2, 3, 3)))]
        tables[0].is_timed, tables[0].is_changelog = True, False
        tables[1].is_changelog = rng.random() < 0.7
        tables[1].is_timed = not tables[1].is_changelog
        for table in tables:
            _time(rng, table)
        streams: dict[str, tuple[Table, str, bool]] = {}
        setup = []
        for number in range(rng.choice((0, 1, 2))):
            base, name = rng.choice(tables), f"f{number}"
            kind = rng.choice(("STREAM", "TABLE"))
            test = rng.choice(("k IS NOT NULL", "g <> 'a'", "k > 0 OR k IS NULL"))
            setup.append(f"CREATE {kind} {name} AS SELECT * FROM {base.name} WHERE {test}")
            streams[name] = (base, f"(SELECT * FROM {base.name}_n WHERE {test})", base.is_changelog)
        cache = _cache(rng) if rng.random() < 0.5 else None
        return cls(tables, streams, setup, cache, rng.choice((0, 20_000)))

    @property
    def timed(self) -> list[Table]:
        return [t for t in self.tables if t.is_timed]

    @property
    def cache_statement(self) -> str:
        return "CREATE CACHE c0 KEY (k) WITH (connector = 'file', path = '{path}')"


def _table(rng: random.Random, name: str) -> Table:
    columns = {"id": Kind("BIGINT", "integer", ())}
    columns["k"] = Kind(rng.choice(("INTEGER", "BIGINT", "SMALLINT")), "integer", _KEY.values)
    columns["g"] = _GROUP
    columns["v"] = rng.choice(_VALUES)
    columns["ts"] = Kind("TIMESTAMP", "timestamp", (START,))
    for i, kind in enumerate(rng.sample(TAME, 2) + rng.sample(WILD, rng.choice((1, 2, 3)))):
        columns[f"c{i}"] = kind
    if rng.random() < 0.3:
        columns = dict(rng.sample(list(columns.items()), len(columns)))
    return Table(name, columns)


def _time(rng: random.Random, table: Table) -> None:
    table.partitions = rng.choice((1, 1, 4))
    table.repeats = rng.random() < 0.25
    if table.is_timed:
        table.delay_s, table.lateness_s = rng.choice(DELAYS), rng.choice(LATENESS)
        gap = rng.choice(GAPS)
        table.session_gaps = {"all": (gap, None), "k": (gap, "k")}
        if rng.random() < 0.2:
            table.columns["ts"] = Kind("TIMESTAMPTZ", "timestamptz", (START,))


def _cache(rng: random.Random) -> pa.Table:
    keys = rng.sample(range(-1, 5), 4)
    return pa.table(
        {
            "k": pa.array(keys, pa.int32()),
            "name": pa.array([rng.choice(("one", "two", None)) for _ in keys], pa.string()),
            "v": pa.array([rng.choice((1, 2, None)) for _ in keys], pa.int64()),
        }
    )
