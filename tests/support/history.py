"""What really happened to the shop's orders: written by the database itself, read by plain clients."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

from servers.mariadb import MariaDbServer

COLUMNS = (
    "order_id", "customer_id", "product_id", "location_id", "quantity", "amount", "status", "note",
    "ordered_at",
)  # fmt: skip
Row = dict[str, Any]
Change = tuple[str, Row | None, Row | None, str]  # op, before, after, ts

_TABLE = """
CREATE TABLE shop.orders_history (
  seq BIGINT AUTO_INCREMENT PRIMARY KEY, ts DATETIME NOT NULL, op CHAR(1) NOT NULL,
  order_id BIGINT NOT NULL, `before` LONGTEXT, `after` LONGTEXT
) CHARACTER SET utf8mb4
"""


def keep_history(server: MariaDbServer) -> None:
    """Triggers write each change of `shop.orders` into `shop.orders_history`, in its own transaction."""
    triggers = [
        _trigger("c", "INSERT", "NULL", _row("NEW"), "NEW"),
        _trigger("u", "UPDATE", _row("OLD"), _row("NEW"), "NEW"),
        _trigger("d", "DELETE", _row("OLD"), "NULL", "OLD"),
    ]
    first = (
        "INSERT INTO shop.orders_history (ts, op, order_id, `after`)"
        f" SELECT UTC_TIMESTAMP(), 'c', o.order_id, {_row('o')} FROM shop.orders o ORDER BY order_id"
    )
    server.execute(_TABLE, *triggers, first)


def history_of(server: MariaDbServer) -> dict[int, list[Change]]:
    """All changes of each order, in order."""
    found: dict[int, list[Change]] = defaultdict(list)
    rows = server.query(
        "SELECT order_id, op, `before`, `after`, CAST(ts AS CHAR) FROM shop.orders_history ORDER BY seq"
    )
    for order_id, op, before, after, ts in rows:
        found[order_id].append((op, _loads(before), _loads(after), ts))
    return found


def until(is_so: Callable[[], Any], what: str, seconds: float = 90) -> None:
    """Polls; a deadline that passes fails the test with `what`."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, f"it never came: {what}"
        time.sleep(0.02)


def agree(history: dict[int, list[Change]], topic: Iterable[Row]) -> dict[int, int]:
    """Each change is on the topic once and in order of its key, behind what the snapshot saw.

    Returns:
        How many changes of each order the snapshot had swallowed.
    """
    by_key: dict[int, list[Row]] = defaultdict(list)
    for message in topic:
        by_key[message["order_id"]].append(message)
    assert by_key.keys() <= history.keys()
    swallowed = {}
    for order_id, changes in history.items():
        found = by_key.get(order_id, [])
        log = [m for m in found if m["op"] != "r"]
        swallowed[order_id] = seen = len(changes) - len(log)
        state = changes[seen - 1][2] if seen else None
        snapshot = [m["after"] for m in found if m["op"] == "r"]
        assert snapshot == ([state] if state else []), f"order {order_id}: the snapshot is another"
        assert [m["op"] for m in found[len(snapshot) :]] == [m["op"] for m in log]
        assert [(m["op"], m["before"], m["after"], m["ts"][:19]) for m in log] == changes[seen:]
    return swallowed


def _trigger(op: str, event: str, before: str, after: str, key: str) -> str:
    return (
        f"CREATE TRIGGER shop.history_{op} AFTER {event} ON shop.orders FOR EACH ROW"
        " INSERT INTO shop.orders_history (ts, op, order_id, `before`, `after`)"
        f" VALUES (UTC_TIMESTAMP(), '{op}', {key}.order_id, {before}, {after})"
    )


def _row(name: str) -> str:
    """JSON with every value as its text, so that nothing is rounded on the way."""
    pairs = ", ".join(f"'{c}', CAST({name}.{c} AS CHAR)" for c in COLUMNS)
    return f"JSON_OBJECT({pairs})"


def _loads(text: str | None) -> Row | None:
    return None if text is None else json.loads(text)
