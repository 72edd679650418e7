"""The plan of one query: its nodes, and what others must know of its result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pyarrow as pa

from stream_magic.contracts.feed import FeedMode
from stream_magic.planner.nodes import Node


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
        has_order: the rows' numbers of arrival do not depend on where epochs are cut.
        is_settled, windows: see `Relation`.
        key: columns that identify a row of a grouped result.
        inputs: names of the relations that it reads, `errors.x` among them; () of a constant query.
        caches: names of the caches that it looks up.
        can_share: its nodes may be those of other plans too (`planner.identity`).
        warnings: sentences for the user (state that grows for ever).
        detail: one line for the flow graph.
    """

    root: Node
    schema: pa.Schema
    types: tuple[str, ...]
    is_changelog: bool
    time_column: str | None
    lateness_us: int
    has_order: bool
    key: tuple[str, ...]
    inputs: tuple[str, ...]
    caches: tuple[str, ...]
    can_share: bool = True
    warnings: tuple[str, ...] = ()
    detail: str = ""
    is_settled: bool = False
    windows: Mapping[str, str] = field(default_factory=dict)
    mode: FeedMode = "append"
