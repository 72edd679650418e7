"""Caches from files of sqlite and duckdb, and options that cannot be."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from stream_magic.caches.database import DatabaseCache, DatabaseCacheOptions
from stream_magic.contracts.cache import CacheContext
from stream_magic.core.clock import SystemClock
from stream_magic.errors import ConfigError, ConnectorError


def make_cache(url: str, **options: str) -> DatabaseCache:
    given = DatabaseCacheOptions(url=url, **options)
    return DatabaseCache(given, CacheContext("products", "main", SystemClock()))


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Path:
    path = tmp_path / "a shop.db"
    connection = sqlite3.connect(path)
    connection.execute(
        "CREATE TABLE p (id INTEGER, brand TEXT, price REAL, picture BLOB, none TEXT)"
    )
    connection.execute("INSERT INTO p VALUES (1, 'Adler 🎂', 1.5, x'00', NULL)")
    connection.commit()
    connection.close()
    return path


def test_a_sqlite_file_is_loaded(sqlite_file: Path) -> None:
    cache = make_cache(f"sqlite:///{sqlite_file}".replace(" ", "%20"), table="p")
    assert cache.load().to_pylist() == [
        {"id": 1, "brand": "Adler 🎂", "price": 1.5, "picture": b"\0", "none": None}
    ]
    assert cache.schema().types == [
        pa.int64(), pa.string(), pa.float64(), pa.binary(), pa.string(),
    ]  # fmt: skip


def test_mixed_values_of_sqlite_say_what_to_cast(sqlite_file: Path) -> None:
    connection = sqlite3.connect(sqlite_file)
    connection.execute("INSERT INTO p (id, price) VALUES (2, 'free')")
    connection.commit()
    connection.close()
    with pytest.raises(ConnectorError, match="several types") as caught:
        make_cache(f"sqlite:///{sqlite_file}", table="p").load()
    assert "CAST(price AS TEXT)" in str(caught.value)


def test_a_duckdb_file_is_loaded(tmp_path: Path) -> None:
    path = tmp_path / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute("CREATE TABLE p AS SELECT 1 AS id, {'a': [1, 2]} AS nested")
    cache = make_cache(f"duckdb:///{path}", query="SELECT * FROM p;")
    assert cache.load().to_pylist() == [{"id": 1, "nested": {"a": [1, 2]}}]
    assert cache.schema() == cache.load().schema


@pytest.mark.parametrize("scheme", ["sqlite", "duckdb"])
def test_a_missing_file_and_a_wrong_query_are_said(tmp_path: Path, scheme: str) -> None:
    path = tmp_path / "shop.db"
    with pytest.raises(ConnectorError, match="no database file") as caught:
        make_cache(f"{scheme}:///{path}", table="p").load()
    assert caught.value.code == "SM4203"
    if scheme == "sqlite":
        sqlite3.connect(path).close()
    else:
        duckdb.connect(str(path)).close()
    with pytest.raises(ConnectorError, match="no_such_table") as caught:
        make_cache(f"{scheme}:///{path}", table="no_such_table").load()
    assert caught.value.code == "SM4204"


def test_other_databases_are_refused_with_what_is_supported() -> None:
    with pytest.raises(ConfigError) as caught:
        make_cache("postgresql://shop:sesame-7@h/db", table="t")
    assert caught.value.code == "SM7046"
    assert "duckdb:///" in str(caught.value)
    assert "sesame" not in str(caught.value)


def test_a_table_and_a_query_exclude_each_other() -> None:
    for options in ({}, {"table": "t", "query": "SELECT 1"}):
        with pytest.raises(ConfigError, match="either a table or a query"):
            make_cache("mysql://h", **options)
