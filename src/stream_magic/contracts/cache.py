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
from stream_magic.core.values import shown, type_name
from stream_magic.errors import ConnectorError
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
            ConnectorError: the engine keeps the rows that it has, says so behind the message, and tries again.
        """

    def close(self) -> None:
        """Lets go of everything. May be called twice."""
        return


def fitted(rows: pa.Table, schema: pa.Schema, what: str) -> pa.Table:
    """The columns that a cache had at first, by name; what came since is left out.

    Raises:
        ConnectorError: SM4205, a column is gone, or holds what its type cannot.
    """
    columns = [_fitted(rows, field, what) for field in schema]
    return pa.table(columns, schema=schema)


def _fitted(rows: pa.Table, field: pa.Field, what: str) -> pa.ChunkedArray:
    if field.name not in rows.column_names:
        raise ConnectorError(
            "SM4205",
            f"{what} has no column '{field.name}' any more, it has: {', '.join(rows.column_names)}",
            hint="run the cell again for the new columns",
        )
    column = rows.column(field.name)
    cast = _cast(column, field.type)
    if cast is not None:
        return cast
    there = column.drop_null()
    example = f": {shown(_first_misfit(there, field.type))}" if len(there) else ""
    raise ConnectorError(
        "SM4205",
        f"column '{field.name}' of {what} was {type_name(field.type)} and is "
        f"{type_name(column.type)} now{example}",
        hint="run the cell again for the new columns",
    )


def _first_misfit(column: pa.ChunkedArray, kind: pa.DataType) -> object:
    """Found by halves: the values before `low` fit, those before `high` do not all."""
    low, high = 0, len(column)
    while high - low > 1:
        middle = (low + high) // 2
        if _cast(column.slice(low, middle - low), kind) is None:
            high = middle
        else:
            low = middle
    return column[low].as_py()


def _cast(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray | None:
    try:
        return column.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return None
