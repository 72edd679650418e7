"""Columns of a plan, and the names that stand once in it."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from sqlglot import exp

SEVERAL = "*"  # in place of a window's end: there are several for one start
COLUMN_NAME = re.compile(r"\b_(c|sm_x)\d+\b", re.IGNORECASE)  # what `Names` gives, in a text
RESOLVED = "sm_resolved"  # meta of a column that has its name of the plan already


@dataclass(eq=False)
class Column:
    """A column of an operation.

    Attributes:
        name: unique in the plan.
        label: what the user calls it.
        type: DuckDB's.
        is_time: it is the time that the watermark follows, unchanged.
        window: of a window's start or end: the name of the column with its end, if the watermark closes it.
    """

    name: str
    label: str
    type: str
    is_time: bool = False
    window: str = ""

    @property
    def ref(self) -> exp.Column:
        """The column in an expression."""
        column = exp.column(exp.to_identifier(self.name))
        column.meta[RESOLVED] = True
        return column


class Names:
    """Gives columns their names.

    Args:
        taken: lower-case names of other columns that stand in a statement beside them: those of caches.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        words = frozenset(taken)
        self._numbers = (n for n in itertools.count() if f"_c{n}" not in words)

    def new(self, label: str, kind: str, *, is_time: bool = False, window: str = "") -> Column:
        return Column(f"_c{next(self._numbers)}", label, kind, is_time, window)

    def like(self, column: Column, label: str | None = None) -> Column:
        """A column of another name that means the same."""
        name = f"_c{next(self._numbers)}"
        return replace(column, name=name, label=column.label if label is None else label)

    def alias(self) -> str:
        """A name for an item of FROM."""
        return f"_sm_x{next(self._numbers)}"
