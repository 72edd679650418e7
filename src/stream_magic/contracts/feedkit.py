"""Feeds moved by hand: to test views and charts without an engine.

Example:
    >>> import pyarrow as pa
    >>> feed = HandFeed("orders", pa.schema([("id", pa.int64())]))
    >>> feed.append(pa.table({"id": [1, 2]}))
    >>> feed.snapshot(10).rows.num_rows, feed.version
    (2, 1)
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pyarrow as pa

from stream_magic.contracts.feed import FeedMode, FeedStatus, GraphNode, Snapshot


class HandFeed:
    """A feed that shows what it is given. Every change is one epoch."""

    def __init__(
        self,
        name: str,
        schema: pa.Schema,
        mode: FeedMode = "append",
        *,
        key: Iterable[str] = (),
        kind: str = "stream",
        detail: str = "",
        time_column: str | None = None,
    ) -> None:
        self.name = name
        self.kind = kind
        self.detail = detail
        self.mode = mode
        self.key = tuple(key)
        self.time_column = time_column
        self.schema = schema
        self.snapshots = 0
        self._lock = threading.Lock()
        self._rows = schema.empty_table()
        self._status = FeedStatus("waiting", 0, 0.0, None, 0, 0)

    @property
    def version(self) -> int:
        return self._status.epoch

    def append(self, rows: pa.Table, **status: Any) -> None:
        """More rows come out."""
        with self._lock:
            self._set(pa.concat_tables([self._rows, rows.cast(self.schema)]), status)

    def replace(self, rows: pa.Table, **status: Any) -> None:
        """The current result is another one."""
        with self._lock:
            self._set(rows.cast(self.schema), status)

    def report(self, **status: Any) -> None:
        """The figures change: `report(state="reconnecting", message="...")`."""
        with self._lock:
            self._set(self._rows, {"state": self._status.state} | status)

    def _set(self, rows: pa.Table, status: dict[str, Any]) -> None:
        figures = {"state": "running", "rows": rows.num_rows, "epoch": self._status.epoch + 1}
        self._rows = rows
        self._status = replace(self._status, **(figures | status))

    def snapshot(self, limit: int) -> Snapshot:
        with self._lock:
            self.snapshots += 1
            first = max(0, self._rows.num_rows - limit)
            return Snapshot(self._status.epoch, self._rows.slice(first), self._rows.num_rows)

    def status(self) -> FeedStatus:
        return self._status

    def subscribe(self, fn: Callable[[int, pa.Table], None]) -> Callable[[], None]:
        del fn
        return lambda: None


class HandAppFeed:
    """An app of nodes that are set by hand."""

    def __init__(self, name: str, nodes: Iterable[GraphNode] = ()) -> None:
        self.name = name
        self.is_paused = False
        self._nodes = list(nodes)
        self._version = 0

    @property
    def version(self) -> int:
        return self._version

    def set(self, nodes: Iterable[GraphNode]) -> None:
        """The nodes are these now."""
        self._nodes = list(nodes)
        self._version += 1

    def nodes(self) -> list[GraphNode]:
        return list(self._nodes)

    def epoch(self) -> int:
        return self._version

    def pause(self) -> None:
        self.is_paused = True
        self._version += 1

    def resume(self) -> None:
        self.is_paused = False
        self._version += 1

    def step(self) -> None:
        self._version += 1
