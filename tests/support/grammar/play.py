"""Plays queries over a history and says where the app and DuckDB differ; makes a difference small."""

from __future__ import annotations

import contextlib
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from stream_magic.errors import StreamMagicError
from support.grammar.history import End, Event, Idle, Push, Step, smaller
from support.grammar.shapes import Drawn
from support.grammar.world import World
from support.law import Batch, Query, Trial
from support.sources import oracle

_IDLE_S = 61


@dataclass(frozen=True)
class Difference:
    """A query whose result is not DuckDB's."""

    drawn: Drawn
    world: World
    events: tuple[Event, ...]
    message: str


@dataclass
class Figures:
    """What a run has seen."""

    queries: int = 0
    comparisons: int = 0
    met: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    refusals: dict[str, str] = field(default_factory=dict)  # code -> the first query
    unsuited: Counter[str] = field(default_factory=Counter)  # DuckDB itself does not take it
    differences: list[Difference] = field(default_factory=list)

    def add(self, other: Figures) -> None:
        self.queries += other.queries
        self.comparisons += other.comparisons
        self.met += other.met
        self.refused += other.refused
        self.unsuited += other.unsuited
        self.refusals = {**other.refusals, **self.refusals}
        self.differences += other.differences


def play(world: World, drawn: Sequence[Drawn], events: Sequence[Event]) -> Figures:
    """Runs all queries over the history, comparing each after each epoch until it differs."""
    figures = Figures()
    empty_tables(world)
    taken = [d for d in drawn if _suits(d, figures)]
    with _trial(world, taken) as trial:
        for i, error in trial.refused.items():
            figures.refused[error.code] += 1
            figures.refusals.setdefault(error.code, f"{taken[i].sql}  -- {error.message}")
        for i in trial.running:
            figures.queries += 1
            figures.met.update(taken[i].met)
        alive = set(trial.running)
        for at, event in enumerate(events):
            if not happen(trial, event):
                continue
            for i in sorted(alive):
                message = _difference(trial, i, figures)
                if message is not None:
                    alive.discard(i)
                if message:
                    seen = tuple(events[: at + 1])
                    figures.differences.append(Difference(taken[i], world, seen, message))
    return figures


def happen(batch: Batch, event: Event) -> bool:
    """One event; True if an epoch ended and results may be compared."""
    if isinstance(event, Push):
        is_changelog = batch.sources[event.source].is_changelog
        weights = [event.weight] if is_changelog else None
        batch.push([event.row], weights, event.partition, event.source)
        return False
    if isinstance(event, End):
        batch.end(event.source)
    elif isinstance(event, Idle):
        batch.idle(_IDLE_S)
    else:
        batch.step()
    return True


def _difference(trial: Trial, i: int, figures: Figures) -> str | None:
    """What differs; '' if DuckDB itself fails on these rows; None if all is well."""
    try:
        trial.expected(trial.queries[i])
    except duckdb.Error as e:
        figures.unsuited[f"fails on rows: {str(e).partition(chr(10))[0][:60]}"] += 1
        return ""
    figures.comparisons += 1
    try:
        trial.check_one(i)
    except AssertionError as e:
        return str(e) or "it differs"
    except (StreamMagicError, duckdb.Error) as e:
        return f"{type(e).__name__}: {e}"
    return None


def _suits(drawn: Drawn, figures: Figures) -> bool:
    """DuckDB binds and runs the twin over empty tables."""
    try:
        oracle().sql(drawn.twin).fetchall()
    except duckdb.Error as e:
        figures.unsuited[str(e).partition("\n")[0][:90]] += 1
        return False
    return True


def empty_tables(world: World) -> None:
    """The twins' tables without rows."""
    con = oracle()
    for table in world.tables:
        declared = table.source().columns.partition(", WATERMARK")[0]
        lates = "".join(f", _late_{n} BOOLEAN" for n in table.session_gaps)
        time = table.columns["ts"].sql
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table.name} ({declared})")
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {table.name}_n ({declared}, _n BIGINT, _wm {time}{lates})"
        )
        con.execute(f"CREATE OR REPLACE TEMP TABLE {table.name}_w (w {time})")
    if world.cache is not None:
        con.register("_cache", world.cache)
        con.execute("CREATE OR REPLACE TEMP TABLE c0 AS FROM _cache LIMIT 0")


@contextlib.contextmanager
def _trial(world: World, drawn: Sequence[Drawn]) -> Iterator[Trial]:
    queries = [Query(d.sql, d.twin) for d in drawn]
    sources = [t.source() for t in world.tables]
    with tempfile.TemporaryDirectory() as folder:
        setup, tables = list(world.setup), {}
        if world.cache is not None:
            path = Path(folder) / "c0.parquet"
            pq.write_table(world.cache, path)
            setup.append(world.cache_statement.format(path=path))
            tables["c0"] = world.cache
        trial = Trial(sources, queries, setup, tables, may_refuse=True, checks=False)
        try:
            yield trial
        finally:
            trial.app.close()


def shrink(found: Difference, tries: int = 300) -> Difference:
    """A smaller query and history that still differ; greedy, with so many plays."""
    left = [tries]
    query = True
    while query and left[0] > 0:
        query = False
        for smaller_query in found.drawn.query.smaller():
            drawn = replace(found.drawn, query=smaller_query)
            worse = _still(found.world, drawn, found.events, left)
            if worse is not None:
                found, query = worse, True
                break
    better = True
    while better and left[0] > 0:
        better = False
        for events in smaller(found.events):
            worse = _still(found.world, found.drawn, (*events, Step()), left)
            if worse is not None and len(worse.events) < len(found.events):
                found, better = worse, True
                break
    return found


def _still(
    world: World, drawn: Drawn, events: Sequence[Event], left: list[int]
) -> Difference | None:
    left[0] -= 1
    if left[0] < 0:
        return None
    figures = play(world, [drawn], events)
    return figures.differences[0] if figures.differences else None
