"""One rule family a file. An operator takes a delta and gives a delta; its state is in DuckDB."""

from __future__ import annotations
