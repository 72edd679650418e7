"""Random tables: sources that only add, changelogs, a change stream, streams and tables made of them, a cache."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import UTC, timedelta
from typing import Any

import pyarrow as pa

from support.events import Judge, Row, Sessions
from support.grammar.kinds import START, TAME, WILD, Kind
from support.joined import Joined
from support.sources import Source

DELAYS = (0, 5, 20)
LATENESS = (0, 0, 5)
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
        image: of a change stream: the columns of the rows that it tells of.
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
    image: dict[str, Kind] = field(default_factory=dict)

    @property
    def declared(self) -> str:
        """The columns with their types."""
        return ", ".join(f"{n} {k.sql}" for n, k in self.columns.items())

    @property
    def hidden(self) -> tuple[str, ...]:
        """What the twins' table has besides."""
        return ("_n", "_wm", "_at", *(f"_late_{n}" for n in self.session_gaps))

    def source(self) -> Source:
        """The source anew, with nothing taken."""
        declared = [self.declared]
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
        return Source(
            self.name,
            ", ".join(declared),
            ", ".join(options),
            judge if self.is_timed else None,
            self.session_rules(),
        )

    def session_rules(self) -> dict[str, Sessions]:
        """Anew, with nothing seen."""
        return {n: Sessions(timedelta(seconds=g), key) for n, (g, key) in self.session_gaps.items()}

    def row(self, rng: random.Random, number: int, at_s: float) -> Row:
        """A random row at about that time; of a change stream one that it tells of."""
        found: dict[str, Any] = {}
        for name, kind in (self.image or self.columns).items():
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
class Join:
    """A stream that joins two timed sources by `k`, and that twins read like a source: `table` describes it.

    Attributes:
        within_s: if it is bounded in time.
    """

    table: Table
    left: Table
    right: Table
    within_s: int | None = None

    @property
    def select(self) -> str:
        near = f" AND b.ts BETWEEN a.ts - INTERVAL {self.within_s} SECONDS AND a.ts + INTERVAL {self.within_s} SECONDS"
        shown = ", ".join(f"{'ab'[side]}.{column} AS {name}" for name, side, column in _SHOWN)
        bound = "" if self.within_s is None else near
        return f"SELECT {shown} FROM {self.left.name} AS a JOIN {self.right.name} AS b ON a.k = b.k{bound}"

    def joined(self, sources: dict[str, Source]) -> Joined:
        judge = Judge(1, timedelta(0), timedelta(seconds=self.table.lateness_s))
        return Joined(
            self.table.name, self.table.declared, "", judge, self.table.session_rules(),
            sides=(sources[self.left.name], sources[self.right.name]), shown=_SHOWN,
            within=None if self.within_s is None else timedelta(seconds=self.within_s),
        )  # fmt: skip


# Columns of a `Join`: name, side, column there.
_SHOWN = (("id", 0, "id"), ("k", 0, "k"), ("g", 1, "g"), ("v", 1, "v"), ("ts", 0, "ts"), ("other", 1, "id"))  # fmt: skip


@dataclass
class World:
    """Tables, and what is made of them before the queries.

    Attributes:
        setup: statements; `streams` name what they make: name -> (table it reads, twin, is_changelog).
        join: the stream `j0`.
        changes: a change stream, whose rows tell of a table's.
        cache: rows of the cache `c0`, with the key `k`.
        forget_rows: joins forget when so many rows came: 0 is in every epoch.
    """

    tables: list[Table]
    streams: dict[str, tuple[Table, str, bool]]
    setup: list[str]
    join: Join
    changes: Table
    cache: pa.Table | None
    forget_rows: int = 20_000

    @classmethod
    def draw(cls, rng: random.Random) -> World:
        tables = [_table(rng, f"s{i}") for i in range(rng.choice((2, 3, 3)))]
        tables[0].is_timed, tables[0].is_changelog = True, False
        tables[1].is_changelog = rng.random() < 0.6
        tables[1].is_timed = not tables[1].is_changelog
        tables[-1].is_timed |= not tables[-1].is_changelog and rng.random() < 0.4
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
        join = _join(rng, [t for t in tables if t.is_timed])
        setup.append(f"CREATE STREAM {join.table.name} AS {join.select}")
        cache = _cache(rng) if rng.random() < 0.95 else None
        return cls(tables, streams, setup, join, _changes(rng), cache, rng.choice((0, 20_000)))

    @property
    def sources(self) -> list[Table]:
        """All that rows are pushed into."""
        return [*self.tables, self.changes]

    def joins(self, sources: dict[str, Source]) -> list[Joined]:
        """For a `Batch`."""
        return [self.join.joined(sources)]

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


def _join(rng: random.Random, timed: list[Table]) -> Join:
    left = rng.choice(timed)
    right = rng.choice([t for t in timed if t.columns["ts"] == left.columns["ts"]])
    columns = {name: (left, right)[side].columns[column] for name, side, column in _SHOWN}
    gap = rng.choice(GAPS)
    table = Table(
        "j0", columns, is_timed=True, lateness_s=max(left.lateness_s, right.lateness_s),
        session_gaps={"all": (gap, None), "k": (gap, "k")},
    )  # fmt: skip
    return Join(table, left, right, rng.choice((None, 3, 30)))


def _changes(rng: random.Random) -> Table:
    image = {"id": Kind("BIGINT", "integer", ()), "k": _KEY, "g": _GROUP, "v": rng.choice(_VALUES)}
    image["ts"] = Kind(
        "TIMESTAMP", "timestamp", tuple(START + timedelta(seconds=s) for s in (0, 1, 1, 9, 70))
    )
    image |= {
        f"c{i}": kind
        for i, kind in enumerate(rng.sample([k for k in TAME if k.family != "real"], 2))
    }
    struct = f"STRUCT({', '.join(f'{n} {k.sql}' for n, k in image.items())})"
    columns = {
        "op": Kind("VARCHAR", "text", ()),
        **{n: Kind(struct, "opaque", ()) for n in ("before", "after")},
    }
    return Table("m0", columns, image=image)


def _cache(rng: random.Random) -> pa.Table:
    keys = rng.sample(range(-1, 5), 4)
    return pa.table(
        {
            "k": pa.array(keys, pa.int32()),
            "name": pa.array([rng.choice(("one", "two", None)) for _ in keys], pa.string()),
            "v": pa.array([rng.choice((1, 2, None)) for _ in keys], pa.int64()),
        }
    )
