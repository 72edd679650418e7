"""Functions that answer differently each time: what they gave belongs to a row, and is never computed again for it."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from stream_magic.planner.aggregates import function_name

# Written without brackets, or known to sqlglot under another name than to DuckDB.
_WORDS = frozenset(
    {"current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "random", "uuid"}
)  # fmt: skip
# DuckDB answers these the same within a query, an app the same within an epoch.
_CLOCKS = frozenset(
    {"now", "today", "transaction_timestamp", "get_current_timestamp", "get_current_time", "current_localtime",
     "current_localtimestamp"}
)  # fmt: skip


_LITERAL = re.compile(r"'(?:[^']|'')*'")
_NAME = re.compile(r"\b[A-Za-z_]\w*\b")


class VolatileFinder:
    """Knows a volatile function when it sees one."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = (names | _WORDS | _CLOCKS) - {"error"}

    def find(self, node: exp.Expr) -> Iterator[exp.Expr]:
        for call in node.find_all(exp.Func, exp.Column):
            if isinstance(call, exp.Column):
                if len(call.parts) == 1 and call.name.lower() in _WORDS and not call.this.quoted:
                    yield call
            elif function_name(call) in self._names:
                yield call

    def is_drawn(self, node: exp.Expr) -> bool:
        """Its value is another for each row, or at each time."""
        return any(True for _ in self.find(node))

    def named(self, node: exp.Expr) -> tuple[str, exp.Expr]:
        """The first volatile function in an expression that is drawn."""
        call = next(self.find(node))
        return (function_name(call) if isinstance(call, exp.Func) else call.name.lower()), call

    def in_text(self, sql: str) -> str | None:
        """The name of a volatile function in SQL that the planner wrote."""
        bare = _LITERAL.sub("''", sql)
        return next((m[0].lower() for m in _NAME.finditer(bare) if self._is_call(m, bare)), None)

    def _is_call(self, found: re.Match[str], sql: str) -> bool:
        name = found[0].lower()
        return name in _WORDS or (name in self._names and sql[found.end() :].startswith("("))
