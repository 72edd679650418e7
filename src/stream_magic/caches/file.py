"""Reference data from a file: CSV, JSON lines or Parquet, read by DuckDB."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from stream_magic.contracts.cache import Cache, CacheContext, CacheOptions
from stream_magic.contracts.options import option
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
    """All rows of a file, in its order; types are found by looking at all of it."""

    options_type = FileCacheOptions
    options: FileCacheOptions

    def __init__(self, options: FileCacheOptions, context: CacheContext) -> None:
        super().__init__(options, context)
        self._path = str(Path(options.path).expanduser().absolute())
        self.detail = f"file, {Path(options.path).name}"
        self._reader = _reader(options.path, context)

    def schema(self) -> pa.Schema:
        return self._query("LIMIT 0").schema

    def load(self) -> pa.Table:
        return self._query("")

    def _query(self, limit: str) -> pa.Table:
        arguments: dict[str, object] = {}
        if self._reader == "read_csv":
            arguments = {"sample_size": -1}
            given = getattr(self.context.format, "options", None)
            for ours, theirs in (
                ("delimiter", "delim"),
                ("quote", "quote"),
                ("null", "nullstr"),
                ("header", "header"),
            ):
                if given is not None:
                    arguments[theirs] = getattr(given, ours)
        named = "".join(f", {name} = ${name}" for name in arguments)
        text = f"SELECT * FROM {self._reader}($path{named}) {limit}"
        try:
            with duckdb.connect() as connection:
                relation = connection.sql(text, params={"path": self._path, **arguments})
                table: pa.Table = relation.to_arrow_table()
                return table
        except (duckdb.Error, OSError) as e:
            missing = isinstance(e, duckdb.IOException)
            raise ConnectorError(
                "SM4120",
                f"the cache {self.context.name} cannot read {self.options.path}: {_first_line(e)}",
                hint="check the path" if missing else "the whole file must have the same columns",
                transient=missing,
            ) from None


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


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
