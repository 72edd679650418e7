"""Runs plans: epochs, operators, sources, targets. Speaks Arrow and plain data at its border."""

from __future__ import annotations
