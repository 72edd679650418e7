"""The story of the examples on real servers, and readers that know nothing of ours agree with it."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from servers.mariadb import MariaDbServer
from servers.shop import ShopTraffic, create_shop
from stream_magic import App
from support.history import agree, history_of, keep_history, until

pytestmark = pytest.mark.services

RATE = 150  # changes a second
FILE_COLUMNS = (
    "op", "order_id", "location_id", "amount", "old_amount", "brand", "category", "status", "note",
    "ordered_at", "ts",
)  # fmt: skip
STORY = """
CREATE SECRET shop_db WITH (value = 'cdc');
CREATE SOURCE orders WITH (connector = 'mysql-cdc', url = '{cdc}', password = secret('shop_db'),
  tables = 'shop.orders', snapshot = 'initial');
CREATE CACHE products KEY (product_id) WITH (connector = 'database', url = '{shop}',
  query = 'SELECT product_id, description, brand, category FROM product_info', refresh = '1 second');
CREATE STREAM enriched AS
  SELECT o.op, coalesce(o.after.order_id, o.before.order_id) AS order_id,
         coalesce(o.after.location_id, o.before.location_id) AS location_id,
         coalesce(o.after.amount, o.before.amount) AS amount, o.before.amount AS old_amount,
         o.before, o.after, p.description, p.brand, p.category, o.ts
  FROM orders o LEFT JOIN products p
    ON p.product_id = coalesce(o.after.product_id, o.before.product_id);
CREATE TARGET to_kafka FROM enriched WITH (connector = 'kafka', brokers = '{brokers}',
  topic = '{topic}', key = 'order_id', headers = 'source=shop', partitions = 4) FORMAT json;
CREATE SOURCE from_kafka (WATERMARK FOR ts AS ts - INTERVAL 5 SECONDS)
  WITH (connector = 'kafka', brokers = '{brokers}', topic = '{topic}') FORMAT json;
CREATE STREAM elsewhere AS
  SELECT op, order_id, location_id, amount, old_amount, brand, category,
         after.status, after.note, after.ordered_at, ts
  FROM from_kafka WHERE location_id <> 10;
CREATE TARGET csv_files FROM elsewhere
  WITH (connector = 'file', path = '{out}/csv', roll_rows = 300) FORMAT csv;
CREATE TARGET json_files FROM elsewhere
  WITH (connector = 'file', path = '{out}/json', roll_bytes = '100 kB') FORMAT json;
CREATE TARGET parquet_files FROM elsewhere
  WITH (connector = 'file', path = '{out}/parquet', roll_interval = '2 seconds') FORMAT parquet;
CREATE TABLE revenue AS
  SELECT window_start, category, count(*) AS orders, sum(amount) AS total
  FROM TUMBLE(from_kafka, ts, INTERVAL 10 SECONDS)
  WHERE op <> 'r' GROUP BY window_start, window_end, category;
CREATE STREAM closed AS
  SELECT window_start, category, count(*) AS orders, sum(amount) AS total
  FROM TUMBLE(from_kafka, ts, INTERVAL 10 SECONDS)
  WHERE op <> 'r' GROUP BY window_start, window_end, category EMIT ON WINDOW CLOSE;
