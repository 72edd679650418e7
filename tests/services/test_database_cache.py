"""Reference data from a real MariaDB, in the types that change capture gives."""

from __future__ import annotations

import socket
from typing import Any

import pyarrow as pa
import pytest

from stream_magic.caches.database import DatabaseCache, DatabaseCacheOptions
from stream_magic.contracts.cache import CacheContext
from stream_magic.core.clock import SystemClock
from stream_magic.errors import ConnectorError
from stream_magic.security.secrets import Secret
from support.mysql import Database, read_snapshot

pytestmark = pytest.mark.services


def make_cache(database: Database, user: str = "shop", **options: Any) -> DatabaseCache:
    url = options.pop("url", database.server.url(user, database.name))
    given = DatabaseCacheOptions(url=url, **options)
    return DatabaseCache(given, CacheContext("products", "main", SystemClock()))


def problem(cache: DatabaseCache) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        cache.load()
    return caught.value


ALL_TYPES = """
CREATE TABLE t (
  id INT UNSIGNED PRIMARY KEY, tiny TINYINT, flag BOOLEAN, small SMALLINT UNSIGNED,
  medium MEDIUMINT, big BIGINT, big_u BIGINT UNSIGNED, price DECIMAL(12,2), precise DECIMAL(30,10),
  plus DECIMAL(20,5) UNSIGNED, whole DECIMAL(9,0), huge DECIMAL(65,5), ratio FLOAT, wide DOUBLE,
  born YEAR, code CHAR(8), note VARCHAR(200), old VARCHAR(20) CHARACTER SET latin1, body LONGTEXT,
  fixed BINARY(4), raw VARBINARY(10), picture BLOB, day DATE, span TIME(3), at6 DATETIME(6),
  at0 DATETIME, stamp TIMESTAMP(3) NULL, bits BIT(5), bit1 BIT(1), status ENUM('new','späť'),
  tags SET('a','b'), doc JSON, id_u UUID, ip6 INET6, ip4 INET4, place POINT, twice INT AS (id * 2) STORED
)
"""


def test_types_and_values_are_those_of_change_capture(database: Database) -> None:
    database.execute(
        ALL_TYPES,
        "INSERT INTO t VALUES (4000000000, -128, TRUE, 65535, -8388608, -9223372036854775808,"
        " 18446744073709551615, -9999999999.99, -12345678901234567890.0123456789, 0.00001,"
        " -999999999, 1, 16777217e9, 0.1, 2155, 'ab', 'a 🎂', 'Müßig €', REPEAT('ä', 70000),"
        " x'61620000', x'00ff', x'00', '9999-12-31', '-838:59:58.999', '2026-02-28 23:59:59.999999',"
        " '1969-12-31 23:59:59', '2026-07-01 12:00:00.125', b'10101', 1, 'späť', 'b,a', '{\"a\": 1}',"
        " '123e4567-e89b-42d3-a456-426614174000', '2001:db8::ff00:0', '10.0.0.1', POINT(1,2), DEFAULT)",
        "SET sql_mode = ''",
        "INSERT INTO t (id, day, at6) VALUES (1, '0000-00-00', '2026-00-01')",
    )
    source = database.source("t")
    source.open(None)
    changes = read_snapshot(source).rows.column("after").combine_chunks()
    source.close()
    for options in ({"table": "t"}, {"query": "SELECT * FROM t ORDER BY id;"}):
        cache = make_cache(database, **options)
        loaded = cache.load()
        assert loaded.schema == cache.schema() == pa.schema(list(changes.type))
        assert loaded.to_pylist() == changes.to_pylist()


def test_a_query_with_expressions_keeps_its_order(database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id INT, price DECIMAL(10,2))",
        "INSERT INTO t VALUES (1, 1.50), (3, 2.25), (2, NULL)",
    )
    cache = make_cache(
        database,
        query="SELECT id, price * 2 AS twice, count(*) AS n FROM t GROUP BY id ORDER BY id DESC",
    )
    assert [r["id"] for r in cache.load().to_pylist()] == [3, 2, 1]
    assert cache.schema().names == ["id", "twice", "n"]
    assert cache.detail.startswith("database, SELECT id")


def test_each_load_sees_what_is_new(database: Database) -> None:
    database.execute("CREATE TABLE t (id INT)")
    cache = make_cache(database, table="t")
    assert cache.load().num_rows == 0
    database.execute("INSERT INTO t SELECT seq FROM seq_1_to_120000")
    assert cache.load().num_rows == 120_000
    cache.close()


def test_columns_stay_while_it_runs(database: Database) -> None:
    database.execute("CREATE TABLE t (id INT, note VARCHAR(9))", "INSERT INTO t VALUES (1, 'x')")
    cache = make_cache(database, table="t")
    before = cache.load()
    database.execute("ALTER TABLE t ADD COLUMN more INT FIRST")
    assert cache.load().equals(before)
    database.execute("ALTER TABLE t DROP COLUMN note")
    assert problem(cache).code == "SM4205"


def test_a_query_cannot_write(database: Database) -> None:
    database.execute("CREATE TABLE t (id INT)", "CREATE SEQUENCE s")
    assert problem(make_cache(database, query="DELETE FROM t")).code == "SM4204"
    assert problem(make_cache(database, query="SELECT NEXTVAL(s) AS n")).code == "SM4204"


def test_problems_are_said_in_the_users_words(database: Database) -> None:
    database.execute("CREATE TABLE product_info (id INT)")
    missing = problem(make_cache(database, table="product_inf"))
    assert missing.code == "SM4203"
    assert f"did you mean '{database.name}.product_info'?" in str(missing)
    wrong = problem(make_cache(database, "cdc", table="product_info", password=Secret("sesame-7")))
    assert (wrong.code, wrong.transient) == ("SM4202", False)
    assert "sesame" not in str(wrong)
    twice = problem(make_cache(database, query="SELECT 1 AS a, 2 AS a"))
    assert "name of its own" in str(twice)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"mysql://a:sesame-7@127.0.0.1:{free.getsockname()[1]}"
        gone = problem(make_cache(database, url=url, table="t"))
    assert (gone.code, gone.transient) == ("SM4201", True)
    assert "sesame" not in str(gone)
