"""Reference data from a file: CSV, JSON lines or Parquet, read by DuckDB."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from stream_magic.caches.file.faults import fault_of
from stream_magic.contracts.cache import Cache, CacheContext, CacheOptions, fitted
from stream_magic.contracts.options import option
from stream_magic.core.values import is_text
from stream_magic.errors import ConfigError, ConnectorError

_READERS = {
    "csv": "read_csv", "tsv": "read_csv", "parquet": "read_parquet", "json": "read_json",
    "jsonl": "read_json", "ndjson": "read_json",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class FileCacheOptions(CacheOptions):
    path: str = option(
        "A file, or several by a pattern with *: CSV, JSON lines or Parquet.",
        example="'products.csv'",
    )


class FileCache(Cache):
    """All rows of a file, in its order; types are found by looking at all of it, and stay."""

    options_type = FileCacheOptions
    options: FileCacheOptions

    def __init__(self, options: FileCacheOptions, context: CacheContext) -> None:
        super().__init__(options, context)
        self._path = str(Path(options.path).expanduser().absolute())
        self.detail = f"file, {Path(options.path).name}"
        self._reader = _reader(options.path, context)
        self._arguments = self._csv_arguments() if self._reader == "read_csv" else {}
        self._schema: pa.Schema | None = None

    def schema(self) -> pa.Schema:
        if self._schema is None:
            self._schema = self._read("LIMIT 0").schema
        return self._schema

    def load(self) -> pa.Table:
        schema = self.schema()
        texts = [f.name for f in schema if is_text(f.type)]
        rows = self._read("", texts)
        if not set(schema.names) <= set(rows.column_names) and (fault := self._fault()):
            raise self._unreadable(fault)  # a broken line makes a CSV look as if it had no header
        return fitted(rows, schema, self.options.path)

    def _read(self, limit: str, texts: Sequence[str] = ()) -> pa.Table:
        try:
            try:
                return self._query(limit, texts)
            except duckdb.BinderException:  # one of `texts` is gone
                return self._query(limit)
        except (duckdb.Error, OSError):
            raise self._unreadable(self._fault()) from None

    def _query(self, limit: str, texts: Sequence[str] = ()) -> pa.Table:
        """What the file holds; the CSV columns `texts` as they are written, also if all are digits by now."""
        arguments: dict[str, Any] = {"path": self._path, **self._arguments}
        if self._reader == "read_csv" and texts:
            arguments["types"] = dict.fromkeys(texts, "VARCHAR")
        named = "".join(f", {name} = ${name}" for name in arguments if name != "path")
        text = f"SELECT * FROM {self._reader}($path{named}) {limit}"
        with duckdb.connect() as connection:
            table: pa.Table = connection.sql(text, params=arguments).to_arrow_table()
            return table

    def _csv_arguments(self) -> dict[str, Any]:
        given = getattr(self.context.format, "options", None)
        names = {"delimiter": "delim", "quote": "quote", "null": "nullstr", "header": "header"}
        asked = {theirs: getattr(given, ours) for ours, theirs in names.items()} if given else {}
        return {"sample_size": -1, **asked}

    def _fault(self) -> str | None:
        """The first file at fault, and why; None if nothing is found."""
        for path in self._paths():
            if fault := fault_of(path, self._reader, self._arguments):
                return fault if str(path) == self._path else f"{path.name}: {fault}"
        return None

    def _paths(self) -> list[Path]:
        return sorted(map(Path, glob.glob(self._path, recursive=True)))  # noqa: PTH207  # an absolute pattern

    def _unreadable(self, fault: str | None) -> ConnectorError:
        is_there = bool(self._paths())
        kind = {"read_csv": "CSV", "read_json": "JSON", "read_parquet": "Parquet"}[self._reader]
        why = fault or (f"it is no {kind}" if is_there else "there is no such file")
        return ConnectorError(
            "SM4120",
            f"the cache {self.context.name} cannot read {self.options.path}: {why}",
            hint=f"mend the file, or write FORMAT if it is no {kind}"
            if is_there
            else "check the path",
            transient=not is_there,
        )


def _reader(path: str, context: CacheContext) -> str:
    suffixes = [s.lstrip(".").lower() for s in Path(path).suffixes]
    if suffixes and suffixes[-1] == "gz":
        suffixes.pop()
    extension = context.format.extension if context.format else (suffixes or [""])[-1]
    if extension not in _READERS:
        raise ConfigError(
            "SM7160",
            f"the format of {path} is not known",
            hint="add FORMAT csv, json or parquet",
        )
    return _READERS[extension]
