"""How far sessions and frames reach."""

from __future__ import annotations

from dataclasses import dataclass

NO_SESSION = "(SELECT 0::BIGINT AS first, 0::BIGINT AS last) AS s"


@dataclass(frozen=True)
class Bounds:
    """`window_start` and `window_end` of sessions: names of the columns, their DuckDB type, and the gap."""

    start: str
    end: str
    type: str
    gap_us: int

    def sql(self, session: str) -> str:
        """The two columns, of a table with the times `first` and `last` of sessions, in microseconds."""
        first, last = f"{session}.first", f"{session}.last + {self.gap_us}"
        return f"{self._time(first)} AS {self.start}, {self._time(last)} AS {self.end}"

    def _time(self, micros: str) -> str:
        if "WITH TIME ZONE" in self.type:
            return f"make_timestamptz({micros})"
        return f"CAST(make_timestamp({micros}) AS {self.type})"


@dataclass(frozen=True)
class LastRows:
    """The last rows of each partition: `number_sql` counts them from the first on, `by` is its PARTITION BY or ''."""

    number_sql: str
    by: str
    count: int
