"""What the adapter of a system gives: a class `Adapter`, made anew for each query in the system's own environment."""

from __future__ import annotations

from typing import ClassVar

import pyarrow as pa


class NotExpressibleError(Exception):
    """The system has no words for this query; the text says why."""


class Peer:
    """One system with one query. The rows are in memory before any clock starts.

    A round is `prepare`, `run`, `clear`; only `run` is timed. `answer` is asked for after some rounds, before `clear`.

    Attributes:
        requirements: what pip installs, besides what every environment has (environment.py).
        share: a slow system gets one row in so many, from the beginning; it is compared by rows a second.
        reads: how the rows come in, and where the result is in the end: a sentence for the page.
    """

    requirements: ClassVar[tuple[str, ...]]
    share: ClassVar[int] = 1
    reads: ClassVar[str]

    def __init__(self, query: str, tables: dict[str, pa.Table]) -> None:
        """Starts the system.

        Raises:
            NotExpressibleError: it cannot say this query.
        """
        self.query = query
        self.tables = tables

    def prepare(self) -> None:
        """Makes the query and hands it the rows; nothing has been computed when it returns."""

    def run(self) -> None:
        """Returns when every row is in the result and every window is closed."""
        raise NotImplementedError

    def answer(self) -> pa.Table:
        """The result of the last run, columns in the order of the batch query."""
        raise NotImplementedError

    def clear(self) -> None:
        """Forgets the run."""

    def close(self) -> None:
        """Ends what was started."""
