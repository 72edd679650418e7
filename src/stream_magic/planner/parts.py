"""What nodes are made of: lookups, filters, calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from stream_magic.contracts.function import Function


@dataclass(frozen=True)
class Lookup:
    """A join with a cache on exactly its KEY: each row finds one row of the cache, or none.

    Attributes:
        cache: its id.
        keys: for each column of its KEY where the value stands in `_in`: a column, and fields of structs in it.
        columns: of the cache, that the statement reads.
        is_inner: rows that find nothing are left out; else they find NULLs.
    """

    cache: str
    keys: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...]
    is_inner: bool


@dataclass(frozen=True)
class Sifted:
    """The filter of a `Compute`, for a statement that asks those of several at once.

    Attributes:
        condition: over the columns of `rows_sql`.
        rows_sql: an item of FROM: `_in` with its DuckDB types.
        picked: the columns of the rows that it lets through, if it makes none; else ().
    """

    condition: str
    rows_sql: str
    picked: tuple[str, ...]


@dataclass(frozen=True)
class Follows:
    """A column that is made of another one and of constants: equal there is equal here.

    Attributes:
        sql: over the other one, `base`.
    """

    name: str
    base: str
    sql: str


@dataclass(frozen=True)
class PythonCall:
    """One call of a Python function.

    Attributes:
        name: of the column that it gives.
        arguments: names of columns of the input.
        when: name of a column that is true for the rows that need it; '' is all rows.
    """

    name: str
    function: Function
    arguments: tuple[str, ...]
    when: str


@dataclass(frozen=True)
class Piece:
    """An aggregate whose results over parts of the rows give, taken together by `how`, that over all of them."""

    sql: str
    how: Literal["sum", "min", "max"]


@dataclass(frozen=True)
class Call:
    """One aggregate over the input's columns; mergeable if DuckDB exports its partial state exactly.

    Attributes:
        name: of its column in the result.
        sql: over the columns that the planner named.
        is_mergeable: partial results of it can be combined.
        shown: as the user wrote it.
        pieces: of which it can be made without such a state: of one it is its result, of two (a sum and a
            count) their quotient; () if it cannot.
    """

    name: str
    sql: str
    is_mergeable: bool
    shown: str = ""
    pieces: tuple[Piece, ...] = ()

    @property
    def function(self) -> str:
        """Its name, lower case."""
        return self.sql.partition("(")[0].strip().lower()

    @property
    def state_sql(self) -> str:
        """The same call, giving its partial state (DuckDB's EXPORT_STATE)."""
        return f"{self.sql} EXPORT_STATE"
