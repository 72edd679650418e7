"""A cache is reference data in memory, loaded whole and looked up by key."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar

import pyarrow as pa

from stream_magic.contracts.format import Format
from stream_magic.contracts.options import Options, option
from stream_magic.core.clock import Clock
from stream_magic.security.secrets import Secret


@dataclass(frozen=True, kw_only=True)
class CacheOptions(Options):
    """What every cache understands; the engine reads these, not the connector."""

    refresh: timedelta | None = option(
        "Load again this often; without it the data is loaded once.",
        default=None,
        example="'5 minutes'",
    )


@dataclass(frozen=True)
class CacheContext:
    """What the engine tells a cache about itself: its name, its app, the app's clock, FORMAT and secrets."""

    name: str
    app: str
    clock: Clock
    format: Format | None = None
    secrets: tuple[Secret, ...] = ()


class Cache(ABC):
    """Loads reference data. A plugin is a subclass with `options_type` and an entry point."""

    options_type: ClassVar[type[CacheOptions]] = CacheOptions
    detail: str = ""
    """One line for the flow graph: 'file, products.csv'."""

    def __init__(self, options: CacheOptions, context: CacheContext) -> None:
        self.options = options
        self.context = context

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns of the data; may ask the outside for at most 10 s.

        Raises:
            ConnectorError: it cannot be told.
        """

    @abstractmethod
    def load(self) -> pa.Table:
        """All rows, in load order, with the columns of `schema()`. Called from a thread of its own.

        Raises:
            ConnectorError: the engine keeps the rows that it has and tries again.
        """

    def close(self) -> None:
        """Lets go of everything. May be called twice."""
        return
