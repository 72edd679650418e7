"""SQL functions that are another way to write plain SQL."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

_USAGE = re.compile(r"(\w+)\((.*)\)( OVER w| \[OVER w\])?")
_INTERVAL, _REST = "INTERVAL ", "..."


@dataclass(frozen=True)
class Macro:
    """A function in DuckDB's own words: a call is replaced by its meaning before anything else is done.

    `Macro("delta(x) OVER w", "x - lag(x) OVER w", "...")` makes `delta(amount) OVER (ORDER BY ts)` mean
    `amount - lag(amount) OVER (ORDER BY ts)`. Several of one name are told apart by their parameters.
    Installed packages add families by the entry point group `stream_magic.functions`: a tuple of macros.

    Attributes:
        usage: how it is called. `OVER w` must follow, `[OVER w]` may. A parameter `INTERVAL size` takes only
            intervals, a last one `key...` all arguments that are left, as they are written.
        sql: what it means: an expression, or a SELECT for a function in FROM, whose first parameter is a
            relation and whose others are columns and intervals. `OVER w` is the call's own; `OVER (w ROWS ...)`
            adds a frame to it.
        doc: a sentence: what it gives.
        numbers: parameters that are numbers of the query's text, each with the least and the most that it may be.
    """

    usage: str
    sql: str
    doc: str
    numbers: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Lower case; `shown` is as people write it."""
        return self.shown.lower()

    @property
    def shown(self) -> str:
        return self._read[0]

    @property
    def parameters(self) -> tuple[str, ...]:
        return tuple(p.removeprefix(_INTERVAL).removesuffix(_REST) for p in self._declared)

    @property
    def over(self) -> Literal["must", "may", "not"]:
        """Whether OVER follows a call."""
        follows = self._read[2]
        return "not" if not follows else "may" if "[" in follows else "must"

    @property
    def is_relation(self) -> bool:
        """It stands in FROM."""
        return self.sql.startswith("SELECT")

    @property
    def takes_rest(self) -> bool:
        """Its last parameter takes all arguments that are left."""
        return bool(self._declared) and self._declared[-1].endswith(_REST)

    @property
    def has_frame(self) -> bool:
        """It says by itself which rows a window function sees."""
        return "(w " in self.sql

    def fits(self, is_interval: list[bool]) -> bool:
        """Whether it takes these arguments: for each, whether it is written as an INTERVAL."""
        wanted = [p.startswith(_INTERVAL) for p in self._declared]
        if self.takes_rest:
            wanted += [False] * (len(is_interval) - len(wanted))
        return wanted == is_interval

    @property
    def _declared(self) -> list[str]:
        given = self._read[1]
        return given.split(", ") if given else []

    @property
    def _read(self) -> tuple[str, str, str]:
        found = _USAGE.fullmatch(self.usage)
        if found is None:
            raise ValueError(f"not the form name(x, y) OVER w: {self.usage}")
        return found[1], found[2], found[3] or ""