"""


@pytest.fixture
def shop(mariadb: MariaDbServer) -> Iterator[MariaDbServer]:
    mariadb.execute("DROP DATABASE IF EXISTS shop")
    create_shop(mariadb)
    keep_history(mariadb)
    yield mariadb
    mariadb.execute("DROP DATABASE shop")


def rows_out(app: App, name: str) -> int:
    return int(app.status()[name]["rows_out"])


def wait_for_more(app: App, name: str, count: int = 100) -> None:
    wanted = rows_out(app, name) + count
    until(lambda: rows_out(app, name) >= wanted, f"more rows of {name}: {app.status()}")


def wait_for_state(app: App, name: str, state: str) -> None:
    until(lambda: app.status()[name]["state"] == state, f"{name} {state}: {app.status()}")


def wait_for_the_last(app: App, shop: MariaDbServer, order_id: int) -> None:
    """Everything that was committed has gone all the way."""
    shop.execute(
        "INSERT INTO shop.orders (order_id, customer_id, product_id, location_id, quantity, amount)"
        f" VALUES ({order_id}, 1, 1, 1, 1, 1.00)"
    )
    query = f"SELECT count(*) FROM orders WHERE after.order_id = {order_id}"
    until(lambda: app.sql(query).fetchall() == [(1,)], f"order {order_id}: {app.status()}")
    until(
        lambda: rows_out(app, "orders") == rows_out(app, "to_kafka") == rows_out(app, "from_kafka"),
        f"all on the topic and back: {app.status()}",
    )
    for target in ("csv_files", "json_files", "parquet_files", "more_files"):
        until(
            lambda t=target: rows_out(app, t) == rows_out(app, "elsewhere"),
            f"all in {target}: {app.status()}",
        )


def test_every_change_goes_all_the_way_once_whatever_happens_on_the_way(
    shop: MariaDbServer, kafka, topic, tmp_path: Path
) -> None:
    given = {"cdc": shop.url("cdc"), "shop": shop.url("shop", "shop"), "brokers": kafka.bootstrap,
             "topic": topic.name, "out": tmp_path}  # fmt: skip
    app = App("story")
    try:
        with ShopTraffic(shop, RATE):
            app.execute(STORY.format(**given))
            app.start()
            wait_for_more(app, "csv_files", 300)

            # A refreshed cache is used from one epoch to the next.
            shop.execute("UPDATE shop.product_info SET brand = 'Neu' WHERE product_id <= 30")
            query = "SELECT count(*) FROM products WHERE brand = 'Neu'"
            until(lambda: app.sql(query).fetchall() == [(30,)], "the refreshed cache")
            wait_for_more(app, "csv_files")

            # The broker goes away; the shop does not wait for it.
            kafka.stop()
            wait_for_more(app, "orders", 200)
            wait_for_state(app, "to_kafka", "reconnecting")
            kafka.start()
            wait_for_more(app, "csv_files", 300)

            # Nodes come and go while the others run.
            app.execute("CREATE TABLE ops AS SELECT op, count(*) AS n FROM from_kafka GROUP BY op")
            app.execute(
                "CREATE TARGET more_files FROM elsewhere"
                f" WITH (connector = 'file', path = '{tmp_path}/more') FORMAT csv"
            )
            wait_for_more(app, "csv_files")
            app.execute("DROP TABLE ops")
            app.execute("CREATE TABLE ops AS SELECT op, count(*) AS n FROM from_kafka GROUP BY op")

            # The app stops; what happens in the meantime is read afterwards.
            app.stop()
            assert {s["state"] for s in app.status().values()} == {"stopped"}
            changes = len(shop.query("SELECT seq FROM shop.orders_history"))
            sql = "SELECT count(*) FROM shop.orders_history"
            until(lambda: shop.query(sql)[0][0] > changes + 100, "traffic")
            app.start()
            wait_for_more(app, "csv_files")

        # The database is killed while its last changes are on their way.
        shop.stop(kill=True)
        wait_for_state(app, "orders", "reconnecting")
        shop.start()
        with ShopTraffic(shop, RATE, seed=8):
            wait_for_more(app, "csv_files", 300)

        wait_for_the_last(app, shop, 1_000_000)
        status = app.status()
        revenue = app.sql("SELECT * FROM revenue").fetchall()
        closed = app.sql("SELECT * FROM closed").fetchall()
        ops = dict(app.sql("SELECT * FROM ops").fetchall())
        app.stop()
    finally:
        app.close()
        kafka.start()
        shop.start()

    assert {n: s["errors"] for n, s in status.items() if s["errors"]} == {}
    messages = topic.messages()
    rows = [message_row(m.value()) for m in messages]
    swallowed = agree(history_of(shop), rows)
    assert ops == Counter(r["op"] for r in rows)
    assert {m.partition() for m in messages} == {0, 1, 2, 3}
    for message, row in zip(messages, rows, strict=True):
        assert message.key() == row["order_id_text"].encode()
        assert ("source", b"shop") in message.headers()
    check_enrichment(shop, messages, rows)
    check_files(tmp_path, [r for r in rows if r["location_id"] != "10"])
    check_windows(shop, swallowed, revenue, closed)


def check_enrichment(shop: MariaDbServer, messages: list[Any], rows: list[dict[str, Any]]) -> None:
    """Each row has its product's facts; the new brand came for all rows of an epoch or for none."""
    products = {str(p[0]): p[1:] for p in shop.query("SELECT product_id, description, category FROM shop.product_info")}  # fmt: skip
    brands_of_epoch: dict[bytes, set[bool]] = {}
    for message, row in zip(messages, rows, strict=True):
        product_id = (row["after"] or row["before"])["product_id"]
        assert (row["description"], row["category"]) == products[product_id]
        if int(product_id) <= 30:
            mark = dict(message.headers())["stream_magic.mark"]
            brands_of_epoch.setdefault(mark, set()).add(row["brand"] == "Neu")
    assert all(len(brands) == 1 for brands in brands_of_epoch.values())
    assert {b for brands in brands_of_epoch.values() for b in brands} == {True, False}


