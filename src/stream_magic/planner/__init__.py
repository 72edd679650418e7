"""From a bound SELECT to an incremental plan: a tree of frozen nodes that EXPLAIN can print."""

from __future__ import annotations
