"""The same queries on the same rows with other streaming systems, each in an environment of its own (README.md)."""

from __future__ import annotations
