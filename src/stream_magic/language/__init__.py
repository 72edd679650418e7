"""StreamSQL: from the text of a cell to statements and bound queries, with a span for every word."""

from __future__ import annotations
