from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stream_magic
from stream_magic.app.app import App

CACHES = {
    "p": ("product_id", {"product_id": pa.array([1, 2]), "brand": ["a", "b"]}),
    "q": ("k, day", {"k": ["a", "b"], "day": [date(2026, 1, 1)] * 2, "size": [1, 2]}),
    "d": ("at", {"at": pa.array([0, 1], pa.timestamp("us")), "name": ["a", "b"]}),
    "f": ("x", {"x": [1.5, 2.5], "name": ["a", "b"]}),
}


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    folder: Path = tmp_path_factory.mktemp("caches")
    app = stream_magic.App("plans")
    app.execute(
        "CREATE SOURCE s (id INT, product_id BIGINT, k VARCHAR, day DATE, x DOUBLE, n HUGEINT, u UBIGINT, "
        "o STRUCT(product_id INT, r STRUCT(k VARCHAR)), ts TIMESTAMP, WATERMARK FOR ts AS ts) "
        "WITH (connector = 'memory')"
    )
    for name, (key, columns) in CACHES.items():
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
        app.execute(
            f"CREATE CACHE {name} KEY ({key}) WITH (connector = 'file', path = '{folder}/{name}.parquet')"
        )
    yield app
    app.close()


BY_KEY = [
    "SELECT s.id, p.brand FROM s JOIN p ON p.product_id = s.product_id",
    "SELECT * EXCLUDE (product_id) FROM s LEFT JOIN p ON s.id = p.product_id",
    "SELECT s.id, p.* FROM s INNER JOIN p ON (p.product_id = s.o.product_id)",
    "SELECT id, brand FROM s JOIN p USING (product_id) WHERE brand > 'a'",
    "SELECT * FROM s LEFT JOIN p USING (product_id)",
    "SELECT o.id FROM s o JOIN p ON p.PRODUCT_ID = O.Id",
    "SELECT size FROM s LEFT OUTER JOIN q ON q.day = s.day AND s.o.r.k = q.k",
    "SELECT brand, size FROM s JOIN p ON p.product_id = s.id LEFT JOIN q ON q.k = s.k AND q.day = s.day",
    "SELECT window_end, brand, count(*) AS n FROM TUMBLE(s, ts, INTERVAL 10 SECONDS) w JOIN p ON p.product_id = w.id GROUP BY ALL",
    "SELECT id + 1 AS more FROM (SELECT s.id, brand FROM s JOIN p ON p.product_id = s.id) WHERE brand = 'a'",
    "SELECT s.id, p.product_id AS there FROM s JOIN p USING (product_id)",
    "SELECT p.* FROM s JOIN p USING (product_id)",
    "SELECT t.id FROM (SELECT id FROM s WHERE id > 1) t JOIN p ON p.product_id = t.id",
    "SELECT w.k FROM TUMBLE(s, ts, INTERVAL 10 SECONDS) w JOIN d ON d.at = w.ts",
]  # fmt: skip
OTHERWISE = [
    "SELECT s.id FROM s JOIN p ON p.product_id = s.id AND p.brand = 'a'",
    "SELECT s.id FROM s JOIN p ON p.product_id = s.id + 1",
    "SELECT s.id FROM s JOIN p ON p.product_id > s.id",
    "SELECT s.id FROM s JOIN p ON p.product_id = s.id OR p.product_id = 2",
    "SELECT s.id FROM s JOIN p ON p.product_id = s.n",
    "SELECT s.id FROM s JOIN p ON p.product_id = s.u",
    "SELECT s.id FROM s JOIN p ON p.product_id IS NOT DISTINCT FROM s.id",
    "SELECT s.id FROM s JOIN p ON p.brand = s.k",
    "SELECT s.id FROM s JOIN f ON f.x = s.x",
    "SELECT s.id FROM s JOIN q ON q.k = s.k",
    "SELECT s.id FROM s JOIN q ON q.k = s.k AND q.k = s.k",
    "SELECT s.id FROM s SEMI JOIN p ON p.product_id = s.id",
    "SELECT s.id FROM s ANTI JOIN p USING (product_id)",
    "SELECT s.id FROM s, p WHERE p.product_id = s.id",
    "SELECT w.k FROM TUMBLE(s, ts, INTERVAL 10 SECONDS) w JOIN d ON d.at = w.window_start",
    "SELECT s.id, size FROM s JOIN p ON p.product_id = s.id JOIN q ON q.k = p.brand AND q.day = s.day",
    "SELECT id FROM s WHERE id IN (SELECT product_id FROM p)",
]  # fmt: skip


@pytest.mark.parametrize("query", BY_KEY)
def test_a_join_on_exactly_the_key_is_a_lookup_by_key(app: App, query: str) -> None:
    assert " by key" in app.execute(f"EXPLAIN {query}")


@pytest.mark.parametrize("query", OTHERWISE)
def test_any_other_join_is_left_to_duckdb(app: App, query: str) -> None:
    plan = app.execute(f"EXPLAIN {query}")
    assert "looks up" in plan
    assert "by key" not in plan
