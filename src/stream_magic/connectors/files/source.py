"""Reads files: all there are, or for ever as they grow."""

from __future__ import annotations

import contextlib
import glob
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from stream_magic.connectors.files.log import LogFile
from stream_magic.contracts.format import Format
from stream_magic.contracts.options import SourceOptions, option, parse_options
from stream_magic.contracts.registry import registry
from stream_magic.contracts.source import BadRow, EndOfSource, Source, SourceBatch, SourceContext
from stream_magic.core.clock import SystemClock
from stream_magic.core.epoch import Position
from stream_magic.errors import ConfigError, ConnectorError

_NAP_S = 0.05  # between two looks at files that did not grow
_SAMPLES = 1000
_BY_EXTENSION = {
    "csv": "csv", "tsv": "csv", "json": "json", "jsonl": "json", "ndjson": "json",
    "log": "json", "parquet": "parquet",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FileSourceOptions(SourceOptions):
    path: str = option(
        "A file, or several by a pattern with * and ?; *.gz is unpacked.", example="'logs/*.csv'"
    )
    mode: Literal["once", "tail"] = option(
        "once: what is there, then the source ends. tail: follows files as they grow.",
        default="once",
        example="'tail'",
    )
    start: Literal["beginning", "end"] = option(
        "Where tail begins in files that are there already.", default="beginning", example="'end'"
    )


class FileSource(Source):
    """Rows of the files that match a pattern, file after file in the order of their names.

    A file that was renamed is read to its end, then the new one of its name from the beginning. A file
    that was cut short or written anew is begun again, and says so as an error row.
    """

    options_type = FileSourceOptions
    takes_format = True
    default_format = None
    options: FileSourceOptions

    def __init__(self, options: FileSourceOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self.takes_format = False  # decodes by itself: every file has its own header
        self._pattern = str(Path(options.path).expanduser().absolute())
        self.address = f"file://{self._pattern}"
        self.detail = f"file, {Path(options.path).name}"
        self._format = context.format or default_format(options.path)
        self._columns = context.columns
        self._open: dict[int, LogFile] = {}
        self._whole: dict[str, Iterator[pa.Table]] = {}
        # By path, as in positions: inode, offset, lines, head; of whole files inode, rows, is read.
        self._done: dict[str, list[int]] = {}
        self._lost: list[BadRow] = []
        self._is_started = False
        self.is_bounded = options.mode == "once"

    def check(self) -> None:
        if self.options.mode == "once" and not self._paths():
            raise self._missing()

    def schema(self) -> pa.Schema:
        if self._columns is None:
            self._columns = self._infer()
        return self._columns

    def sample(self) -> list[bytes]:
        """Records of the first file that has any, its header left out."""
        return self._sample()[0]

    def open(self, position: Position | None) -> None:
        self.close()
        if position is None:
            self.check()
        state: Any = {} if position is None else position["files"]
        self._done = {path: [int(n) for n in numbers] for path, numbers in state.items()}
        self._is_started = position is not None
        if not self._format.is_file_only:
            self._resume()

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        clock = SystemClock()  # real time, also if the app's clock stands still
        until = clock.monotonic_s() + timeout_s
        while True:
            errors = self._look()
            batch = (
                self._next_whole(max_rows) if self._format.is_file_only else self._next(max_rows)
            )
            if batch is not None or errors:
                rows = self.schema().empty_table() if batch is None else batch.rows
                found = [] if batch is None else list(batch.errors)
                return SourceBatch(rows, self._position(), errors=errors + found)
            if self.options.mode == "once":
                raise EndOfSource
            left_s = until - clock.monotonic_s()
            if left_s <= 0:
                return None
            threading.Event().wait(min(_NAP_S, left_s))

    def close(self) -> None:
        for log in self._open.values():
            log.close()
        self._open.clear()
        self._whole.clear()

    # --- which files there are -------------------------------------------------------------------

    def _paths(self) -> list[Path]:
        if not glob.has_magic(self._pattern):
            path = Path(self._pattern)
            return [path] if path.is_file() else []
        return sorted(p for p in map(Path, glob.glob(self._pattern, recursive=True)) if p.is_file())  # noqa: PTH207

    def _missing(self) -> ConnectorError:
        return ConnectorError(
            "SM4101",
            f"there is no file {self.options.path}",
            hint="write the path of a file, or mode = 'tail' to wait for one",
        )

    def _resume(self) -> None:
        """Opens the files of a position again, also those that were renamed since."""
        for path, (inode, offset, lines, head) in self._done.items():
            found = _by_inode(Path(path), inode)
            if found is None:
                why = "the file is gone; what was not read of it is lost"
                self._lost.append(BadRow(b"", why, f"{Path(path).name} line {lines + 1}"))
                continue
            log = LogFile(found, offset, lines, head)
            if self.options.mode == "tail":
                log.hold()
            self._open[inode] = log

    def _look(self) -> list[BadRow]:
        """Notices new, renamed and truncated files; returns an error row for each of the latter."""
        if self._format.is_file_only:
            return []
        errors, self._lost = self._lost, []
        found: dict[int, Path] = {}
        for path in self._paths():
            with contextlib.suppress(OSError):  # gone again between two looks
                found[path.stat().st_ino] = path
        for inode, log in self._open.items():
            # A file without a name of ours was renamed or removed: nobody writes to it for us.
            log.is_retired = inode not in found
            log.path = found.get(inode, log.path)
        for inode, path in found.items():
            if inode not in self._open:
                self._open[inode] = self._begin(path)
        for log in self._open.values():
            if not log.is_done and log.is_cut:
                at = f"{log.path.name} line {log.lines + 1}"
                errors.append(BadRow(b"", "the file was truncated: it is read again", at))
                log.restart()
        self._is_started = True
        return errors

    def _begin(self, path: Path) -> LogFile:
        log = LogFile(path)
        if self.options.mode == "tail":
            log.hold()
            if self.options.start == "end" and not self._is_started:
                log.skip()
        return log

    # --- rows ------------------------------------------------------------------------------------

    def _next(self, max_rows: int) -> SourceBatch | None:
        """The next records of the first file that has any, renamed ones first; forgets those when they are read."""
        order = sorted(self._open.values(), key=lambda log: (not log.is_retired, str(log.path)))
        for log in order:
            if log.is_done:
                continue
            piece = log.read(
                self._format, max_rows, to_end=log.is_retired or self.options.mode == "once"
            )
            if piece.records:
                schema = self.schema()
                payloads = pa.array(piece.records, pa.binary())
                decoded = self._format.decode(payloads, schema, log.header)
                errors = [
                    BadRow(
                        piece.records[bad.index],
                        bad.reason,
                        f"{log.path.name} line {piece.line(bad.index)}",
                    )
                    for bad in decoded.bad
                ]
                return SourceBatch(decoded.rows, None, errors=errors)
            if log.is_retired:
                log.close()
                del self._open[log.inode]
            elif self.options.mode == "once":
                log.is_done = True
                log.close()
        return None

    def _next_whole(self, max_rows: int) -> SourceBatch | None:
        schema = self.schema()
        for path in self._paths():
            name, inode = str(path), path.stat().st_ino
            done = self._done.get(name)
            if done is None or done[0] != inode:
                done = self._done[name] = [inode, 0, 0]
                self._whole.pop(name, None)
            if done[2]:
                continue  # read to its end
            if name not in self._whole:
                self._whole[name] = self._format.read_file(name, done[1], max_rows)
            rows = next(self._whole[name], None)
            if rows is None:
                done[2] = 1
                continue
            done[1] += rows.num_rows
            return SourceBatch(self._fit(rows, schema), None)
        return None

    @staticmethod
    def _fit(rows: pa.Table, schema: pa.Schema) -> pa.Table:
        """The declared columns of a whole file by name, the first of that name; one that it lacks is NULL."""
        names = list(enumerate(rows.column_names))
        columns = []
        for f in schema:
            loosely = [i for i, name in names if name.lower() == f.name.lower()]
            found = [i for i, name in names if name == f.name] or loosely
            missing = pa.nulls(rows.num_rows, f.type)
            columns.append(rows.column(found[0]).cast(f.type) if found else missing)
        return pa.table(columns, schema=schema)

    def _position(self) -> Position:
        if self._format.is_file_only:
            return {"files": {path: list(done) for path, done in self._done.items()}}
        # A renamed file comes first under a name of its own, so that both are found again.
        files: Position = {}
        for log in self._open.values():
            path = str(_by_inode(log.path, log.inode) or log.path)
            files[path] = [log.inode, log.offset, log.lines, log.head]
        return {"files": files}

    # --- what is in them -------------------------------------------------------------------------

    def _sample(self) -> tuple[list[bytes], bytes | None]:
        for path in self._paths():
            log = LogFile(path)  # of its own: inference moves no position
            try:
                # A line without an end may be half a line, unless the file is read once.
                piece = log.read(self._format, _SAMPLES, to_end=self.options.mode == "once")
            finally:
                log.close()
            if piece.records or log.header is not None:
                return piece.records[:_SAMPLES], log.header
        return [], None

    def _infer(self) -> pa.Schema:
        if self._format.is_file_only:
            paths = self._paths()
            if paths:
                return self._format.file_schema(str(paths[0]))
            samples: list[bytes] = []
            header = None
        else:
            samples, header = self._sample()
        if not samples and header is None:
            raise ConnectorError(
                "SM4104",
                f"no columns can be inferred from {self.options.path}: there are no rows yet",
                hint="declare columns, or run this cell when rows are there",
            )
        return self._format.infer(samples, header)


def _by_inode(path: Path, inode: int) -> Path | None:
    """The file with this inode: at its path, or renamed in the same folder."""
    try:
        if path.stat().st_ino == inode:
            return path
    except OSError:
        pass
    try:
        return next((p for p in sorted(path.parent.iterdir()) if p.stat().st_ino == inode), None)
    except OSError:
        return None


def default_format(path: str) -> Format:
    """The format that a file's name asks for, with its default options.

    Raises:
        ConfigError: the name says nothing.
    """
    suffixes = [s.lstrip(".").lower() for s in Path(path).suffixes]
    if suffixes and suffixes[-1] == "gz":
        suffixes.pop()
    name = _BY_EXTENSION.get(suffixes[-1]) if suffixes else None
    if name is None:
        raise ConfigError(
            "SM7140", f"the format of {path} is not known", hint="add FORMAT csv, json or parquet"
        )
    kind = registry.format(name)
    given: dict[str, Any] = {}
    made = parse_options(kind.options_type, given, f"format '{name}'")
    return kind(made)
