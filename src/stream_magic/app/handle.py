"""`app["orders"]`: one stream, table or cache in the hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa

from stream_magic.contracts.registry import registry
from stream_magic.engine.feeds import NodeFeed


class Handle:
    """Reads one relation of an app. Widgets come by the registry: an app imports no view."""

    def __init__(self, feed: NodeFeed) -> None:
        self.feed = feed

    def __repr__(self) -> str:
        columns = ", ".join(f"{f.name} {f.type}" for f in self.schema)
        return f"<{self.feed.kind} {self.name}({columns})>"

    @property
    def name(self) -> str:
        return self.feed.name

    @property
    def schema(self) -> pa.Schema:
        """The visible columns."""
        return self.feed.schema

    def preview(self, n: int = 20) -> pa.Table:
        """The last `n` rows of a stream in order of arrival, at most `n` rows of a table's current result."""
        return self.feed.snapshot(n).rows

    def subscribe(self, fn: Callable[[int, pa.Table], None]) -> Callable[[], None]:
        """Calls `fn(epoch, delta)` after every epoch that changed it.

        The delta has the visible columns and `_weight` (+1 added, -1 taken away). What a changelog
        holds now comes first, from this call; so do the rows that a stream's query states itself (VALUES). After that `fn` is called on the engine's thread: it must be quick and must not print. If it raises, it is called no more.

        Returns:
            A function that ends the subscription.
        """
        return self.feed.subscribe(fn)

    def table(self) -> Any:
        """A live table for the notebook."""
        return registry.view("table")(self.feed)

    def line(self, x: str, y: str, color: str | None = None, **options: Any) -> Any:
        """A live line chart: columns for the axes, and one for the series."""
        given = {"x": x, "y": y, **({"color": color} if color else {}), **options}
        return registry.view("chart")(self.feed, "line", given)
