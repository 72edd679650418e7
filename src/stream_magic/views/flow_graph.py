"""The output of `%%stream`: the app as a graph, live."""

from __future__ import annotations

import html
from typing import Any

import anywidget
import traitlets

from stream_magic.contracts.feed import AppFeed, GraphNode, NodeState
from stream_magic.views.assets import script, style
from stream_magic.views.frame import STATE_WORDS
from stream_magic.views.presence import Presence
from stream_magic.views.protocol import Message
from stream_magic.views.pump import FLOW_S, Pump
from stream_magic.views.pump import pump as kernel_pump
from stream_magic.views.words import count, duration, number, rate


class FlowGraph(anywidget.AnyWidget):  # type: ignore[misc]
    """Every node of an app with its state, rate, lag and errors, and what flows between them.

    Args:
        app_feed: the app.
        pump: refreshes it; the kernel's own by default.
    """

    _esm = script("flow.js")
    _css = style("flow.css")

    bar = traitlets.Dict().tag(sync=True)
    nodes = traitlets.List().tag(sync=True)

    interval_s = FLOW_S

    def __init__(self, app_feed: AppFeed, *, pump: Pump | None = None) -> None:
        self._feed = app_feed
        found = app_feed.nodes()
        super().__init__(bar=app_bar(app_feed, found), nodes=[node_message(n) for n in found])
        self.on_msg(self._hear)
        self._presence = Presence(self, self, kernel_pump() if pump is None else pump)

    def version(self) -> int:
        return self._feed.version

    def refresh(self, *, rows: bool) -> None:
        """Takes the app's figures (the pump calls it)."""
        del rows
        found = self._feed.nodes()
        with self.hold_sync():
            self.bar = app_bar(self._feed, found)
            self.nodes = [node_message(n) for n in found]

    def fail(self, error: Exception) -> None:
        """Shows that the app could not be asked."""
        banner = {"tone": "error", "text": f"This view cannot be drawn: {error}"}
        self.bar = {**self.bar, "state": "failed", "word": STATE_WORDS["failed"], "banner": banner}

    def _hear(self, _widget: Any, content: Any, _buffers: Any) -> None:
        what = content.get("what") if isinstance(content, dict) else None
        acts = {"pause": self._feed.pause, "resume": self._feed.resume, "step": self._feed.step}
        if what in acts:
            acts[what]()

    def _repr_mimebundle_(self, **kwargs: Any) -> Any:
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        text = text_graph(self._feed)
        return {
            **data,
            "text/plain": text,
            "text/html": f"<pre>{html.escape(text)}</pre>",
        }, metadata


def text_graph(feed: AppFeed) -> str:
    """The app in words, a line for each node."""
    nodes = feed.nodes()
    lines = [f"{feed.name}: {count(len(nodes), 'node')}, epoch {number(feed.epoch())}"]
    for n in nodes:
        origin = f" <- {', '.join(n.inputs)}" if n.inputs else ""
        figures = f"{count(n.status.rows, 'row')}, {rate(n.status.rows_per_s)}/s"
        lines.append(
            f"  {n.kind} {n.name}{origin}: {STATE_WORDS[n.status.state].lower()}, {figures}"
        )
    return "\n".join(lines)


def app_bar(feed: AppFeed, nodes: list[GraphNode]) -> Message:
    """The bar of an app: what comes in, what goes out, and where trouble is."""
    state = app_state(nodes, is_paused=feed.is_paused)
    metrics = [[_sum(nodes, "source"), "rows/s in"]]
    if any(n.kind == "target" for n in nodes):
        metrics.append([_sum(nodes, "target"), "rows/s out"])
    lags = [n.status.lag_s for n in nodes if n.status.lag_s is not None and n.kind != "cache"]
    if lags:
        metrics.append([duration(max(lags)), "lag"])
    metrics.append([number(feed.epoch()), "epoch"])
    return {
        "name": feed.name,
        "kind": f"app, {count(len(nodes), 'node')}",
        "state": state,
        "word": STATE_WORDS[state],
        "metrics": metrics,
        "chips": [*_lost(nodes), *_errors(nodes)],
        "banner": None,
        "problems": [_problem(n) for n in nodes if n.status.state in {"failed", "reconnecting"}],
    }


def app_state(nodes: list[GraphNode], *, is_paused: bool) -> NodeState:
    """The state of the whole: trouble first, then what most nodes do."""
    states = {n.status.state for n in nodes}
    if is_paused:
        return "paused"
    order: tuple[NodeState, ...] = (
        "failed",
        "reconnecting",
        "running",
        "waiting",
        "stopped",
        "complete",
    )
    return next((s for s in order if s in states), "waiting")


def _sum(nodes: list[GraphNode], kind: str) -> str:
    return rate(sum(n.status.rows_per_s for n in nodes if n.kind == kind))


def _lost(nodes: list[GraphNode]) -> list[list[str]]:
    lost = [n.name for n in nodes if n.status.state == "reconnecting"]
    if not lost:
        return []
    return [[f"{lost[0]} reconnects" if len(lost) == 1 else f"{len(lost)} reconnect", "warn"]]


def _errors(nodes: list[GraphNode]) -> list[list[str]]:
    bad = [n for n in nodes if n.status.errors]
    if not bad:
        return []
    where = f"in {bad[0].name}" if len(bad) == 1 else f"in {len(bad)} nodes"
    return [[f"{count(sum(n.status.errors for n in bad), 'error')} {where}", "error"]]


def _problem(node: GraphNode) -> Message:
    words = {"failed": "was stopped by an error", "reconnecting": "lost its connection"}
    text = node.status.message or f"It {words[node.status.state]}."
    return {
        "name": node.name,
        "state": node.status.state,
        "word": STATE_WORDS[node.status.state],
        "text": text,
    }


def node_message(node: GraphNode) -> Message:
    """One card of the graph."""
    status = node.status
    is_cache = node.kind == "cache"
    return {
        "name": node.name,
        "kind": node.kind,
        "icon": _icon(node),
        "detail": node.detail,
        "inputs": [i for i in node.inputs if i not in node.lookups],
        "lookups": list(node.lookups),
        "state": status.state,
        "word": STATE_WORDS[status.state],
        "rate": status.rows_per_s,
        "rate_text": count(status.rows, "key") if is_cache else f"{rate(status.rows_per_s)}/s",
        "lag": ""
        if status.lag_s is None
        else duration(status.lag_s) + (" ago" if is_cache else ""),
        "errors": count(status.errors, "error") if status.errors else "",
        "message": status.message,
    }


def _icon(node: GraphNode) -> str:
    if node.kind == "source" and node.detail.startswith("file"):
        return "file"
    if node.kind in {"stream", "table"} and node.lookups:
        return "join"
    words = ("TUMBLE", "HOP", "SESSION", "CUMULATE")
    return "window" if node.detail.upper().startswith(words) else node.kind
