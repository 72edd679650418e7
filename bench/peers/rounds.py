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
from bench.peers.environment import CannotInstallError, python_of
from bench.peers.member import DiedError, Member
from bench.peers.peer import NotExpressibleError
from bench.peers.queries import Query
from bench.peers.rows import read_rows

BATCH = "DuckDB, one batch"
_WARM = 2  # rounds that are not counted, after the one that is checked: compilers in the system get warm


@dataclass(frozen=True)
class Timed:
    """What one system took for one query: the medians. `reason` is why there are none."""

    system: str
    wall_s: float = 0
    cpu_s: float = 0
    versions: str = ""
    reason: str = ""


def measured(query: Query, systems: Sequence[str], folder: Path, rounds: int) -> Iterator[Timed]:
    """The batch first, then the systems in their order. All take their rounds in turn, so that a noisy moment hits all."""
    expected, batch_s = _batch(query, folder), _batch_times(query, folder, rounds)
    yield Timed(BATCH, *batch_s, f"duckdb {duckdb.__version__}")
    members: dict[str, tuple[Member, str]] = {}
    failed: dict[str, Timed] = {}
    with _closing() as open_members:
        for system in systems:
            try:
                member = Member(system, query.name, python_of(system), folder)
                open_members.append(member)
                members[system] = member, member.started()
                agreement.check(member.answer(), expected)
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
            yield Timed(system, *middle(times[system]), members[system][1])


def middle(times: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The median of each."""
    walls, cpus = zip(*times, strict=True)
    return statistics.median(walls), statistics.median(cpus)


def _in_turn(members: dict[str, Member], rounds: int) -> dict[str, list[tuple[float, float]]]:
    times: dict[str, list[tuple[float, float]]] = {system: [] for system in members}
    for n in range(_WARM + rounds):
        for system, member in members.items():
            found = member.round()
            if n >= _WARM:
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
