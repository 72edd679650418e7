"""One file a system; the order is that of the page."""

from __future__ import annotations

OURS = "stream_magic"
NAMES = (OURS, "deephaven")
