"""Sources that are read without an engine."""

from __future__ import annotations

import pyarrow as pa

from stream_magic.contracts.source import EndOfSource, Source


def read_all(source: Source, bite: int = 1000) -> pa.Table:
    """All rows of a bounded source that is open."""
    tables = []
    while True:
        try:
            batch = source.read(bite, 0)
        except EndOfSource:
            return pa.concat_tables(tables)
        assert batch is not None
        tables.append(batch.rows)
