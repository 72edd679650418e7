"""The auction house as a source: options, pace and positions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pyarrow as pa

from stream_magic.connectors.nexmark.house import SCHEMAS, House, rows_among
from stream_magic.contracts.numbered import begin, check_rate, check_start
from stream_magic.contracts.options import SourceOptions, option
from stream_magic.contracts.source import EndOfSource, Source, SourceBatch, SourceContext
from stream_magic.core.epoch import Position
from stream_magic.core.pace import Pace
from stream_magic.errors import ConfigError

_STEP = timedelta(
    microseconds=100
)  # event time between two events if neither step nor rate is given


@dataclass(frozen=True, kw_only=True)
class NexmarkOptions(SourceOptions):
    kind: Literal["event", "person", "auction", "bid"] = option(
        "One kind of rows, or every event as one row with a struct of its kind.",
        default="event",
        example="'bid'",
    )
    seed: int = option("The same seed gives the same rows.", default=42, example="7")
    events: int | None = option(
        "Ends after this many events of all kinds, 46 of 50 of them bids; without it, never.",
        default=None,
        example="1000000",
    )
    rate: float | None = option(
        "Events of all kinds per second of the app's clock; without it, as fast as they are taken.",
        default=None,
        example="10000",
    )
    step: timedelta | None = option(
        "Event time between two events; as the rate says, or 100 microseconds, if not given.",
        default=None,
        example="'1 millisecond'",
    )
    start: str | None = option(
        "Event time of the first event; now, if not given.",
        default=None,
        example="'2026-01-01 00:00:00'",
    )
    disorder: timedelta = option(
        "Events may be late by up to this.", default=timedelta(0), example="'2 seconds'"
    )

    def __post_init__(self) -> None:
        check_rate(self.rate)
        if self.events is not None and self.events < 0:
            raise ConfigError("SM7124", "option events cannot be negative")
        check_start(self.start)

    @property
    def step_us(self) -> float:
        if self.step is None and self.rate is not None:
            return 1e6 / self.rate
        return (self.step or _STEP) / timedelta(microseconds=1)

    def house(self, start_us: int) -> House:
        """The events that these options mean."""
        disorder_us = self.disorder // timedelta(microseconds=1)
        return House(self.seed, start_us, self.step_us, disorder_us)


class NexmarkSource(Source):
    """Persons, auctions and bids of the Nexmark benchmark, 1 : 3 : 46, by their number alone; a position is that number.

    Sources of one seed, step and start belong together: the bids of one are for the auctions of another.
    """

    options_type = NexmarkOptions
    options: NexmarkOptions

    def __init__(self, options: NexmarkOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self.detail = f"nexmark, {options.kind}"
        self.is_bounded = options.events is not None
        self._next = 0
        self._start_us = 0
        self._house: House | None = None
        self._pace: Pace | None = None

    def schema(self) -> pa.Schema:
        return SCHEMAS[self.options.kind]

    def open(self, position: Position | None) -> None:
        options, clock = self.options, self.context.clock
        self._next, self._start_us = begin(position, options.start, clock)
        self._house = options.house(self._start_us)
        if options.rate is not None:
            share = rows_among(options.kind, 50) / 50
            self._pace = Pace(clock, options.rate * share)

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        if self._house is None:
            return None
        left = self.lag_rows()
        if left == 0:
            raise EndOfSource
        count = max_rows if left is None else min(max_rows, left)
        if self._pace is not None:
            count = self._pace.take(count, timeout_s)
        if count == 0:
            return None
        rows = self._house.rows(self.options.kind, self._next, count)
        self._next += count
        return SourceBatch(rows, {"row": self._next, "start_us": self._start_us})

    def lag_rows(self) -> int | None:
        if self.options.events is None:
            return None
        return rows_among(self.options.kind, self.options.events) - self._next

    def close(self) -> None:
        self._house = self._pace = None
