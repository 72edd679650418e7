"""One file a system; the order is that of the page."""

from __future__ import annotations

import importlib

from bench.peers.peer import Peer

OURS = "stream_magic"
NAMES = (OURS, "deephaven", "flink", "spark", "pathway", "bytewax", "csp", "streamz")


def adapter(system: str) -> type[Peer]:
    """Its class; what the system itself brings is not imported."""
    found: type[Peer] = importlib.import_module(f"bench.peers.adapters.{system}").Adapter
    return found
