"""One query by all systems: started, checked once, then timed in turn."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from bench.peers import agreement
from bench.peers.adapters import adapter
from bench.peers.environment import CannotInstallError, python_of
from bench.peers.files import read_rows
from bench.peers.member import DiedError, Member
from bench.peers.peer import NotExpressibleError
from bench.peers.queries import Query
from bench.peers.rows import write_rows

BATCH = "DuckDB, one batch"
_WARM = 2  # rounds that are not counted, after the one that is checked: compilers in the system get warm

SLOW_S = 10.0  # a system that takes longer runs once


@dataclass(frozen=True)
class Timed:
    """What one system took for one query over so many bids: the medians. `reason` is why there are none."""

    system: str
    rows: int = 0
    wall_s: float = 0
    cpu_s: float = 0
    versions: str = ""
    reason: str = ""

    @property
    def wall_of_a_row(self) -> float:
        return self.wall_s / self.rows

    @property
    def cpu_of_a_row(self) -> float:
        return self.cpu_s / self.rows


@dataclass(frozen=True)
class Given:
    """So many bids, and for slow systems a share of them, each in a folder that is written when first asked for."""

    root: Path
    rows: int

    def folder(self, share: int) -> Path:
        folder = self.root / str(share)
        if not folder.exists():
            folder.mkdir()
            write_rows(folder, self.rows // share)
        return folder


def measured(query: Query, systems: Sequence[str], given: Given, rounds: int) -> Iterator[Timed]:
    """The batch first, then the systems in their order. All take their rounds in turn, so that a noisy moment hits all."""
    yield Timed(
        BATCH,
        given.rows,
        *_batch_times(query, given.folder(1), rounds),
        f"duckdb {duckdb.__version__}",
    )
    members: dict[str, tuple[Member, str]] = {}
    failed: dict[str, Timed] = {}
    with _closing() as open_members:
        for system in systems:
            try:
                folder = given.folder(adapter(system).share)
                member = Member(system, query.name, python_of(system), folder)
                open_members.append(member)
                members[system] = member, member.started()
                agreement.check(member.answer(), _batch(query, folder))
            except NotExpressibleError as e:
                failed[system] = Timed(system, reason=f"not expressible: {e}")
            except (CannotInstallError, DiedError, agreement.DisagreementError) as e:
                failed[system] = Timed(system, reason=f"{type(e).__name__}: {e}")
            if system in failed:
                members.pop(system, None)
        times = _in_turn({s: m for s, (m, _) in members.items()}, rounds)
    for system in systems:
        if system in failed:
            yield failed[system]
        else:
            rows = given.rows // adapter(system).share
            yield Timed(system, rows, *middle(times[system]), members[system][1])


def middle(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median of each."""
    walls, cpus = zip(*times, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def _in_turn(members: dict[str, Member], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """The first rounds are not counted, but of a slow system: its first round is its only one."""
    times: dict[str, list[tuple[float, float]]] = {system: [] for system in members}
    for n in range(_WARM + rounds):
        for system, member in members.items():
            if times[system] and times[system][0][0] > SLOW_S:
                continue
            found = member.round()
            if n >= _WARM or found[0] > SLOW_S:
                times[system].append(found)
    return times


@contextmanager
def _closing() -> Iterator[list[Member]]:
    members: list[Member] = []
    try:
        yield members
    finally:
        for member in members:
            member.close()


def _batch(query: Query, folder: Path) -> pa.Table:
    with duckdb.connect() as con:
        for name, table in read_rows(folder, query.reads).items():
            con.register(name, table)
        return con.sql(query.batch).to_arrow_table()


def _batch_times(query: Query, folder: Path, rounds: int) -> tuple[float, float]:
    with duckdb.connect() as con:
        for name, table in read_rows(folder, query.reads).items():
            con.register(name, table)
        times = []
        for _ in range(rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            con.sql(query.batch).to_arrow_table()
            times.append((time.perf_counter() - wall, time.process_time() - cpu))
        return middle(times)
