"""The command line: `stream-magic demo | run | doctor`, the same calls as a notebook's."""

from __future__ import annotations
