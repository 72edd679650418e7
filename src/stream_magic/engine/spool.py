"""Rows that wait in a temporary file, so that a large snapshot does not fill the memory."""

from __future__ import annotations

import tempfile
import threading
import weakref
from dataclasses import dataclass
from typing import IO

import pyarrow as pa


class Spool:
    """Tables one after the other in a file without a name, made on first use; gone with the last that knows it."""

    def __init__(self) -> None:
        self._file: IO[bytes] | None = None
        self._lock = threading.Lock()
        self._end = 0

    def store(self, rows: pa.Table) -> Stored:
        """Writes a table behind the others."""
        buffer = pa.BufferOutputStream()
        with pa.ipc.new_stream(buffer, rows.schema) as writer:
            writer.write_table(rows)
        data = buffer.getvalue()
        with self._lock:
            if self._file is None:
                self._file = tempfile.TemporaryFile(prefix="stream_magic-")  # noqa: SIM115 - outlives this call
                weakref.finalize(self, self._file.close)
            at, self._end = self._end, self._end + data.size
            self._file.seek(at)
            self._file.write(data)
        return Stored(self, at, data.size)

    def load(self, stored: Stored) -> pa.Table:
        """Reads a table again."""
        with self._lock:
            if self._file is None:
                raise ValueError("nothing was stored")
            self._file.seek(stored.at)
            data = self._file.read(stored.size)
        return pa.ipc.open_stream(data).read_all()


@dataclass(frozen=True)
class Stored:
    """Where a table is."""

    spool: Spool
    at: int
    size: int

    def load(self) -> pa.Table:
        return self.spool.load(self)
