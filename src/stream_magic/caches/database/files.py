"""Database files: sqlite by the standard library, duckdb by itself. Both are opened for reading only."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from stream_magic.caches.database.cache import Reader
from stream_magic.errors import ConnectorError
from stream_magic.security.secrets import Secret


def _path(url: str) -> Path:
    """'sqlite:///shop.db' is relative, 'sqlite:////data/shop.db' absolute; there must be a file."""
    parts = urlsplit(url)
    path = Path(unquote(parts.netloc + parts.path.removeprefix("/")))
    if not path.is_file():
        raise ConnectorError(
            "SM4203",
            f"there is no database file '{path}'",
            hint=f"{parts.scheme}:///NAME is relative to {Path.cwd()}; four slashes are absolute",
        )
    return path


class _FileReader(Reader):
    """What both have in common."""

    def __init__(
        self,
        url: str,
        table: str | None,
        query: str | None,
        password: Secret | None,  # noqa: ARG002 - files have none
    ) -> None:
        self._url = url
        quoted = ".".join('"' + p.strip('"') + '"' for p in (table or "").split("."))
        self._query = f"SELECT * FROM {quoted}" if table else (query or "").rstrip("; \n")


def _refused(error: Exception) -> ConnectorError:
    return ConnectorError(
        "SM4204", f"the database refuses the query: {error}", transient="lock" in str(error).lower()
    )


class SqliteReader(_FileReader):
    """SQLite types its values, not its columns: the rows that are there at first decide."""

    _types: pa.Schema | None = None

    def schema(self) -> pa.Schema:
        if self._types is None:
            names, columns = self._fetch()
            fields = []
            for name, values in zip(names, columns, strict=True):
                type_ = _column(name, values, None).type
                fields.append(pa.field(name, pa.string() if pa.types.is_null(type_) else type_))
            self._types = pa.schema(fields)
        return self._types

    def load(self) -> pa.Table:
        types = self.schema()
        names, columns = self._fetch()
        known = {f.name: f.type for f in types}
        arrays = [
            _column(name, values, known.get(name))
            for name, values in zip(names, columns, strict=True)
        ]
        return pa.table(dict(zip(names, arrays, strict=True)))

    def _fetch(self) -> tuple[list[str], list[tuple[Any, ...]]]:
        uri = f"{_path(self._url).absolute().as_uri()}?mode=ro"
        try:
            connection = sqlite3.connect(uri, uri=True, timeout=5)
            try:
                cursor = connection.execute(self._query)
                names = [d[0] for d in cursor.description or ()]
                rows = cursor.fetchall()
            finally:
                connection.close()
        except sqlite3.Error as error:
            raise _refused(error) from None
        return names, list(zip(*rows, strict=True)) if rows else [()] * len(names)


def _column(name: str, values: tuple[Any, ...], type_: pa.DataType | None) -> pa.Array:
    try:
        return pa.array(values, type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ConnectorError(
            "SM4206",
            f"column '{name}' holds values of several types: {error}",
            hint=f"write query = 'SELECT CAST({name} AS TEXT) AS {name}, ...'",
        ) from None


class DuckDbReader(_FileReader):
    """A DuckDB file. Another process that writes it keeps it locked: then this waits and tries again."""

    def schema(self) -> pa.Schema:
        with self._relation() as relation:
            return relation.limit(0).to_arrow_table().schema

    def load(self) -> pa.Table:
        with self._relation() as relation:
            table: pa.Table = relation.to_arrow_table()
            return table

    @contextmanager
    def _relation(self) -> Iterator[Any]:
        import duckdb

        path = _path(self._url)
        try:
            connection = duckdb.connect(str(path), read_only=True)
            try:
                relation = connection.sql(self._query)
                if relation is None:
                    raise ConnectorError(
                        "SM4204", "the query gives no rows", hint="write query = 'SELECT ...'"
                    )
                yield relation
            finally:
                connection.close()
        except duckdb.Error as error:
            raise _refused(error) from None
