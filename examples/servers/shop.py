"""The shop of the examples: three tables, and customers who keep ordering, changing their minds and leaving.

>>> create_shop(server)  # doctest: +SKIP
>>> with ShopTraffic(server, rate=50):  # doctest: +SKIP
...     ...  # orders come, change and go, in the background

From a shell: `python -m servers.shop --url mysql://shop@127.0.0.1:3306 --rate 50 --seconds 60`.
"""

from __future__ import annotations

import argparse
import random
import threading
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

TABLES = """
CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4;
CREATE TABLE shop.customers (
  customer_id INT UNSIGNED PRIMARY KEY,
  name VARCHAR(80) NOT NULL,
  country CHAR(2) NOT NULL,
  since DATE NOT NULL
) CHARACTER SET utf8mb4;
CREATE TABLE shop.product_info (
  product_id INT UNSIGNED PRIMARY KEY,
  description VARCHAR(120) NOT NULL,
  brand VARCHAR(40) NOT NULL,
  category VARCHAR(40) NOT NULL,
  price DECIMAL(10,2) NOT NULL
) CHARACTER SET utf8mb4;
CREATE TABLE shop.orders (
  order_id BIGINT AUTO_INCREMENT PRIMARY KEY,
  customer_id INT UNSIGNED NOT NULL,
  product_id INT UNSIGNED NOT NULL,
  location_id TINYINT UNSIGNED NOT NULL,
  quantity INT NOT NULL,
  amount DECIMAL(12,2) NOT NULL,
  status ENUM('new', 'paid', 'shipped', 'returned') NOT NULL DEFAULT 'new',
  note VARCHAR(200),
  ordered_at DATETIME(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
) CHARACTER SET utf8mb4
"""

PRODUCTS = 60
CUSTOMERS = 200
BRANDS = ("Adler", "Birke", "Cumulus", "Delft", "Esker", "Fjord")
CATEGORIES = {
    "garden": ("rake", "watering can", "hedge shears", "trowel"),
    "kitchen": ("kettle", "paring knife", "cast-iron pan", "mortar"),
    "office": ("desk lamp", "notebook", "stapler", "chair"),
    "outdoor": ("tent", "head torch", "rucksack", "camping stove"),
    "toys": ("kite", "wooden train", "marble run", "yo-yo"),
}
NAMES = ("Ada", "Björn", "Chloé", "Dmitri", "Elif", "Fatou", "Grace", "Hiro", "Inés", "Jürgen")
COUNTRIES = ("DE", "FR", "GB", "JP", "SN", "TR", "US")
NOTES = (None, None, None, "gift wrapped", "leave at the door", "schnell bitte, für Ömer", "for 🎂")


class Server(Protocol):
    """What the shop needs of a server: `MariaDbServer` is one."""

    def connect(self, user: str = ..., password: str = ..., database: str | None = ...) -> Any:
        """A PyMySQL connection that commits every statement."""


def create_shop(server: Server, orders: int = 200, seed: int = 1) -> None:
    """Makes the shop's database with all products, all customers and some orders."""
    rng = random.Random(seed)
    products = []
    for product_id in range(1, PRODUCTS + 1):
        category = rng.choice(list(CATEGORIES))
        brand, thing = rng.choice(BRANDS), rng.choice(CATEGORIES[category])
        price = rng.randint(199, 24999) / 100
        products.append((product_id, f"{brand} {thing}", brand, category, f"{price:.2f}"))
    customers = [
        (n, rng.choice(NAMES), rng.choice(COUNTRIES), f"20{rng.randint(10, 25)}-01-01")
        for n in range(1, CUSTOMERS + 1)
    ]
    connection = server.connect()
    try:
        with connection.cursor() as cursor:
            for statement in TABLES.split(";"):
                cursor.execute(statement)
            cursor.executemany("INSERT INTO shop.product_info VALUES (%s,%s,%s,%s,%s)", products)
            cursor.executemany("INSERT INTO shop.customers VALUES (%s,%s,%s,%s)", customers)
    finally:
        connection.close()
    ShopTraffic(server, seed=seed).run(orders, only_inserts=True)


