"""Private servers for the examples and the tests: real ones, on free ports, in folders of their own."""

from __future__ import annotations
