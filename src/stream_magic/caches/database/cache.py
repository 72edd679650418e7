"""Options of the cache, and which reader its URL asks for."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, cast
from urllib.parse import urlsplit

import pyarrow as pa

from stream_magic.contracts.cache import Cache, CacheContext, CacheOptions, fitted
from stream_magic.contracts.options import option
from stream_magic.errors import ConfigError
from stream_magic.security.redact import redact
from stream_magic.security.secrets import Secret

SCHEMES = ("mysql", "mariadb", "sqlite", "duckdb")


@dataclass(frozen=True, kw_only=True)
class DatabaseCacheOptions(CacheOptions):
    """Options of the cache connector `database`."""

    url: str = option(
        "The database: mysql, mariadb, or a file of sqlite or duckdb.",
        example="'mysql://shop@127.0.0.1:3306/shop'",
    )
    table: str | None = option("The table to load.", default=None, example="'shop.product_info'")
    query: str | None = option(
        "Or a query, in the database's own SQL.",
        default=None,
        example="'SELECT product_id, brand FROM product_info'",
    )
    password: Secret | None = option(
        "The user's password.", default=None, example="secret('SHOP_DB')"
    )

    def __post_init__(self) -> None:
        if (self.table is None) == (self.query is None):
            raise ConfigError(
                "SM7045",
                "a database cache loads either a table or a query",
                hint="write table = 'shop.product_info' or query = 'SELECT ...'",
            )
        scheme = urlsplit(self.url).scheme
        if scheme not in SCHEMES:
            raise ConfigError(
                "SM7046",
                f"'{redact(self.url)}' is no database that can be cached",
                hint="supported are mysql://user@host:3306/database, mariadb://...,"
                " sqlite:///file.db and duckdb:///file.duckdb",
            )


class Reader(ABC):
    """Reads one table or query of one kind of database."""

    @abstractmethod
    def schema(self) -> pa.Schema:
        """Columns of the result, within 10 s."""

    @abstractmethod
    def load(self) -> pa.Table:
        """All rows."""


class DatabaseCache(Cache):
    """The rows of a table or a query. The columns stay those that `schema` gave first."""

    options_type: ClassVar[type[CacheOptions]] = DatabaseCacheOptions

    def __init__(self, options: CacheOptions, context: CacheContext) -> None:
        super().__init__(options, context)
        given = cast(DatabaseCacheOptions, options)
        self._what = given.table or " ".join((given.query or "").split())
        self._reader = _reader(given)
        self._schema: pa.Schema | None = None
        shown = self._what if len(self._what) <= 60 else self._what[:59] + "…"
        self.detail = f"database, {shown}"

    def schema(self) -> pa.Schema:
        if self._schema is None:
            self._schema = self._reader.schema()
        return self._schema

    def load(self) -> pa.Table:
        schema = self.schema()
        rows = self._reader.load()
        return rows if rows.schema.equals(schema) else fitted(rows, schema, f"'{self._what}'")


def _reader(options: DatabaseCacheOptions) -> Reader:
    from stream_magic.caches.database.files import DuckDbReader, SqliteReader
    from stream_magic.caches.database.mysql import MysqlReader

    kinds: dict[str, type[MysqlReader | SqliteReader | DuckDbReader]] = {
        "sqlite": SqliteReader,
        "duckdb": DuckDbReader,
    }
    kind = kinds.get(urlsplit(options.url).scheme, MysqlReader)
    return kind(options.url, options.table, options.query, options.password)
