"""Live views: widgets that are handed a feed and draw it at a display rate."""

from __future__ import annotations
