"""A format turns bytes into Arrow columns and back, and reports bad rows by index.

Three levels, each built on the one before: one message (`decode`, `encode`), the records of a
byte stream (`frame`), a whole file (`open_file`, `read_file`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, ClassVar

import pyarrow as pa

from stream_magic.contracts.options import Options


@dataclass(frozen=True)
class BadRecord:
    """The payload at `index` could not be decoded, and why."""

    index: int
    reason: str


@dataclass(frozen=True)
class Decoded:
    """Columns of the good payloads, in order.

    Attributes:
        rows: one row for each good payload, exactly the asked schema.
        good: index of the payload of each row, or None if all were good.
        bad: the others.
        unknown_keys: values left out because no column has their name (counted, not an error).
    """

    rows: pa.Table
    good: pa.Array | None = None
    bad: Sequence[BadRecord] = field(default_factory=tuple)
    unknown_keys: int = 0


class FileWriter(ABC):
    """Writes rows into one file."""

    is_append_only: ClassVar[bool] = True
    """True if what was written is whole after each `write` (CSV, JSON lines); False for Parquet."""

    @abstractmethod
    def write(self, rows: pa.Table) -> None:
        """Appends rows to the stream."""

    @abstractmethod
    def close(self) -> None:
        """Finishes the file; the stream itself stays open. May be called twice."""


class Format(ABC):
    """Bytes to columns and back. Instances hold options only and may be used from several threads."""

    options_type: ClassVar[type[Options]] = Options
    extension: ClassVar[str] = ""
    """Of file names, without the dot."""
    is_file_only: ClassVar[bool] = False
    """True if there are no single messages (Parquet): use `read_file` and `open_file`."""
    has_header: bool = False
    """True if the first record of every file names the columns."""

    def __init__(self, options: Options) -> None:
        self.options = options

    @abstractmethod
    def infer(self, samples: Sequence[bytes], header: bytes | None = None) -> pa.Schema:
        """A schema that fits all samples (records as `frame` cuts them).

        Raises:
            ConfigError: nothing can be inferred.
        """

    @abstractmethod
    def decode(self, payloads: pa.Array, schema: pa.Schema, header: bytes | None = None) -> Decoded:
        """Columns of `schema` from a binary array. Never raises for bad data; a NULL payload is a bad row."""

    @abstractmethod
    def encode(self, rows: pa.Table) -> list[bytes]:
        """One payload for each row."""

    def frame(self, data: bytes, *, at_end: bool) -> tuple[list[bytes], int]:
        """Cuts a byte stream into records: (records, number of bytes used).

        What is not used comes again with more behind it; with `at_end` nothing more comes.
        """
        raise NotImplementedError

    def misfits(self, schema: pa.Schema) -> dict[str, str]:  # noqa: ARG002
        """Columns that this format cannot write, and what they hold: {'age': 'INTERVAL'}.

        Asked when a target is created.
        """
        return {}

    def open_file(self, stream: BinaryIO, schema: pa.Schema, *, at_start: bool) -> FileWriter:
        """Writes to `stream`; `at_start` is False when a file that has rows already is continued."""
        raise NotImplementedError

    def read_file(self, path: str, first_row: int, batch_rows: int) -> Iterator[pa.Table]:
        """Rows of a whole file from `first_row` on (only with `is_file_only`)."""
        raise NotImplementedError

    def file_schema(self, path: str) -> pa.Schema:
        """Schema of a whole file (only with `is_file_only`)."""
        raise NotImplementedError
