"""The frame of a chart: bar, HTML legend and footer around a bqplot figure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anywidget
import ipywidgets
import traitlets

from stream_magic.contracts.feed import Feed, FeedStatus
from stream_magic.core.change import visible
from stream_magic.views.assets import script, style
from stream_magic.views.frame import bar_of, empty_of
from stream_magic.views.protocol import Message, to_csv
from stream_magic.views.table import CSV_ROWS, snapshot_bundle

HEIGHT = "240px"


class ChartHead(anywidget.AnyWidget):  # type: ignore[misc]
    """Bar, legend, message and footer; the figure lies below it in the same box."""

    _esm = script("chart.js")
    _css = style("chart.css")

    bar = traitlets.Dict().tag(sync=True)
    legend = traitlets.Dict().tag(sync=True)
    foot = traitlets.List().tag(sync=True)
    message = traitlets.Dict(allow_none=True).tag(sync=True)


class ChartFrame(ipywidgets.VBox):  # type: ignore[misc]
    """A figure in the frame of all views.

    Args:
        feed: for the bar, and for the rows that hosts without widgets show.
        figure: a bqplot Figure, or any widget.
        on_action: called with the action ('pause', 'resume', 'toggle') and its message.
    """

    def __init__(self, feed: Feed, figure: Any, on_action: Callable[[str, Message], None]) -> None:
        self._feed = feed
        self._on_action = on_action
        self._is_paused = False
        bar = self._bar(feed.status())
        self.head = ChartHead(
            bar=bar, legend={}, foot=["Reading rows", ""], message={"isLoading": True}
        )
        self._place = ipywidgets.Box(
            [figure],
            layout=ipywidgets.Layout(
                width="100%", height=HEIGHT, overflow="hidden", visibility="hidden"
            ),
        )
        super().__init__([self.head, self._place], layout=ipywidgets.Layout(overflow="hidden"))
        self.add_class("sm-root")
        self.add_class("sm-chart")
        self.head.on_msg(self._hear)

    def show(self, status: FeedStatus, legend: Message, foot: list[str], *, is_empty: bool) -> None:
        """Brings bar, legend and footer up to date in one message."""
        with self.head.hold_sync():
            self.head.bar = self._bar(status)
            self.head.legend = legend
            self.head.foot = foot
            self.head.message = empty_of(self._feed, status) if is_empty else None
        self._place.layout.visibility = "hidden" if is_empty else "visible"

    def show_status(self) -> None:
        """Only the figures of the bar."""
        self.head.bar = self._bar(self._feed.status())

    def show_error(self, error: Exception) -> None:
        banner = {"tone": "error", "text": f"This view cannot be drawn: {error}"}
        words = {"state": "failed", "word": "Stopped by an error"}
        self.head.bar = {**self.head.bar, **words, "banner": banner}

    def close(self) -> None:
        """Closes the figure and the frame; may be called twice."""
        for child in (*self._place.children, self._place, self.head):
            child.close()
        super().close()

    def _bar(self, status: FeedStatus) -> Message:
        bar = bar_of(self._feed, status, kind=self._feed.detail or self._feed.kind)
        return {**bar, "state": "paused", "word": "Paused"} if self._is_paused else bar

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        what = content.get("what") if isinstance(content, dict) else None
        if what == "csv":
            text = to_csv(visible(self._feed.snapshot(CSV_ROWS).rows))
            self.head.send({"what": "csv", "name": f"{self._feed.name}.csv", "text": text})
        elif what in {"pause", "resume", "toggle"}:
            self._is_paused = what == "pause" or (self._is_paused and what == "toggle")
            self._on_action(what, content)

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        return {**super()._repr_mimebundle_(**kwargs), **snapshot_bundle(self._feed)}
