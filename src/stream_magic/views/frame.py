"""What the 34 px bar, the banner and the empty body of any view say, from a feed's status."""

from __future__ import annotations

from stream_magic.contracts.feed import Feed, FeedStatus, NodeState
from stream_magic.views.protocol import Message
from stream_magic.views.words import count, duration, number, rate

STATE_WORDS: dict[NodeState, str] = {
    "waiting": "Waiting",
    "running": "Running",
    "paused": "Paused",
    "stopped": "Stopped",
    "reconnecting": "Reconnecting",
    "failed": "Stopped by an error",
    "complete": "Complete",
}


def bar_of(feed: Feed, status: FeedStatus, *, kind: str) -> Message:
    """The bar of a table or chart over one feed."""
    changes = "rows/s" if feed.mode == "append" else "changes/s"
    metrics = [[number(status.rows), "row" if status.rows == 1 else "rows"]]
    metrics.append([rate(status.rows_per_s), changes])
    if status.lag_s is not None:
        metrics.append([duration(status.lag_s), "lag"])
    return {
        "name": feed.name,
        "kind": kind,
        "state": status.state,
        "word": STATE_WORDS[status.state],
        "metrics": metrics,
        "chips": [[count(status.errors, "error"), "error"]] if status.errors else [],
        "banner": banner_of(status),
        "rows": status.rows,
        "epoch": status.epoch,
    }


def banner_of(status: FeedStatus) -> Message | None:
    """The line below the bar when something is wrong."""
    if not status.rows and status.state not in {"failed", "reconnecting"}:
        return None  # the empty body says it
    if status.state == "failed":
        return {"tone": "error", "text": status.message or "Stopped by an error."}
    if status.state == "reconnecting":
        return {"tone": "warn", "text": status.message or "Connection lost. Trying again."}
    if status.state == "stopped":
        return {"tone": "neutral", "text": status.message or "Stopped. These are the last values."}
    return {"tone": "neutral", "text": status.message} if status.message else None


def empty_of(feed: Feed, status: FeedStatus) -> Message:
    """What stands in the body while there are no rows."""
    title = f"Waiting for rows from {feed.name}"
    text = status.message or "They show here as soon as they come. No cell has to run."
    if status.state == "complete":
        title, text = f"{feed.name} is complete", "Its input has ended, and no row came out."
    elif status.state == "stopped":
        title, text = f"{feed.name} is stopped", "No row came out before it stopped."
    elif status.state == "failed":
        title, text = f"{feed.name} was stopped by an error", "No row came out before it stopped."
    elif status.state == "paused":
        title, text = f"{feed.name} is paused", "No row has come out yet."
    return {"title": title, "text": text}


def kind_of(feed: Feed) -> str:
    """The quiet words after the name: what the feed is, then its key."""
    if feed.mode == "keyed" and feed.key:
        return f"keyed by {', '.join(feed.key)}"
    if feed.mode == "append":
        return "append"
    return feed.detail or feed.kind
