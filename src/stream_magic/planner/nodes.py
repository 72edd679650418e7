"""The nodes of an incremental plan. They hold SQL texts and facts, and do nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

import pyarrow as pa

from stream_magic.contracts.feed import FeedMode
from stream_magic.language.catalog import Relation
from stream_magic.language.statements import Emit

WINDOW_END = "_sm_wend"  # microseconds; the key by which windows are closed and forgotten


@dataclass(frozen=True)
class Read:
    """The delta of a named relation."""

    relation: Relation


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
class Compute:
    """Filter, projection, window assignment and cache lookups in one DuckDB statement: linear.

    Attributes:
        input: what `_in` stands for.
        sql: reads `_in` and `caches.*`; its columns are the visible ones and then the engine's.
        visible: names of the visible columns, by position.
        hidden: names of the columns after them.
        caches: ids of the caches that it looks up.
        is_windowed: it gives `_sm_wend`; NULL there is a NULL time, an error row.
        rule: one line for EXPLAIN.
        probe_sql: says for each input row whether it cannot be computed; '' if that cannot be asked.
        labels: what users call the input's columns, where they were named by the planner.
        reads_clock: it asks what time it is.
        lookups: joins that an index can do beforehand, with `lookup_sql`.
        lookup_sql: the same as `sql` over `_in` and what each lookup found, row by row; '' without lookups.
    """

    input: Node
    sql: str
    visible: tuple[str, ...]
    hidden: tuple[str, ...] = ()
    caches: tuple[str, ...] = ()
    is_windowed: bool = False
    rule: str = ""
    probe_sql: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    reads_clock: bool = False
    lookups: tuple[Lookup, ...] = ()
    lookup_sql: str = ""


@dataclass(frozen=True)
class Call:
    """One aggregate over the input's columns; mergeable if DuckDB exports its partial state exactly.

    Attributes:
        name: of its column in the result.
        sql: over the columns that the planner named.
        is_mergeable: partial results of it can be combined.
        shown: as the user wrote it.
    """

    name: str
    sql: str
    is_mergeable: bool
    shown: str = ""

    @property
    def state_sql(self) -> str:
        """The same call, giving its partial state (DuckDB's EXPORT_STATE)."""
        return f"{self.sql} EXPORT_STATE"


@dataclass(frozen=True)
class Aggregate:
    """GROUP BY. Partials are merged where DuckDB can export them, else groups are recomputed.

    Attributes:
        keys: columns of the input that make a group, the window's end (`_sm_wend`) among them.
        calls: the aggregates; output columns are keys, then calls.
        schema: of the output: visible keys, calls, then the engine's columns.
        types: DuckDB types of keys and calls.
        input_sql: the input with its DuckDB types restored.
        input_columns: names of the columns that are kept when rows must be retained.
        emit: 'changes' gives a changelog after every epoch, 'close' a row when its window closes.
        is_windowed: `_sm_wend` is among the keys: windows close, late rows are errors.
        lateness_us: allowed lateness.
        is_input_changelog: rows come with a weight.
    """

    input: Node
    keys: tuple[str, ...]
    calls: tuple[Call, ...]
    schema: pa.Schema
    types: tuple[str, ...]
    input_sql: str
    input_columns: tuple[str, ...]
    emit: Emit
    is_windowed: bool
    lateness_us: int
    is_input_changelog: bool

    @property
    def is_mergeable(self) -> bool:
        return not self.is_input_changelog and all(c.is_mergeable for c in self.calls)


Node: TypeAlias = Read | Compute | Aggregate


@dataclass(frozen=True)
class Plan:
    """A query, ready to run.

    Attributes:
        root: the last node; its visible columns are `schema`.
        schema: names and Arrow types of the result.
        types: their DuckDB types.
        is_changelog: the result has weights.
        time_column: the result's column with the input's watermark, or None.
        lateness_us: allowed lateness that travels with the watermark.
        key: columns that identify a row of a grouped result.
        warnings: sentences for the user (state that grows for ever).
        detail: one line for the flow graph.
    """

    root: Node
    schema: pa.Schema
    types: tuple[str, ...]
    is_changelog: bool
    time_column: str | None
    lateness_us: int
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    caches: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    detail: str = ""
    mode: FeedMode = "append"
