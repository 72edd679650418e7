"""The Nexmark auction house: the events of a public benchmark of streaming SQL, made from a seed."""

from __future__ import annotations

from stream_magic.connectors.nexmark.house import House
from stream_magic.connectors.nexmark.source import NexmarkOptions, NexmarkSource

__all__ = ["House", "NexmarkOptions", "NexmarkSource"]
