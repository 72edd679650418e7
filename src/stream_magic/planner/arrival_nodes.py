"""Nodes that go by the arrival of rows: the clock when they come, their number, windows of rows that are full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from stream_magic.planner.nodes import Node, Read


@dataclass(frozen=True)
class Clocked:
    """The same rows, whose watermark is the app's clock.

    Attributes:
        input: gives rows without a watermark.
        clock: the relation that has it.
        schema: of the input, with `_sm_wm`.
        types: DuckDB types of the visible columns.
    """

    input: Node
    clock: Read
    schema: pa.Schema
    types: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input, self.clock)


@dataclass(frozen=True)
class Number:
    """The same rows with their number among those of the same keys, from 0, by arrival.

    Attributes:
        keys: names of the input's columns.
        name: of the number's column, behind the visible ones.
        schema: of the input, with it.
        types: DuckDB types of the visible columns.
        shown_keys: what the user calls the keys.
    """

    input: Node
    keys: tuple[str, ...]
    name: str
    schema: pa.Schema
    types: tuple[str, ...]
    shown_keys: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)


@dataclass(frozen=True)
class Fill:
    """Rows of row windows, told when the last of their window has come.

    Attributes:
        keys: columns of the input; rows were counted for each of their values.
        number, end: columns of the input: the row's number, and that behind the window's last one.
        schema: of the input, without the number.
        kept_types: DuckDB types of the input's visible columns.
        types: of the output's.
        shown_keys: what the user calls the keys.
    """

    input: Node
    keys: tuple[str, ...]
    number: str
    end: str
    schema: pa.Schema
    kept_types: tuple[str, ...]
    types: tuple[str, ...]
    shown_keys: tuple[str, ...]

    @property
    def inputs(self) -> tuple[Node, ...]:
        return (self.input,)