def check_files(out: Path, rows: list[dict[str, Any]]) -> None:
    """CSV, JSON lines and Parquet hold exactly the rows of the topic that were wanted."""
    wanted = Counter(file_row({**(r["after"] or {}), **r}) for r in rows)
    found = csv_rows(out / "csv")
    assert found == wanted
    assert csv_rows(out / "more") == wanted, "a target made later gets the same rows"
    lines = [json.loads(line, parse_float=str, parse_int=str)
             for f in (out / "json").glob("*.jsonl") for line in f.read_text().splitlines()]  # fmt: skip
    assert Counter(map(file_row, lines)) == wanted
    tables = [pq.read_table(f) for f in (out / "parquet").glob("*.parquet")]
    assert Counter(file_row(r) for t in tables for r in t.to_pylist()) == wanted
    for folder in ("csv", "json", "parquet"):
        assert len(list((out / folder).glob(f"{folder}_files-*"))) > 2, f"{folder} did not roll"


def check_windows(
    shop: MariaDbServer, swallowed: dict[int, int], revenue: list[Any], closed: list[Any]
) -> None:
    """The same sums by SQL over the table's history, as the database itself kept it."""
    seen = ", ".join(f"({order_id}, {n})" for order_id, n in swallowed.items())
    shop.execute(
        "CREATE TABLE shop.swallowed (order_id BIGINT PRIMARY KEY, n INT)",
        f"INSERT INTO shop.swallowed VALUES {seen}",
    )
    truth = shop.query("""
        SELECT TIMESTAMP('1970-01-01') + INTERVAL FLOOR(TIMESTAMPDIFF(SECOND, '1970-01-01', h.ts) / 10) * 10 SECOND AS w,
               p.category, COUNT(*), SUM(CAST(JSON_VALUE(IFNULL(h.`after`, h.`before`), '$.amount') AS DECIMAL(12,2)))
        FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY order_id ORDER BY seq) AS nr FROM shop.orders_history) h
        JOIN shop.swallowed s ON s.order_id = h.order_id AND h.nr > s.n
        JOIN shop.product_info p ON p.product_id = JSON_VALUE(IFNULL(h.`after`, h.`before`), '$.product_id')
        GROUP BY 1, 2
    """)
    assert len({w for w, *_ in truth}) >= 3
    assert sorted(revenue) == sorted(truth)
    assert closed
    assert len(closed) == len(set(closed))
    last = max(w for w, *_ in closed)
    assert sorted(closed) == sorted(r for r in truth if r[0] <= last)


def message_row(value: bytes) -> dict[str, Any]:
    """A message with every value as MariaDB writes it."""
    row = json.loads(value, parse_float=str, parse_int=str)
    for image in (row["before"], row["after"]):
        if image is not None:
            image["ordered_at"] = image["ordered_at"].replace("T", " ").rstrip("Z")
    row["order_id_text"] = row["order_id"]
    return {**row, "order_id": int(row["order_id"]), "ts": row["ts"].replace("T", " ")}


def csv_rows(folder: Path) -> Counter[tuple[Any, ...]]:
    found: Counter[tuple[Any, ...]] = Counter()
    for file in folder.glob("*.csv"):
        with file.open(newline="") as stream:
            found.update(
                file_row({n: v or None for n, v in r.items()}) for r in csv.DictReader(stream)
            )
    return found


def file_row(row: dict[str, Any]) -> tuple[Any, ...]:
    """Values that compare equal whatever kind of file they come from."""
    return tuple(_value(name, row.get(name)) for name in FILE_COLUMNS)


def _value(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name in ("amount", "old_amount"):
        return Decimal(value)
    if name in ("ordered_at", "ts"):
        when = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        return when.replace(tzinfo=None)
    return str(value)
