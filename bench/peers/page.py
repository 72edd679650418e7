"""docs/benchmarks-peers.md: a table for each query, made anew by each run that names it."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime

from bench.peers.adapters import NAMES, OURS, adapter
from bench.peers.queries import QUERIES, Query
from bench.peers.rounds import BATCH, SLOW_S, Timed

NOISE = 1.6  # times: what differs by less says nothing
_FLINK_AIM = 5

_HEAD = """# Beside other systems

`make peers OUT=docs/benchmarks-peers.md` writes this page: the same queries over the same rows by other streaming systems, each in
an environment of its own, on the same machine in the same run, in turn. bench/peers/README.md says how each of them is run. Every
answer was compared with DuckDB's batch answer before anything was timed.

*wall* and *CPU* are seconds, medians of {rounds} rounds; CPU is that of the process and those below it. *ours / theirs* is how many times
faster stream_magic is for one row by the wall, *by CPU* by processor seconds: a slow system gets fewer rows. **Differences below {noise} times
mean nothing.** The bids (and a fifth as many asks) are in each system's memory when its clock starts, and compilers are warm. A system that
takes longer than {slow:.0f} s runs once.
"""


def page(found: Mapping[str, Sequence[Timed]], rounds: int) -> str:
    day = datetime.now(UTC).date()  # noqa: TID251  # a page is dated, no row is
    versions = sorted({v for times in found.values() for t in times for v in t.versions.split(", ") if v})  # fmt: skip
    about = f"{day}, Python {platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[1]:.1f}; {', '.join(versions)}."
    tables = [section(QUERIES[name], times) for name, times in found.items()]
    ways = [f"- {name}: {way}." for name, way in _ways(found)]
    return "\n".join([_HEAD.format(rounds=rounds, noise=NOISE, slow=SLOW_S), about, "", *ways, "", *tables])  # fmt: skip


def _ways(found: Mapping[str, Sequence[Timed]]) -> Iterator[tuple[str, str]]:
    """How the rows come in and where the result is, of every system that was run."""
    ran = {t.system for times in found.values() for t in times if not t.reason}
    for name in NAMES:
        if name in ran:
            yield name, adapter(name).reads


def section(query: Query, times: Sequence[Timed]) -> str:
    ours = next((t for t in times if t.system == OURS and not t.reason), None)
    lines = [
        f"## {query.title[0].upper()}{query.title[1:]}",
        "",
        "| system | bids | wall | CPU | rows/s | ours / theirs | by CPU |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
        *(_line(t, ours) for t in times),
    ]
    lines += ["", *(f"- {t.system}: {t.reason}." for t in times if t.reason)]
    lines += [f"- {verdict}." for verdict in ([] if ours is None else _verdicts(query, times, ours))]  # fmt: skip
    return "\n".join([*lines, ""])


def _line(t: Timed, ours: Timed | None) -> str:
    if t.reason:
        return f"| {t.system} | - | - | - | - | {t.reason.split(':')[0]} | - |"
    told = (
        f"| {t.system} | {t.rows:,} | {t.wall_s:.2f} | {t.cpu_s:.2f} | {t.rows / t.wall_s:,.0f} |"
    )
    if ours is None or t is ours:
        return told + " | |"
    return (
        told
        + f" {t.wall_of_a_row / ours.wall_of_a_row:.2f} | {t.cpu_of_a_row / ours.cpu_of_a_row:.2f} |"
    )


def _verdicts(query: Query, times: Sequence[Timed], ours: Timed) -> list[str]:
    """The aims of the project, and whether they are met."""
    peers = [t for t in times if t.system not in {OURS, BATCH} and not t.reason]
    if not peers:
        return []
    best = min(peers, key=lambda t: t.wall_of_a_row)
    ratio = best.wall_of_a_row / ours.wall_of_a_row
    if not query.has_state:
        return [f"aim: at least half of the best ({best.system}): {_met(ratio >= 0.5)}"]
    told = [f"aim: ahead of each: {_ahead(ratio)} (the best is {best.system})"]
    flink = next((t for t in peers if t.system == "flink"), None)
    if flink is not None:
        is_reached = flink.wall_of_a_row >= _FLINK_AIM * ours.wall_of_a_row
        told.append(f"aim: {_FLINK_AIM} times Flink: {_met(is_reached)}")
    return told


def _ahead(ratio: float) -> str:
    if ratio >= NOISE:
        return "reached"
    return "MISSED" if ratio < 1 / NOISE else "no difference that means anything"


def _met(is_reached: bool) -> str:
    return "reached" if is_reached else "MISSED"
