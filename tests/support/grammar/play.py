"""Plays queries over a history and says where the app and DuckDB differ; makes a difference small."""

from __future__ import annotations

import contextlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from unittest.mock import patch

import duckdb
import pyarrow.parquet as pq

from stream_magic.engine.keyed import sessions
from stream_magic.engine.operators import join as join_operator
from stream_magic.engine.operators import running, waiting
from stream_magic.errors import StreamMagicError
from support.grammar import inputs
from support.grammar.clocked import BY_CLOCK
from support.grammar.figures import Figures
from support.grammar.history import End, Event, Idle, Push, Step, recut, smaller
from support.grammar.plans import Planned, met_in, watched
from support.grammar.python import defined
from support.grammar.shapes import Drawn
from support.grammar.windows import FROM_JOIN
from support.grammar.world import World
from support.law import Batch, Query, Trial
from support.sources import oracle


@dataclass(frozen=True)
class Difference:
    """A query whose result is not DuckDB's.

    Attributes:
        is_playable: playing the events shows it; else it lies between two ways to cut them.
    """

    drawn: Drawn
    world: World
    events: tuple[Event, ...]
    message: str
    is_playable: bool = True


@dataclass
class Seen:
    """What a play has seen."""

    figures: Figures = field(default_factory=Figures)
    differences: list[Difference] = field(default_factory=list)
    errors: dict[int, Counter[str]] = field(default_factory=dict)  # of a query, at the end


class Play(Trial):
    """A trial that notes how its queries were planned, and how much state each has."""

    def __init__(
        self, world: World, drawn: Sequence[Drawn], folder: Path, first: int | None = None
    ) -> None:
        self.world, self.drawn = world, drawn
        self.planned: dict[int, Planned] = {}
        self._tables: dict[int, list[str]] = {}
        setup, tables = list(world.setup), {}
        if world.cache is not None:
            pq.write_table(world.cache, folder / "c0.parquet")
            setup.append(world.cache_statement.format(path=folder / "c0.parquet"))
            tables["c0"] = world.cache
        super().__init__(
            [t.source() for t in world.sources], [Query(d.sql, d.twin) for d in drawn], setup, tables,
            joins=world.joins, first=first, may_refuse=True, checks=False,
        )  # fmt: skip
        self.step()
        self._empty = {i: self._state_rows(i) for i in self.running}

        self.late: set[int] = set()

    def start_late(self) -> set[int]:
        """The other queries begin, in the middle of the history. Numbers of those that run."""
        rest = set(range(len(self.queries))) - set(self.running) - set(self.refused)
        for i in sorted(rest):
            self.start(i)
        self.late = rest & set(self.running)
        return self.late

    def create(self, i: int) -> None:
        there = self._state_tables()
        with watched() as self.planned[i]:
            super().create(i)
        self._tables[i] = sorted(self._state_tables() - there)

    def met(self, i: int) -> set[str]:
        """By a query that runs."""
        plan = self.app._engine.flow.get(f"r{i}").plan  # type: ignore[union-attr]
        found = {*self.drawn[i].met, *met_in(plan), *self.planned[i].rules}
        if self._is_changelog_only(i):
            found.add("input:only changelogs")
        if i in self.late:
            found.add("input:begins in the middle")
        return found

    def left_behind(self, i: int) -> str | None:
        """What state there is though all input was taken back; None if there is input, or was none."""
        if i not in self._empty or not self._is_changelog_only(i):
            return None
        changelogs = [s for s in self.sources.values() if s.is_changelog]
        if any(s.there() for s in changelogs) or not any(s.taken for s in changelogs):
            return None
        rows = self._state_rows(i)
        more = {t: n for t, n in rows.items() if n != self._empty[i][t]}
        return f"taken back, and state is left: {more}" if more else ""

    def _is_changelog_only(self, i: int) -> bool:
        """It reads nothing but sources that take back."""
        plan = self.app._engine.flow.get(f"r{i}").plan  # type: ignore[union-attr]
        made = {n: base.name for n, (base, _, _) in self.world.streams.items()}
        names = {made.get(n, n) for n in plan.inputs}
        return bool(names) and all(
            n in self.sources and self.sources[n].is_changelog for n in names
        )

    def _state_rows(self, i: int) -> dict[str, int]:
        con = self.app._engine.database
        counts = {t: con.arrow(f"SELECT count(*) AS n FROM {t}") for t in self._tables[i]}
        return {t: n.column("n")[0].as_py() for t, n in counts.items()}

    def _state_tables(self) -> set[str]:
        sql = "SELECT table_name AS n FROM duckdb_tables() WHERE schema_name = 'main'"
        return set(self.app._engine.database.arrow(sql).column("n").to_pylist())