class ShopTraffic:
    """Customers at work: of ten changes about six are new orders, three are updates, one is a deletion.

    Every tenth transaction or so holds several changes. The same seed on the same data gives the
    same changes.

    Args:
        server: where the shop is.
        rate: changes a second of the background thread.
        seed: of the random choices.
    """

    def __init__(self, server: Server, rate: float = 20, seed: int = 7) -> None:
        self.rate = rate
        self.changes = 0
        self._server = server
        self._rng = random.Random(seed)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._known: list[int] | None = None
        self._prices: dict[int, Any] = {}

    def run(self, n: int, *, only_inserts: bool = False) -> None:
        """Makes `n` changes now, as fast as the server takes them."""
        connection = self._connect()
        try:
            done = 0
            while done < n:
                done += self._transaction(connection, n - done, only_inserts=only_inserts)
        finally:
            connection.close()

    def start(self) -> ShopTraffic:
        """Begins in the background, at `rate`."""
        if self._thread is None:
            self._stopping.clear()
            self._thread = threading.Thread(target=self._work, name="shop-traffic", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Ends after the transaction at hand."""
        if self._thread is not None:
            self._stopping.set()
            self._thread.join()
            self._thread = None

    def __enter__(self) -> ShopTraffic:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def _connect(self) -> Any:
        """A session whose DATETIME defaults are UTC, as the change log's `ts` is."""
        connection = self._server.connect(database="shop")
        with connection.cursor() as cursor:
            cursor.execute("SET time_zone = '+00:00'")
        return connection

    def _work(self) -> None:
        connection = self._connect()
        try:
            while not self._stopping.is_set():
                done = self._transaction(connection, 5)
                self._stopping.wait(done / self.rate)
        finally:
            connection.close()

    def _transaction(self, connection: Any, most: int, *, only_inserts: bool = False) -> int:
        """One transaction of one or several changes; how many."""
        rng = self._rng
        size = min(most, rng.randint(2, 5) if rng.random() < 0.1 else 1)
        with connection.cursor() as cursor:
            if self._known is None:
                cursor.execute("SELECT order_id FROM orders ORDER BY order_id")
                self._known = [row[0] for row in cursor.fetchall()]
                cursor.execute("SELECT product_id, price FROM product_info ORDER BY product_id")
                self._prices = dict(cursor.fetchall())
            cursor.execute("BEGIN")
            for _ in range(size):
                draw = rng.random()
                if only_inserts or draw < 0.6 or not self._known:
                    self._insert(cursor, self._known)
                elif draw < 0.9:
                    self._update(cursor, rng.choice(self._known))
                else:
                    gone = self._known.pop(rng.randrange(len(self._known)))
                    cursor.execute("DELETE FROM orders WHERE order_id = %s", (gone,))
            cursor.execute("COMMIT")
        self.changes += size
        return size

    def _insert(self, cursor: Any, known: list[int]) -> None:
        rng = self._rng
        product, quantity = rng.choice(list(self._prices)), rng.randint(1, 9)
        cursor.execute(
            "INSERT INTO orders (customer_id, product_id, location_id, quantity, amount, note)"
            " VALUES (%s, %s, %s, %s, %s, %s)",
            (
                rng.randint(1, CUSTOMERS),
                product,
                rng.randint(1, 20),
                quantity,
                self._prices[product] * quantity,
                rng.choice(NOTES),
            ),
        )
        known.append(cursor.lastrowid)

    def _update(self, cursor: Any, order_id: int) -> None:
        if self._rng.random() < 0.5:
            cursor.execute(
                "UPDATE orders SET status = status %% 4 + 1 WHERE order_id = %s", (order_id,)
            )
        else:
            cursor.execute(
                "UPDATE orders SET amount = amount + amount / quantity, quantity = quantity + 1"
                " WHERE order_id = %s",
                (order_id,),
            )


class _RemoteServer:
    """A server that somebody else runs, by its URL."""

    def __init__(self, url: str, password: str) -> None:
        self._parts = urlsplit(url)
        self._password = password

    def connect(self, user: str = "", password: str = "", database: str | None = None) -> Any:
        import pymysql

        return pymysql.connect(
            host=self._parts.hostname or "127.0.0.1",
            port=self._parts.port or 3306,
            user=user or unquote(self._parts.username or "root"),
            password=password or self._password,
            database=database,
            autocommit=True,
        )


def main() -> None:
    """Makes the shop if it is not there, and works for a while."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="mysql://user@host:port")
    parser.add_argument("--password", default="")
    parser.add_argument("--rate", type=float, default=20, help="changes a second")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    server = _RemoteServer(given.url, given.password)
    with server.connect() as connection, connection.cursor() as cursor:
        is_there = cursor.execute(
            "SELECT 1 FROM information_schema.tables"
            " WHERE table_schema = 'shop' AND table_name = 'orders'"
        )
    if not is_there:
        create_shop(server, seed=given.seed)
    with ShopTraffic(server, given.rate, given.seed) as traffic:
        threading.Event().wait(given.seconds)
    print(f"{traffic.changes} changes")


if __name__ == "__main__":
    main()
