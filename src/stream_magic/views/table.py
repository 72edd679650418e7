"""The live table: an anywidget in the frame of all views."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import pyarrow as pa
import traitlets

from stream_magic.contracts.feed import Feed, Snapshot
from stream_magic.core.change import visible, visible_schema
from stream_magic.views.assets import script, style
from stream_magic.views.fallback import SHOWN, html_table, text_table
from stream_magic.views.frame import bar_of, empty_of, kind_of
from stream_magic.views.presence import Presence
from stream_magic.views.protocol import encode_heads, encode_rows, to_csv
from stream_magic.views.pump import TABLE_S, Pump
from stream_magic.views.pump import pump as kernel_pump
from stream_magic.views.rows import Order, read

ROWS = 1000  # sent to the browser: more is not read, and costs the kernel time at every frame
CSV_ROWS = 100_000


class LiveTable(anywidget.AnyWidget):  # type: ignore[misc]
    """The rows of a feed, live. Display it in a cell; close it with `close()`.

    Args:
        feed: what to show.
        limit: rows sent to the browser: the newest of a stream, any of a table.
        on_pause: called with True and False by the pause button; without it only this view freezes.
        pump: refreshes it; the kernel's own by default.
    """

    _esm = script("table.js")
    _css = style("table.css")

    view = traitlets.Dict().tag(sync=True)
    bar = traitlets.Dict().tag(sync=True)
    rows = traitlets.Dict().tag(sync=True)

    interval_s = TABLE_S

    def __init__(
        self,
        feed: Feed,
        limit: int = ROWS,
        *,
        on_pause: Callable[[bool], None] | None = None,
        pump: Pump | None = None,
    ) -> None:
        self._feed = feed
        self._limit = limit
        self._on_pause = on_pause
        self._order = Order(feed.key)
        columns = visible_schema(feed.schema)
        key = [columns.names.index(k) for k in feed.key if k in columns.names]
        super().__init__(
            view={"mode": feed.mode, "key": key, "pauses": "app" if on_pause else "view"},
            bar=self._bar(),
            rows=encode_heads(columns) | {"is_loading": True},
        )
        self.on_msg(self._hear)
        self._presence = Presence(self, self, kernel_pump() if pump is None else pump)

    def version(self) -> int:
        return self._feed.version

    def refresh(self, *, rows: bool) -> None:
        """Takes the latest snapshot (the pump calls it)."""
        if not rows:
            self.bar = self._bar()
            return
        snapshot, status = read(self._feed, self._limit)
        shown = self._arranged(snapshot)
        message = encode_rows(shown) | {
            "total": max(snapshot.total, shown.num_rows),
            "first": max(0, status.rows - shown.num_rows),
            "epoch": snapshot.epoch,
        }
        if not shown.num_rows:
            message["empty"] = empty_of(self._feed, status)
        with self.hold_sync():
            self.bar = bar_of(self._feed, status, kind=kind_of(self._feed))
            self.rows = message

    def fail(self, error: Exception) -> None:
        """Shows that the rows could not be read."""
        banner = {"tone": "error", "text": f"This view cannot be drawn: {error}"}
        self.bar = {**self.bar, "state": "failed", "word": "Stopped by an error", "banner": banner}

    def _bar(self) -> dict[str, Any]:
        return bar_of(self._feed, self._feed.status(), kind=kind_of(self._feed))

    def _arranged(self, snapshot: Snapshot) -> Any:
        rows = visible(snapshot.rows)
        return self._order.arrange(rows) if self._feed.mode == "keyed" else rows

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        what = content.get("what") if isinstance(content, dict) else None
        if what == "pause" and self._on_pause is not None:
            self._on_pause(bool(content.get("on")))
        elif what == "csv":
            rows = self._arranged(self._feed.snapshot(CSV_ROWS))
            self.send({"what": "csv", "name": f"{self._feed.name}.csv", "text": to_csv(rows)})

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        return {**data, **snapshot_bundle(self._feed)}, metadata


def snapshot_bundle(feed: Feed) -> dict[str, str]:
    """The feed as text and plain HTML, newest rows first."""
    snapshot = feed.snapshot(SHOWN)
    rows = visible(snapshot.rows)
    if feed.mode == "append":
        rows = rows.take(pa.array(range(rows.num_rows - 1, -1, -1), pa.int64()))
    else:
        rows = Order(feed.key).arrange(rows)
    return {
        "text/plain": text_table(feed.name, rows, snapshot.total),
        "text/html": html_table(feed.name, rows, snapshot.total),
    }
