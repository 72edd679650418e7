"""Functions that answer differently each time: fine where a row is seen once, wrong where it may be taken back."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from stream_magic.errors import PlanError
from stream_magic.language.spans import span_of
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

    def refuse(self, nodes: Iterator[exp.Expr] | list[exp.Expr], text: str, where: str) -> None:
        """Raises for the first volatile function in these expressions.

        Raises:
            PlanError: SM3050.
        """
        for node in nodes:
            for call in self.find(node):
                name = function_name(call) if isinstance(call, exp.Func) else call.name.lower()
                raise PlanError(
                    "SM3050",
                    f"{name}() answers differently each time, and {where}",
                    hint=f"draw it where rows are only added: CREATE STREAM s AS SELECT *, {name}() AS v FROM source",
                    span=span_of(call, text),
                )
