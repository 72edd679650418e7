"""Batches on their way into the engine: decoded, numbered, cut."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from stream_magic.contracts.format import Format
from stream_magic.contracts.source import PAYLOAD, BadRow, Source, SourceBatch
from stream_magic.core.arrivals import Numbers, numbers_from
from stream_magic.core.epoch import Position
from stream_magic.engine.row_errors import RowError
from stream_magic.engine.spool import Stored


@dataclass
class Decoded:
    """A batch as the engine takes it: rows of the source's schema, and what was wrong.

    Attributes:
        numbers: arrival numbers of the rows, once they have entered.
        end: the arrival number behind them; without rows, the next one when the batch entered.
    """

    rows: pa.Table
    partitions: np.ndarray | None
    position: Position | None
    errors: list[RowError] = field(default_factory=list)
    ended_partitions: tuple[int, ...] = ()
    numbers: Numbers = field(default_factory=lambda: numbers_from(0, 0))
    end: int = 0

    def enter(self, first: int) -> None:
        """Numbers the rows."""
        self.numbers = numbers_from(first, self.num_rows)
        self.end = first + self.num_rows

    def load(self) -> Decoded:
        """Itself: `StoredBatch` comes from a file."""
        return self

    def cut(self, before: int) -> tuple[Decoded, Decoded]:
        """The rows that arrived before a number, and the rest; the position stands behind the rest."""
        at = int(np.searchsorted(self.numbers, before))
        heads, tails = (None, None)
        if self.partitions is not None:
            heads, tails = self.partitions[:at], self.partitions[at:]
        head = Decoded(
            self.rows.slice(0, at), heads, None, self.errors, numbers=self.numbers[:at], end=before
        )
        rest = replace(
            self, rows=self.rows.slice(at), partitions=tails, errors=[], numbers=self.numbers[at:]
        )
        return head, rest

    @property
    def num_rows(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """In memory."""
        size: int = self.rows.nbytes
        return size


@dataclass
class StoredBatch:
    """A batch without a position whose rows wait in a file."""

    stored: Stored
    batch: Decoded
    num_rows: int
    nbytes: int = 0
    position: Position | None = None
    end: int = 0

    def enter(self, first: int) -> None:
        self.end = first + self.num_rows

    def load(self) -> Decoded:
        batch = replace(self.batch, rows=self.stored.load())
        batch.enter(self.end - self.num_rows)
        return batch


class Decoder:
    """Turns what a source reads into rows of the declared schema."""

    def __init__(self, source: Source, fmt: Format | None, schema: pa.Schema) -> None:
        self._source = source
        self._format = fmt
        self.schema = schema
        extra = set(source.extra_schema.names)
        self._decoded_schema = pa.schema([f for f in schema if f.name not in extra])

    def decode(self, batch: SourceBatch) -> Decoded:
        errors = [_row_error(bad) for bad in batch.errors]
        rows, partitions = batch.rows, batch.partitions
        if self._source.takes_format and self._format is not None:
            rows, partitions, bad = self._decode_payloads(batch, self._format)
            errors += bad
        rows = rows.select([n for n in (*self.schema.names, "_weight") if n in rows.column_names])
        wanted = (
            self.schema
            if "_weight" not in rows.column_names
            else self.schema.append(rows.schema.field("_weight"))
        )
        if not rows.schema.equals(wanted):
            rows = rows.cast(wanted)
        return Decoded(rows, partitions, batch.position, errors, tuple(batch.ended_partitions))

    def _decode_payloads(
        self, batch: SourceBatch, fmt: Format
    ) -> tuple[pa.Table, np.ndarray | None, list[RowError]]:
        payloads = batch.rows.column(PAYLOAD)
        payloads = payloads.combine_chunks() if isinstance(payloads, pa.ChunkedArray) else payloads
        decoded = fmt.decode(payloads, self._decoded_schema)
        places: Sequence[str] = batch.places or ()
        bad = [
            RowError(
                "SM5000",
                b.reason,
                payloads[b.index].as_py() or b"",
                places[b.index] if places else "",
            )
            for b in decoded.bad
        ]
        extra = batch.rows.select([n for n in batch.rows.column_names if n != PAYLOAD])
        partitions = batch.partitions
        if decoded.good is not None:
            extra = extra.take(decoded.good)
            partitions = None if partitions is None else partitions[decoded.good.to_numpy()]
        rows = decoded.rows
        for name in extra.column_names:
            rows = rows.append_column(extra.schema.field(name), extra.column(name))
        return rows, partitions, bad


def _row_error(bad: BadRow) -> RowError:
    return RowError("SM5000", bad.reason, bad.raw, bad.position)
