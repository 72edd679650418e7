"""Writes a set of rolling files, each row exactly once."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO, ClassVar

import pyarrow as pa

from stream_magic.connectors.files.manifest import Manifest, sync_folder
from stream_magic.contracts.format import FileWriter, Format
from stream_magic.contracts.options import ByteSize, Options, option, parse_options
from stream_magic.contracts.registry import registry
from stream_magic.contracts.target import Guarantee, Mode, Target, TargetContext
from stream_magic.core.epoch import Mark
from stream_magic.errors import ConfigError, ConnectorError, DeliveryError

_NUMBER = re.compile(r"\{n(?::0?\d+d)?\}")


@dataclass(frozen=True, kw_only=True)
class FileTargetOptions(Options):
    path: str = option(
        "A folder (files are TARGET-00001.csv, ...), or a name: 'out/orders.csv' becomes "
        "out/orders-00001.csv, and {n} says where the number goes.",
        example="'out/orders-{n:05d}.csv'",
    )
    roll_rows: int | None = option(
        "A new file after this many rows.", default=None, example="100000"
    )
    roll_bytes: ByteSize | None = option(
        "A new file when one has at least this size.", default=None, example="'64 MB'"
    )
    roll_interval: timedelta | None = option(
        "A new file when one is this old, by the app's clock.", default=None, example="'1 hour'"
    )

    def __post_init__(self) -> None:
        for name in ("roll_rows", "roll_bytes"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigError("SM7141", f"option {name} must be at least 1")
        if not self.path.strip():
            raise ConfigError("SM7142", "option path is empty", hint="write path = 'out'")


class FileTarget(Target):
    """Rows in files, with a manifest beside them that makes each delivery whole or undone.

    Lines are appended, made durable, and then counted by the manifest; what a crash left behind the
    counted length is cut off. A Parquet file is written whole when it rolls, and only then does the
    mark move. A new life of an app that keeps no state begins new files and leaves the old ones alone.
    """

    options_type = FileTargetOptions
    takes_format: ClassVar[bool] = True
    default_format: ClassVar[str | None] = None
    is_exclusive: ClassVar[bool] = True
    modes: ClassVar[frozenset[Mode]] = frozenset({"append"})
    options: FileTargetOptions

    def __init__(self, options: FileTargetOptions, context: TargetContext) -> None:
        super().__init__(options, context)
        self._format = context.format or _format_of(options.path)
        self._folder, self._name = _place(options.path, context.name, self._format.extension)
        any_number = _NUMBER.sub("*", self._name)
        self.address = f"file://{self._folder / any_number}"
        self.detail = f"file, {any_number}"
        self._manifest_path = self._folder / f".{context.name}.manifest.json"
        self._manifest = Manifest(context.state_id)
        self._stream: BinaryIO | None = None
        self._writer: FileWriter | None = None
        # Rows since the mark, of a format whose files are written whole.
        self._held: list[pa.Table] = []
        self._held_mark: Mark | None = None
        self._held_since_us = 0

    @property
    def guarantee(self) -> Guarantee:
        return "exactly_once"

    def check(self) -> None:
        if self._folder.exists() and not self._folder.is_dir():
            raise ConnectorError("SM4111", f"{self._folder} is not a folder")
        if misfits := self._format.misfits(self.context.schema):
            columns = ", ".join(f"'{name}' {words}" for name, words in misfits.items())
            name = next(iter(misfits))
            raise ConnectorError(
                "SM4114",
                f"files of this format ({self._format.extension}) cannot hold the column {columns}",
                hint=f"cast it in the query: CAST({name} AS VARCHAR) AS {name}",
            )

    def open(self) -> None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            found = Manifest.load(self._manifest_path)
            if found is not None:
                self._undo(found)
            if found is None or found.state_id != self.context.state_id:
                found = Manifest(self.context.state_id)
            self._manifest = found
            if found.file is not None:
                self._continue(found.file)
        except OSError as e:
            raise ConnectorError(
                "SM4112", f"files cannot be written to {self._folder}: {e.strerror}", transient=True
            ) from None

    def last_mark(self) -> Mark | None:
        return self._held_mark or self._manifest.mark

    def write(self, mark: Mark, rows: pa.Table) -> None:
        try:
            if self._format.is_file_only:
                self._hold(mark, rows)
            else:
                self._append(mark, rows)
        except OSError as e:
            raise DeliveryError(
                "SM6110", f"files cannot be written to {self._folder}: {e.strerror}", transient=True
            ) from None

    def tick(self) -> None:
        interval = self.options.roll_interval
        if interval is None:
            return
        since = self._held_since_us if self._held else self._manifest.opened_us
        if not self._held and self._manifest.file is None:
            return
        if self.context.clock.now_us() - since < interval.total_seconds() * 1e6:
            return
        try:
            if self._held:
                self._write_held()
            else:
                self._finish_file()
                self._manifest.save(self._manifest_path)
        except OSError as e:
            raise DeliveryError(
                "SM6110", f"files cannot be rolled: {e.strerror}", transient=True
            ) from None

    def close(self) -> None:
        try:
            if self._held:
                self._write_held()
        except OSError as e:
            raise DeliveryError(
                "SM6111", f"the last rows cannot be written to {self._folder}: {e.strerror}"
            ) from None
        finally:
            self._let_go()

    # --- formats that are appended to ------------------------------------------------------------

    def _append(self, mark: Mark, rows: pa.Table) -> None:
        at = 0
        while at < rows.num_rows:
            if self._writer is None or self._stream is None:
                self._begin_file()
                continue
            room = rows.num_rows - at
            if self.options.roll_rows is not None:
                room = min(room, self.options.roll_rows - self._manifest.rows)
            # Bytes are looked at now and then, not for each row.
            if self.options.roll_bytes is not None:
                room = min(room, max(1, self.options.roll_bytes // 256))
            part = rows.slice(at, max(1, room))
            self._writer.write(part)
            at += part.num_rows
            self._manifest.rows += part.num_rows
            self._manifest.length = self._stream.tell()
            if self._is_full():
                self._finish_file()
        self._sync()
        self._manifest = replace(
            self._manifest, state_id=mark.state_id, last_epoch=mark.last_epoch, tentative=[]
        )
        self._manifest.save(self._manifest_path)

    def _is_full(self) -> bool:
        options = self.options
        return (options.roll_rows is not None and self._manifest.rows >= options.roll_rows) or (
            options.roll_bytes is not None and self._manifest.length >= options.roll_bytes
        )

    def _begin_file(self) -> None:
        name = self._new_name()
        # Said before it is done, and with what the mark still covers: so a crash leaves nothing unknown.
        saved = Manifest.load(self._manifest_path)
        before = saved if saved and saved.state_id == self.context.state_id else None
        before = before or Manifest(self.context.state_id)
        before.tentative = [*before.tentative, name]
        before.save(self._manifest_path)
        self._stream = (self._folder / name).open("xb")
        self._writer = self._format.open_file(self._stream, self.context.schema, at_start=True)
        self._manifest = replace(
            self._manifest,
            file=name,
            length=self._stream.tell(),
            rows=0,
            opened_us=self.context.clock.now_us(),
        )

    def _finish_file(self) -> None:
        self._sync()
        self._let_go()
        self._manifest = replace(self._manifest, file=None, length=0, rows=0)

    def _sync(self) -> None:
        if self._stream is not None:
            self._stream.flush()
            os.fsync(self._stream.fileno())

    def _let_go(self) -> None:
        if self._writer is not None:
            self._writer.close()
        if self._stream is not None:
            self._stream.close()
        self._stream = self._writer = None

    # --- formats that are written whole ----------------------------------------------------------

    def _hold(self, mark: Mark, rows: pa.Table) -> None:
        if not self._held:
            self._held_since_us = self.context.clock.now_us()
        before = self._held_mark
        self._held.append(rows)
        self._held_mark = mark
        count = sum(t.num_rows for t in self._held)
        size = sum(t.nbytes for t in self._held)
        options = self.options
        if (options.roll_rows is not None and count >= options.roll_rows) or (
            options.roll_bytes is not None and size >= options.roll_bytes
        ):
            try:
                self._write_held()
            except OSError:
                self._held.pop()  # this delivery comes again, whole
                self._held_mark = before
                raise

    def _write_held(self) -> None:
        rows, mark = pa.concat_tables(self._held), self._held_mark
        per_file = self.options.roll_rows or max(1, rows.num_rows)
        manifest = replace(self._manifest, tentative=[])
        for at in range(0, rows.num_rows, per_file):
            name = self._new_name()
            manifest.tentative.append(name)
            manifest.save(self._manifest_path)
            self._write_whole(name, rows.slice(at, per_file))
        if mark is not None:
            manifest = replace(manifest, last_epoch=mark.last_epoch, tentative=[])
        manifest.save(self._manifest_path)
        self._manifest, self._held, self._held_mark = manifest, [], None

    def _write_whole(self, name: str, rows: pa.Table) -> None:
        temporary = self._folder / f".{name}.tmp"
        with temporary.open("wb") as stream:
            writer = self._format.open_file(stream, self.context.schema, at_start=True)
            writer.write(rows)
            writer.close()
            stream.flush()
            os.fsync(stream.fileno())
        temporary.rename(self._folder / name)
        sync_folder(self._folder)

    # --- names and recovery ----------------------------------------------------------------------

    def _new_name(self) -> str:
        """The name behind the highest number there is: others' files are never touched."""
        head, tail = _NUMBER.split(self._name)
        pattern = re.compile(re.escape(head) + r"(\d+)" + re.escape(tail))
        found = (pattern.fullmatch(p.name) for p in self._folder.iterdir())
        highest = max((int(m[1]) for m in found if m), default=0)
        return self._name.format(n=highest + 1)

    def _undo(self, found: Manifest) -> None:
        """Removes what was written after the mark."""
        for name in found.tentative:
            (self._folder / name).unlink(missing_ok=True)
            (self._folder / f".{name}.tmp").unlink(missing_ok=True)
        if found.file is not None and (self._folder / found.file).exists():
            path = self._folder / found.file
            if path.stat().st_size > found.length:
                os.truncate(path, found.length)
        if found.tentative:
            found.tentative = []
            found.save(self._manifest_path)

    def _continue(self, name: str) -> None:
        path = self._folder / name
        if not path.exists() or path.stat().st_size < self._manifest.length:
            raise ConnectorError(
                "SM4113",
                f"{path} was written by this target and is gone or shorter now",
                hint=f"put it back, or delete {self._manifest_path.name} to start with new files",
            )
        self._stream = path.open("ab")
        self._writer = self._format.open_file(self._stream, self.context.schema, at_start=False)


def _place(path: str, target: str, extension: str) -> tuple[Path, str]:
    """Folder and name pattern of what the option `path` says."""
    whole = Path(path).expanduser().absolute()
    if _NUMBER.search(whole.name):
        name = whole.name
        rest = _NUMBER.sub("", name)
        if len(_NUMBER.findall(name)) > 1 or "{" in rest or "}" in rest:
            raise ConfigError(
                "SM7143", f"option path: '{path}' needs one {{n}}", hint="'out/orders-{n:05d}.csv'"
            )
        return whole.parent, name
    if whole.suffix and not path.endswith("/") and not whole.is_dir():
        return whole.parent, f"{_plain(whole.stem)}-{{n:05d}}{whole.suffix}"
    return whole, f"{_plain(target)}-{{n:05d}}.{extension}"


def _plain(name: str) -> str:
    """Braces would be taken for the number."""
    return name.replace("{", "(").replace("}", ")")


def _format_of(path: str) -> Format:
    suffix = Path(path).suffix.lower()
    name = {".parquet": "parquet", ".jsonl": "json", ".json": "json", ".ndjson": "json"}.get(
        suffix, "csv"
    )
    kind = registry.format(name)
    return kind(parse_options(kind.options_type, {}, f"format '{name}'"))
