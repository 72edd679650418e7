"""A MariaDB for the tests, and a source on it that is read until what was asked for has come."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pytest

from servers.mariadb import MariaDbServer
from stream_magic.connectors.mysql_cdc import MysqlCdcOptions, MysqlCdcSource
from stream_magic.contracts.source import BadRow, SourceBatch, SourceContext
from stream_magic.core.clock import SystemClock
from stream_magic.security.secrets import Secret

DEADLINE_S = 60
_numbers = itertools.count(1)


@dataclass
class Database:
    """A database of the test's own on a server that others use as well."""

    server: MariaDbServer
    name: str

    def execute(self, *statements: str) -> None:
        self.server.execute(f"USE {self.name}", *statements)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        connection = self.server.connect(database=self.name)
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET time_zone = '+00:00'")
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def source(self, *tables: str, **options: Any) -> MysqlCdcSource:
        """A source of these tables as the user `cdc`; not opened."""
        return make_source(self.server, tuple(f"{self.name}.{t}" for t in tables), **options)


def make_source(
    server: MariaDbServer, tables: tuple[str, ...], user: str = "cdc", **options: Any
) -> MysqlCdcSource:
    options.setdefault("password", Secret("cdc"))
    columns = options.pop("columns", None)
    given = MysqlCdcOptions(url=server.url(user), tables=tables, **options)
    return MysqlCdcSource(given, SourceContext("changes", "main", SystemClock(), columns))


@dataclass
class Read:
    """What came out of a source, all together."""

    batches: list[SourceBatch] = field(default_factory=list)

    @property
    def rows(self) -> pa.Table:
        return pa.concat_tables([b.rows for b in self.batches])

    @property
    def errors(self) -> list[BadRow]:
        return [e for b in self.batches for e in b.errors]

    def column(self, name: str) -> list[Any]:
        return self.rows.column(name).to_pylist()


def read_until(
    source: MysqlCdcSource, enough: Callable[[Read], bool], max_rows: int = 10_000
) -> Read:
    """Reads on until there is enough."""
    deadline, found = time.monotonic() + DEADLINE_S, Read()
    while not (found.batches and enough(found)):
        assert time.monotonic() < deadline, f"not enough came: {found.batches}"
        batch = source.read(max_rows, 0.2)
        if batch is not None:
            found.batches.append(batch)
    return found


def read_rows(source: MysqlCdcSource, count: int, max_rows: int = 10_000) -> Read:
    """Reads until `count` rows and errors have come."""
    found = read_until(source, lambda r: r.rows.num_rows + len(r.errors) >= count, max_rows)
    assert found.rows.num_rows + len(found.errors) == count
    return found


def read_snapshot(source: MysqlCdcSource, max_rows: int = 10_000) -> Read:
    """Reads until there is a position, which is the end of the snapshot."""
    return read_until(source, lambda r: r.batches[-1].position is not None, max_rows)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDbServer]:
    """A real MariaDB. A test may stop it, if it starts it again."""
    with MariaDbServer() as server:
        yield server


@pytest.fixture
def database(mariadb: MariaDbServer) -> Iterator[Database]:
    """An empty database."""
    name = f"db{next(_numbers)}"
    mariadb.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
    yield Database(mariadb, name)
    mariadb.execute(f"DROP DATABASE {name}")
