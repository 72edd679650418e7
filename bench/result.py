"""How a benchmark reports: a rate, the reference's rate, their ratio, and the aim."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """Rates are rows per second; `aim` is the ratio to reach."""

    name: str
    ours: float
    reference: float
    reference_name: str
    aim: float

    def __str__(self) -> str:
        ratio = self.ours / self.reference
        verdict = "reached" if ratio >= self.aim else "MISSED"
        return (
            f"{self.name}: {self.ours:,.0f} rows/s, {self.reference_name}: {self.reference:,.0f} rows/s, "
            f"ratio {ratio:.2f} (aim {self.aim:g}: {verdict})"
        )


def best_rates(
    rows: int, ours: Callable[[], None], reference: Callable[[], None], rounds: int = 3
) -> tuple[float, float]:
    """Both in turn, `rounds` times: the median rate of each, so that a noisy moment hits both."""
    a, b = [], []
    for _ in range(rounds):
        a.append(rows / _seconds(ours))
        b.append(rows / _seconds(reference))
    return statistics.median(a), statistics.median(b)


def _seconds(work: Callable[[], None]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
