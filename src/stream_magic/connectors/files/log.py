"""One file that is being read: where we are in it, and whether it is still the same one."""

from __future__ import annotations

import gzip
import os
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from stream_magic.contracts.format import Format
from stream_magic.errors import ConnectorError

_CHUNK = 1 << 20
_HEAD = 256  # bytes that tell whether a file is still the same one


@dataclass(frozen=True)
class Piece:
    """Whole records of one file; `first_line` is the line on which the first begins, from 1."""

    records: list[bytes]
    first_line: int

    def line(self, at: int) -> int:
        """The line on which record `at` begins."""
        return self.first_line + at + sum(r.count(b"\n") for r in self.records[:at])


class LogFile:
    """A file of records; one that is held open can be read to its end after it was renamed.

    Attributes:
        inode: tells files apart when names change.
        offset: end of the last whole record that was read (of the unpacked data).
        is_done: read to its end in a source that reads once.
        is_retired: another file has its name: what is in it now is all there will be.
    """

    def __init__(self, path: Path, offset: int = 0, lines: int = 0, head: int = 0) -> None:
        self.path = path
        self.inode = path.stat().st_ino
        self.offset = offset
        self.lines = lines
        self.is_retired = False
        self.is_done = False
        self.header: bytes | None = None
        self.is_packed = path.suffix == ".gz"
        self._head = head
        self._raw: BinaryIO | None = None
        self._stream: BinaryIO | None = None

    def hold(self) -> BinaryIO:
        """Opens the file, if it is not open yet."""
        if self._stream is None or self._raw is None:
            try:
                self._raw = self.path.open("rb")
            except OSError as e:
                raise ConnectorError(
                    "SM4102", f"the file {self.path} cannot be read: {e.strerror}", transient=True
                ) from None
            self._stream = self._raw
            if self.is_packed:
                self._stream = cast("BinaryIO", gzip.GzipFile(fileobj=self._raw))
        return self._stream

    @property
    def head(self) -> int:
        """A checksum of the first bytes that were read: a file that was cut has others there, or none."""
        return self._head

    @property
    def is_cut(self) -> bool:
        """True if what was read of the file is no longer there."""
        if self.is_packed or self.offset == 0:
            return False
        self.hold()
        return self._size() < self.offset or self._checksum() != self._head

    def _size(self) -> int:
        return 0 if self._raw is None else os.fstat(self._raw.fileno()).st_size

    def _checksum(self) -> int:
        if self._raw is None or self.is_packed:
            return 0
        return zlib.crc32(os.pread(self._raw.fileno(), min(self.offset, _HEAD), 0))

    def skip(self) -> None:
        """Goes behind the last whole line that is there."""
        at = 0
        while True:
            data, is_end = self._data(at, _CHUNK)
            at += len(data)
            self.lines += data.count(b"\n")
            if b"\n" in data:
                self.offset = at - len(data) + data.rindex(b"\n") + 1
            if is_end:
                break
        self._head = self._checksum()

    def restart(self) -> None:
        """Goes back to the beginning."""
        self.offset = self.lines = self._head = 0
        self.header = None

    def read(self, form: Format, max_rows: int, *, to_end: bool) -> Piece:
        """The next whole records, none if there are none. With `to_end` a last line needs no newline."""
        if form.has_header and self.header is None and not self._read_header(form, to_end=to_end):
            return Piece([], self.lines + 1)
        data, is_end = self._data(self.offset, _CHUNK)
        size = _CHUNK
        records, used = form.frame(data, at_end=is_end and to_end)
        while not records and not is_end:  # a record longer than a chunk
            size *= 2
            data, is_end = self._data(self.offset, size)
            records, used = form.frame(data, at_end=is_end and to_end)
        while len(records) > max_rows:
            fewer, bytes_of_fewer = form.frame(
                data[: used * max_rows // len(records)], at_end=False
            )
            if not fewer:
                break  # records of very different lengths: a bit more than asked
            records, used = fewer, bytes_of_fewer
        piece = Piece(records, self.lines + 1)
        self.offset += used
        self.lines += data.count(b"\n", 0, used)
        if used and self.offset - used < _HEAD:
            self._head = self._checksum()
        return piece

    def close(self) -> None:
        """Lets go of the file; `hold` opens it again."""
        if self._stream is not None and self._raw is not None:
            self._stream.close()
            self._raw.close()
        self._stream = self._raw = None

    def _read_header(self, form: Format, *, to_end: bool) -> bool:
        """Reads the first record, again if reading goes on in the middle; False if it is not there yet."""
        size = 1 << 16
        while True:
            data, is_end = self._data(0, size)
            records, used = form.frame(data, at_end=is_end and to_end)
            if records:
                break
            if is_end:
                return False
            size *= 2
        self.header = records[0]
        if self.offset == 0:
            # Framed alone, to know where it ends.
            end = data.find(b"\n") + 1 or used
            while len(records) > 1 and not form.frame(data[:end], at_end=False)[0]:
                end = data.find(b"\n", end) + 1 or used
            self.offset = end
            self.lines = data.count(b"\n", 0, end)
            self._head = self._checksum()
        return True

    def _data(self, offset: int, size: int) -> tuple[bytes, bool]:
        """Bytes from `offset`, and whether the file ends behind them."""
        try:
            stream = self.hold()
            stream.seek(offset)
            data = stream.read(size)
        except (OSError, EOFError) as e:
            raise ConnectorError(
                "SM4103",
                f"the file {self.path} cannot be read on: {e}",
                transient=not self.is_packed,
            ) from None
        return data, len(data) < size
