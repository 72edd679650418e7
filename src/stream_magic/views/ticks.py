"""Ticks at whole numbers and whole times; bqplot's own are neither."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime

_SECOND, _MINUTE, _HOUR, _DAY = 1_000, 60_000, 3_600_000, 86_400_000
_TIME_STEPS = [
    *(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500)),
    *(n * _SECOND for n in (1, 2, 5, 10, 15, 30)),
    *(n * _MINUTE for n in (1, 2, 5, 10, 15, 30)),
    *(n * _HOUR for n in (1, 2, 3, 6, 12)),
    *(n * _DAY for n in (1, 2, 7, 14, 30, 90, 180, 365)),
]


@dataclass(frozen=True)
class Ticks:
    """An axis: its ends, its ticks inside them, their format for d3."""

    low: float
    high: float
    values: list[float]
    format: str

    @property
    def labels(self) -> dict[str, str]:
        """Texts for large numbers, by value as JavaScript writes it: d3's own would say 5.0k and 0.0."""
        if not self.format.endswith("s"):
            return {}
        return {_in_javascript(v): _short(v) for v in self.values}


def number_ticks(low: float, high: float, *, inside: bool = False) -> Ticks:
    """4 or 5 ticks at 1, 2, 2.5 or 5 times a power of ten.

    Args:
        low: of the data.
        high: of the data.
        inside: keep the ends (a horizontal axis), else move them outwards to ticks.
    """
    if high <= low:
        pad = abs(low) * 0.1 or 1.0
        low, high = (0.0, 2 * low) if low > 0 else (low - pad, high + pad)
    step = _step((high - low) / 4)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    if inside:
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [round(i * step, 12) for i in range(first, last + 1)]
    ends = (low, high) if inside else (values[0], values[-1])
    return Ticks(*ends, values, _format(values, step))


def _step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= rough * 0.999)


def _format(values: list[float], step: float) -> str:
    if max(map(abs, values), default=0) < 10_000:
        decimals = next((d for d in range(8) if abs(step * 10**d - round(step * 10**d)) < 1e-6), 8)
        return f",.{decimals}f"
    digits = max(len(f"{abs(v):.6e}".split("e")[0].rstrip("0").replace(".", "")) for v in values)
    return f".{max(2, min(digits, 6))}s"


def _in_javascript(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e21 else repr(value)


def _short(value: float) -> str:
    for size, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.6g}{unit}".replace("-", "−")
    return f"{value:.6g}".replace("-", "−")


def time_ticks(low_ms: float, high_ms: float) -> Ticks:
    """At most 8 ticks on whole seconds, minutes, hours or days (UTC)."""
    step = next((s for s in _TIME_STEPS if (high_ms - low_ms) / s <= 8), _TIME_STEPS[-1])
    first, last = math.ceil(low_ms / step), math.floor(high_ms / step)
    values = [float(i * step) for i in range(first, last + 1)][:40]
    if step >= _DAY:
        shape = "%Y-%m-%d" if step >= 30 * _DAY else "%d %b"
    elif step < _SECOND:
        shape = "%H:%M:%S.%L"
    else:
        shape = "%H:%M:%S" if step < _MINUTE else "%H:%M"
    return Ticks(low_ms, high_ms, values, shape)


def time_words(ms: float) -> str:
    """The time of day, for sentences."""
    try:
        return f"{datetime.fromtimestamp(ms / 1000, UTC):%H:%M:%S}"
    except (OverflowError, ValueError, OSError):
        return f"{ms:.0f}"