def play(world: World, drawn: Sequence[Drawn], events: Sequence[Event]) -> Seen:
    """Runs all queries over the history, comparing each after each epoch until it differs."""
    seen = Seen()
    late_from = len(events) // 2 if len(drawn) > 1 else len(events)
    with _playing(world, drawn, seen, late=len(drawn) // 4) as trial:
        alive, compared = set(trial.running), set()
        for at, event in enumerate(events):
            if not happen(trial, event):
                continue
            if at >= late_from:
                late_from = len(events)
                alive |= trial.start_late()
            scale = trial.scale()
            for i in sorted(alive):
                message = _difference(trial, i, seen.figures, scale)
                if message == _FAILS:
                    alive.discard(i)
                    continue
                compared.add(i)
                if message:
                    alive.discard(i)
                    happened = tuple(events[: at + 1])
                    seen.differences.append(Difference(trial.drawn[i], world, happened, message))
        found = inputs.met_in(world, events)
        seen.figures.queries = len(compared)
        for i in compared:
            seen.figures.met.update(trial.met(i) | found)
        _count_refusals(trial, seen.figures)
        seen.errors = {i: _errors(trial, i) for i in alive - trial.late}
    return seen


def play_recut(world: World, drawn: Sequence[Drawn], events: Sequence[Event], before: Seen, *, by_rows: bool) -> Seen:  # fmt: skip
    """The same history with epochs cut elsewhere: results in the end, and errors, are those of `before`."""
    seen = Seen()
    again = recut(events, by_rows=by_rows)
    name = "cuts:a row an epoch" if by_rows else "cuts:all in one epoch"
    with _playing(world, drawn, seen) as trial:
        for event in again:
            happen(trial, event)
        for i in sorted(set(before.errors) & set(trial.running)):
            message = _difference(trial, i, seen.figures, trial.scale())
            if message == _FAILS:
                continue
            seen.figures.met[name] += 1
            if not message and (errors := _errors(trial, i)) != before.errors[i]:
                message = f"{name}: other errors: {errors - before.errors[i]}, {before.errors[i] - errors}"  # fmt: skip
                seen.differences.append(Difference(trial.drawn[i], world, tuple(again), message, is_playable=False))  # fmt: skip
            elif message:
                seen.differences.append(Difference(trial.drawn[i], world, tuple(again), f"{name}: {message}"))  # fmt: skip
    seen.figures.unsuited.clear()  # counted in the first play
    return seen


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
        batch.idle(event.seconds)
    else:
        batch.step()
    return True


_FAILS = "DuckDB itself fails"


def _difference(trial: Play, i: int, figures: Figures, scale: float) -> str:
    """What differs; '' if all is well."""
    try:
        expected = trial.expected(trial.queries[i])
    except duckdb.Error as e:
        figures.unsuited[f"fails on rows: {str(e).partition(chr(10))[0][:60]}"] += 1
        return _FAILS
    figures.comparisons += 1
    try:
        trial.check_one(i, expected, scale)
    except AssertionError as e:
        return str(e) or "it differs"
    except (StreamMagicError, duckdb.Error) as e:
        return f"{type(e).__name__}: {e}"
    left = trial.left_behind(i)
    if left is not None:
        figures.met["undo:nothing is left in the state"] += 1
    return left or ""


def _errors(trial: Play, i: int) -> Counter[str]:
    """Codes and raw rows of `errors.NAME`."""
    node = trial.app._engine.flow.get(f"r{i}")
    if node is None or not node.errors.history().num_rows:
        return Counter()
    is_one = (
        FROM_JOIN not in trial.drawn[i].met
    )  # rows that arrive together are shown as the first of them
    return Counter(f"{e['code']} {e['raw'] if is_one else ''}" for e in trial.errors(i))


def _count_refusals(trial: Play, figures: Figures) -> None:
    for i, error in trial.refused.items():
        figures.refused[error.code] += 1
        figures.refusals.setdefault(error.code, f"{trial.drawn[i].sql}  -- {error.message}")


def _begins(drawn: Drawn) -> bool:
    """If it may begin in the middle: by the clock, what came before comes then."""
    return BY_CLOCK not in drawn.met


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
    Batch([t.source() for t in world.sources], joins=world.joins)
    con = oracle()
    if world.cache is not None:
        con.register("_cache", world.cache)
        con.execute("CREATE OR REPLACE TEMP TABLE c0 AS FROM _cache LIMIT 0")


@contextlib.contextmanager
def _playing(world: World, drawn: Sequence[Drawn], seen: Seen, late: int = 0) -> Iterator[Play]:
    """The queries that DuckDB takes, in an app; so many of them begin later."""
    began = time.monotonic()
    empty_tables(world)
    with (
        defined(),
        tempfile.TemporaryDirectory() as folder,
        patch.object(join_operator, "_FORGET_ROWS", world.forget_rows),
        patch.object(waiting, "_FORGET_ROWS", world.forget_rows),
        patch.object(running, "_FORGET", world.forget_rows),
        patch.object(sessions, "_FORGET", world.forget_rows),
    ):
        taken = sorted((d for d in drawn if _suits(d, seen.figures)), key=_begins)
        late = min(late, sum(_begins(d) for d in taken))
        trial = Play(world, taken, Path(folder), max(len(taken) - late, 1))
        try:
            yield trial
        finally:
            trial.app.close()
            seen.figures.seconds = time.monotonic() - began


def shrink(found: Difference, tries: int = 300) -> Difference:
    """A smaller query and history that still differ; greedy, with so many plays."""
    if not found.is_playable:
        return found
    left = [tries]
    if _still(found.world, found.drawn, found.events, left) is None:
        return found  # it shows beside other queries only, or where it begins in the middle
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
    differences = play(world, [drawn], events).differences
    return differences[0] if differences else None
