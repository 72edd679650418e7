"""Sources whose rows follow from their number: options and positions that they share."""

from __future__ import annotations

import pyarrow as pa

from stream_magic.core.clock import Clock
from stream_magic.core.epoch import Position
from stream_magic.core.values import from_text
from stream_magic.errors import ConfigError


def check_rate(rate: float | None) -> None:
    """Of an option `rate`.

    Raises:
        ConfigError: SM7120.
    """
    if rate is not None and rate <= 0:
        raise ConfigError("SM7120", "option rate must be more than 0", hint="write rate = 50")


def check_start(start: str | None) -> None:
    """Of an option `start`.

    Raises:
        ConfigError: SM7122.
    """
    try:
        if start is not None:
            _micros(start)
    except ValueError:
        raise ConfigError(
            "SM7122",
            f"option start: '{start}' is not a time",
            hint="write start = '2026-01-01 00:00:00'",
        ) from None


def begin(position: Position | None, start: str | None, clock: Clock) -> tuple[int, int]:
    """The number of the next row, and the event time (us) of the first: as the position says, else from `start` or now on."""
    if position is not None:
        return int(str(position["row"])), int(str(position["start_us"]))
    return 0, clock.now_us() if start is None else _micros(start)


def _micros(start: str) -> int:
    return int(from_text(start, pa.timestamp("us")))
