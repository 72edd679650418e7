"""How a benchmark reports: what was measured, against what, the aim, and whether it is reached."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Ratio:
    """Rates are rows per second; `aim` is the ratio to reach, 0 if there is none."""

    name: str
    ours: float
    reference: float
    reference_name: str
    aim: float
    note: str = ""

    @property
    def is_reached(self) -> bool:
        return self.ours >= self.aim * self.reference

    def __str__(self) -> str:
        verdict = f" (aim {self.aim:g}: {_verdict(self.is_reached)})" if self.aim else ""
        return (
            f"{self.name}: {self.ours:,.0f} rows/s, {self.reference_name}: {self.reference:,.0f} rows/s, "
            f"ratio {self.ours / self.reference:.3f}{verdict}{self.note and f', {self.note}'}"
        )


@dataclass(frozen=True)
class Latency:
    """Seconds that a user waits, and the most that it may be."""

    name: str
    seconds: float
    aim_s: float

    @property
    def is_reached(self) -> bool:
        return self.seconds < self.aim_s

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.seconds:.2f} s (aim below {self.aim_s:g} s: "
            f"{_verdict(self.is_reached)})"
        )


@dataclass(frozen=True)
class Growth:
    """Seconds of the same work on a small and on a large state; `aim` is how many times longer it may be."""

    name: str
    small_s: float
    large_s: float
    aim: float

    @property
    def is_reached(self) -> bool:
        return self.large_s <= self.aim * self.small_s

    def __str__(self) -> str:
        return (
            f"{self.name}: {1000 * self.small_s:.1f} ms on a small state, {1000 * self.large_s:.1f} ms "
            f"on a large one, {self.large_s / self.small_s:.1f} times (aim {self.aim:g}: "
            f"{_verdict(self.is_reached)})"
        )


@dataclass(frozen=True)
class Quick:
    """Milliseconds, and the most that it may be, 0 if there is no aim."""

    name: str
    ms: float
    aim_ms: float

    @property
    def is_reached(self) -> bool:
        return not self.aim_ms or self.ms < self.aim_ms

    def __str__(self) -> str:
        aim = f" (aim below {self.aim_ms:g} ms: {_verdict(self.is_reached)})" if self.aim_ms else ""
        return f"{self.name}: {self.ms:.1f} ms{aim}"


@dataclass(frozen=True)
class Flat:
    """What must not grow: its most early in a long run, and its most late; `slack` is what counts as noise."""

    name: str
    early: float
    late: float
    unit: str
    slack: float

    @property
    def is_reached(self) -> bool:
        return self.late <= 1.1 * self.early + self.slack

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.early:,.0f} {self.unit} early, {self.late:,.0f} late "
            f"(aim flat: {_verdict(self.is_reached)})"
        )


Result = Ratio | Latency | Growth | Quick | Flat


def rates(
    rows: int, ours: Callable[[], float], reference: Callable[[], float], rounds: int = 3
) -> tuple[float, float]:
    """Both in turn, `rounds` times, each giving its seconds: the median rate of each, so that a noisy moment hits both."""
    a, b = [], []
    for _ in range(rounds):
        a.append(rows / ours())
        b.append(rows / reference())
    return statistics.median(a), statistics.median(b)


def _verdict(is_reached: bool) -> str:
    return "reached" if is_reached else "MISSED"
