"""What a view is handed: the rows and the state of one stream, without knowing where they come from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import pyarrow as pa

FeedMode = Literal["append", "keyed", "single"]
NodeState = Literal["waiting", "running", "paused", "stopped", "reconnecting", "failed", "complete"]


@dataclass(frozen=True)
class FeedStatus:
    """The figures of a view bar.

    Attributes:
        state: of the node.
        rows: rows that came out so far (a changelog: rows of the current result).
        rows_per_s: rows out, over the last seconds.
        lag_s: age of the newest row's event time, or None without one.
        errors: rows in `errors.NAME`.
        epoch: last committed epoch.
        message: one sentence if something is wrong, else ''.
    """

    state: NodeState
    rows: int
    rows_per_s: float
    lag_s: float | None
    errors: int
    epoch: int
    message: str = ""


@dataclass(frozen=True)
class Snapshot:
    """The rows of a stream at one committed epoch: newest last; a changelog's current result."""

    epoch: int
    rows: pa.Table
    total: int
    """Rows there are; `rows` may hold fewer."""


class Columns(Protocol):
    """What is known of a query before it runs: a feed has the same."""

    @property
    def name(self) -> str: ...
    @property
    def schema(self) -> pa.Schema: ...
    @property
    def time_column(self) -> str | None: ...


class Feed(Protocol):
    """One stream, table or query of an app, as views see it. Safe to call from any thread."""

    name: str
    kind: str
    """'stream', 'table', 'source', 'cache': quiet text in the bar."""
    detail: str
    """One line: 'TUMBLE 10 s by category', 'kafka, topic orders'."""
    mode: FeedMode
    """append: newest first; keyed: rows change in place; single: one row."""
    key: tuple[str, ...]
    """Key columns of a keyed feed, if known."""
    time_column: str | None
    """The column with the event time, if any."""
    schema: pa.Schema

    @property
    def version(self) -> int:
        """Grows whenever rows or status changed in a committed epoch: a cheap test before `snapshot`."""

    def snapshot(self, limit: int) -> Snapshot:
        """At most `limit` rows: the newest of a stream, any of a table."""

    def status(self) -> FeedStatus:
        """The figures now."""

    def subscribe(self, fn: Callable[[int, pa.Table], None]) -> Callable[[], None]:
        """Calls `fn(epoch, delta)` after every epoch that changed it, `_weight` always there, from the engine's thread.

        What a changelog holds comes first, from the caller's thread: the sum of all calls is the result.

        Returns a function that ends the subscription.
        """


@dataclass(frozen=True)
class GraphNode:
    """One node of the flow graph."""

    name: str
    kind: Literal["source", "stream", "table", "cache", "target"]
    detail: str
    inputs: tuple[str, ...]
    lookups: tuple[str, ...]
    """Caches among the inputs."""
    status: FeedStatus


class AppFeed(Protocol):
    """A whole app, as the flow graph sees it. Safe to call from any thread."""

    name: str

    @property
    def version(self) -> int:
        """Grows whenever anything changed."""

    def nodes(self) -> list[GraphNode]:
        """All nodes, inputs before outputs."""

    def epoch(self) -> int:
        """Last committed epoch."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    @property
    def is_paused(self) -> bool: ...

    def step(self) -> None:
        """One epoch by hand; only when paused."""
