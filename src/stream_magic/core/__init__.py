"""The nouns that every room shares: schemas, changes, positions, clocks, durations."""

from __future__ import annotations
