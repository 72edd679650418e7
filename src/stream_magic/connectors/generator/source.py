"""The generator as a source: options, pace and positions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import pyarrow as pa

from stream_magic.connectors.generator.shop import CHANGES, Shop, catalogue, customers
from stream_magic.contracts.numbered import begin, check_rate, check_start
from stream_magic.contracts.options import SourceOptions, option
from stream_magic.contracts.source import EndOfSource, Source, SourceBatch, SourceContext
from stream_magic.core.epoch import Position
from stream_magic.core.pace import Pace
from stream_magic.errors import ConfigError

_STEP_US = 10_000.0  # event time between two rows if no rate says otherwise


@dataclass(frozen=True, kw_only=True)
class GeneratorOptions(SourceOptions):
    seed: int = option("The same seed gives the same rows.", default=42, example="7")
    rows: int | None = option(
        "Ends after this many rows; without it, never.", default=None, example="100000"
    )
    rate: float | None = option(
        "Rows per second of the app's clock; without it, as fast as they are taken.",
        default=None,
        example="50",
    )
    products: int = option("Number of products in the shop.", default=200, example="1000")
    start: str | None = option(
        "Event time of the first row; now, if not given.",
        default=None,
        example="'2026-01-01 00:00:00'",
    )
    template: Literal["shop_orders", "products", "customers"] = option(
        "What is made: the change log of orders, or the products or customers they name.",
        default="shop_orders",
        example="'products'",
    )
    speed: float = option(
        "Event time runs this many times as fast as the rate says; above 1 it runs ahead of the clock.",
        default=1.0,
        example="5",
    )
    disorder: timedelta = option(
        "Rows may be late by up to this.", default=timedelta(0), example="'2 seconds'"
    )

    def __post_init__(self) -> None:
        check_rate(self.rate)
        if self.speed <= 0:
            raise ConfigError("SM7123", "option speed must be more than 0", hint="write speed = 5")
        if self.products < 1 or (self.rows is not None and self.rows < 0):
            raise ConfigError("SM7121", "options products and rows cannot be negative")
        check_start(self.start)


class GeneratorSource(Source):
    """Rows that depend on the options and their number alone; a position is that number.

    The event time of the first row is part of the position, so that it stays after a restart.
    """

    options_type = GeneratorOptions
    options: GeneratorOptions

    def __init__(self, options: GeneratorOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self.detail = f"generator, {options.template}"
        self.is_bounded = options.rows is not None or options.template != "shop_orders"
        self._next = 0
        self._start_us = 0
        self._table: pa.Table | None = None
        self._shop: Shop | None = None
        self._pace: Pace | None = None

    @staticmethod
    def catalogue(products: int = 200, seed: int = 42) -> pa.Table:
        """The products that the orders of this seed name: product_id, description, brand, category, price."""
        return catalogue(products, seed)

    @staticmethod
    def customers(count: int = 1000, seed: int = 42) -> pa.Table:
        """The customers that the orders of this seed name: customer_id, name, city."""
        return customers(count, seed)

    def schema(self) -> pa.Schema:
        table = self._reference(1)
        return CHANGES if table is None else table.schema

    def open(self, position: Position | None) -> None:
        options, clock = self.options, self.context.clock
        self._next, self._start_us = begin(position, options.start, clock)
        step_us = (1e6 / options.rate if options.rate else _STEP_US) * options.speed
        late_us = int(options.disorder.total_seconds() * 1e6)
        self._shop = Shop(options.seed, options.products, self._start_us, step_us, late_us)
        self._table = self._reference(options.products)
        self._pace = Pace(clock, options.rate) if options.rate else None

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        last = self._last()
        if last is not None and self._next >= last:
            raise EndOfSource
        count = max_rows if last is None else min(max_rows, last - self._next)
        if self._pace is not None:
            count = self._pace.take(count, timeout_s)
        if count <= 0 or self._shop is None:
            return None
        if self._table is None:
            rows = self._shop.changes(self._next, count)
        else:
            rows = self._table.slice(self._next, count)
        self._next += count
        return SourceBatch(rows, {"row": self._next, "start_us": self._start_us})

    def lag_rows(self) -> int | None:
        last = self._last()
        return None if last is None or self.options.rate else last - self._next

    def close(self) -> None:
        self._shop = self._table = None

    def _last(self) -> int | None:
        """Number of rows there will ever be."""
        rows = self.options.rows
        if self._table is None:
            return rows
        there: int = self._table.num_rows
        return there if rows is None else min(rows, there)

    def _reference(self, products: int) -> pa.Table | None:
        if self.options.template == "products":
            return catalogue(products, self.options.seed)
        if self.options.template == "customers":
            return customers(seed=self.options.seed)
        return None
