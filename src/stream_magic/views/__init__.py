"""Live views: widgets that are handed a feed and draw it at a display rate.

A view never imports app or engine: what it shows comes through `contracts/feed.py`, so a
test hands it a feed of its own. The functions here are what cells and handles call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from stream_magic.contracts.chart import Chart
from stream_magic.contracts.feed import AppFeed, Columns, Feed
from stream_magic.contracts.options import OptionErrors, Options, OptionValue, parse_options
from stream_magic.contracts.registry import registry
from stream_magic.errors import CellError


def show_table(
    feed: Feed, *, limit: int | None = None, on_pause: Callable[[bool], None] | None = None
) -> Any:
    """The widget of a live table.

    Args:
        feed: what to show.
        limit: rows sent to the browser, newest first; its own default without it.
        on_pause: called by the pause button; without it the button freezes this view only.
    """
    from stream_magic.views.table import ROWS, LiveTable

    return LiveTable(feed, ROWS if limit is None else limit, on_pause=on_pause)


def show_chart(feed: Feed, name: str, options: dict[str, Any]) -> Any:
    """The widget of a chart that is registered under `name`.

    Args:
        feed: what to draw.
        name: of the chart: 'line'.
        options: as written, by name: `{"x": "window_end", "last": "15m"}`.

    Raises:
        StreamMagicError: no such chart, or options that do not fit it or the feed.
    """
    from stream_magic.views.chart_view import show

    kind, parsed = _chart(name, options)
    return show(kind(feed, parsed))


def check_chart(columns: Columns, name: str, options: dict[str, Any]) -> None:
    """Raises what `show_chart` would raise of a feed with these columns."""
    kind, parsed = _chart(name, options)
    kind.check(columns, parsed)


def _chart(name: str, options: dict[str, Any]) -> tuple[type[Chart], Options]:
    kind = registry.chart(name)
    given = {
        n: v if isinstance(v, OptionValue) else OptionValue(v, str(v)) for n, v in options.items()
    }
    try:
        return kind, parse_options(kind.options_type, given, f"chart '{name}'")
    except OptionErrors as e:
        raise (e.errors[0] if len(e.errors) == 1 else CellError(e.errors)) from None


def show_app(app_feed: AppFeed) -> Any:
    """The widget of an app's flow graph."""
    from stream_magic.views.flow_graph import FlowGraph

    return FlowGraph(app_feed)
