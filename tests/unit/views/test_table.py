from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from stream_magic.contracts.feedkit import HandFeed
from stream_magic.views.table import LiveTable

ORDERS = pa.schema([("id", pa.int64()), ("product", pa.string())])


def orders(*ids: int) -> pa.Table:
    return pa.table({"id": list(ids), "product": [f"p{i}" for i in ids]}, schema=ORDERS)


def numbers(column: dict) -> list[float]:
    return np.frombuffer(column["values"], "<f8").tolist()


def test_a_new_table_has_its_heads_and_says_that_it_loads(wire, pump) -> None:
    table = LiveTable(HandFeed("orders", ORDERS), pump=pump)
    assert table.rows["is_loading"]
    assert [(c["name"], c["type"]) for c in table.rows["columns"]] == [
        ("id", "BIGINT"), ("product", "VARCHAR"),
    ]  # fmt: skip


def test_a_hundred_epochs_between_two_ticks_are_one_message(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    table = LiveTable(feed, pump=pump)
    pump.turn()
    wire.clear()
    feed.snapshots = 0
    for i in range(100):
        feed.append(orders(i))
    pump.turn()
    (update,) = wire.updates(table.comm.comm_id)
    assert feed.snapshots == 1
    assert update["rows"]["count"] == 100
    assert numbers(update["rows"]["columns"][0])[-1] == 99
    assert update["bar"]["metrics"][0] == ["100", "rows"]


def test_nothing_is_sent_when_nothing_changed(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    feed.append(orders(1))
    LiveTable(feed, pump=pump)
    pump.turn()
    wire.clear()
    for _ in range(5):
        pump.turn(2.0)
    assert wire == []


def test_only_the_newest_rows_travel_and_all_are_counted(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    feed.append(orders(*range(5000)))
    table = LiveTable(feed, limit=10, pump=pump)
    pump.turn()
    assert (table.rows["count"], table.rows["total"], table.rows["first"]) == (10, 5000, 4990)
    assert numbers(table.rows["columns"][0]) == list(range(4990, 5000))


def test_an_empty_feed_says_what_it_waits_for(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    feed.report(state="waiting", message="Partition 3 has been silent for 4 min.")
    table = LiveTable(feed, pump=pump)
    pump.turn()
    assert table.rows["empty"] == {
        "title": "Waiting for rows from orders",
        "text": "Partition 3 has been silent for 4 min.",
    }


def test_a_lost_connection_keeps_the_rows_and_shows_a_banner(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    feed.append(orders(1, 2), errors=3, lag_s=0.086)
    table = LiveTable(feed, pump=pump)
    feed.report(state="reconnecting", message="orders lost 127.0.0.1:3306. Attempt 3 in 8 s.")
    pump.turn()
    assert table.rows["count"] == 2
    assert table.bar["word"] == "Reconnecting"
    assert table.bar["banner"]["tone"] == "warn"
    assert table.bar["chips"] == [["3 errors", "error"]]
    assert table.bar["metrics"][2] == ["86 ms", "lag"]


def test_a_keyed_row_keeps_its_place(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS, "keyed", key=["id"])
    table = LiveTable(feed, pump=pump)
    feed.replace(orders(7, 3))
    pump.turn()
    feed.replace(orders(3, 9, 7))
    pump.turn()
    assert numbers(table.rows["columns"][0]) == [7, 3, 9]
    assert table.view == {"mode": "keyed", "key": [0], "pauses": "view"}
    assert table.bar["kind"] == "keyed by id"


def test_windows_stand_newest_first(wire, pump) -> None:
    schema = pa.schema([("window_end", pa.timestamp("us")), ("category", pa.string())])
    feed = HandFeed("revenue", schema, "keyed", key=["window_end", "category"])
    first, second = (
        datetime(2026, 1, 1, 0, 0, 10, tzinfo=UTC),
        datetime(2026, 1, 1, 0, 0, 20, tzinfo=UTC),
    )
    rows = {"window_end": [first, second, second], "category": ["a", "b", "a"]}
    feed.replace(pa.table(rows, schema=schema))
    table = LiveTable(feed, pump=pump)
    pump.turn()
    assert table.rows["columns"][1]["values"] == ["a", "b", "a"]
    assert numbers(table.rows["columns"][0])[0] > numbers(table.rows["columns"][0])[2]


def test_the_engines_own_columns_are_not_shown(wire, pump) -> None:
    schema = pa.schema([("id", pa.int64()), ("_sm_seq", pa.int64()), ("_weight", pa.int64())])
    feed = HandFeed("orders", schema)
    feed.append(pa.table({"id": [1], "_sm_seq": [1], "_weight": [1]}, schema=schema))
    table = LiveTable(feed, pump=pump)
    pump.turn()
    assert [c["name"] for c in table.rows["columns"]] == ["id"]


def test_a_failing_feed_shows_an_error_and_comes_back(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    feed.append(orders(1))
    table = LiveTable(feed, pump=pump)
    working, feed.snapshot = feed.snapshot, lambda limit: 1 / 0
    pump.turn()
    assert (table.bar["state"], table.bar["banner"]["tone"]) == ("failed", "error")
    feed.snapshot = working
    pump.turn(2.0)
    assert (table.bar["state"], table.rows["count"]) == ("running", 1)


def test_csv_is_made_of_all_rows_when_asked(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    feed.append(orders(1, 2))
    table = LiveTable(feed, limit=1, pump=pump)
    table._handle_custom_msg({"what": "csv"}, [])
    assert wire.customs() == [
        {"what": "csv", "name": "orders.csv", "text": "id,product\r\n1,p1\r\n2,p2\r\n"}
    ]


def test_pause_calls_the_handed_function(wire, pump) -> None:
    heard: list[bool] = []
    table = LiveTable(HandFeed("orders", ORDERS), on_pause=heard.append, pump=pump)
    table._handle_custom_msg({"what": "pause", "on": True}, [])
    assert heard == [True]
    assert table.view["pauses"] == "app"


def test_a_view_that_no_browser_shows_is_dropped_and_comes_back(wire, pump) -> None:
    feed = HandFeed("orders", ORDERS)
    table = LiveTable(feed, pump=pump)
    for ident in ("a", "b"):
        table._handle_custom_msg({"what": "opened", "id": ident}, [])
    table._handle_custom_msg({"what": "closed", "id": "a"}, [])
    assert pump.views == 1
    table._handle_custom_msg({"what": "closed", "id": "b"}, [])
    assert pump.views == 0
    feed.append(orders(1))
    table._handle_custom_msg({"what": "opened", "id": "c"}, [])
    pump.turn()
    assert table.rows["count"] == 1


def test_a_closed_widget_is_dropped(wire, pump) -> None:
    table = LiveTable(HandFeed("orders", ORDERS), pump=pump)
    table.close()
    table.close()
    assert pump.views == 0


def test_hosts_without_widgets_get_text_and_html(wire, pump) -> None:
    feed = HandFeed("orders", pa.schema([("id", pa.int64()), ("note", pa.string())]))
    feed.append(pa.table({"id": [1, 1234], "note": ["<b>x</b>", None]}))
    data, _ = LiveTable(feed, pump=pump)._repr_mimebundle_()
    assert data["text/plain"].splitlines() == [
        "orders: 2 of 2 rows shown", "  id  note", "1234  NULL", "   1  <b>x</b>",
    ]  # fmt: skip
    assert "&lt;b&gt;x&lt;/b&gt;" in data["text/html"]
    assert "<b>x</b>" not in data["text/html"]
    assert "application/vnd.jupyter.widget-view+json" in data


def test_a_table_without_rows_can_be_displayed_anywhere(wire, pump) -> None:
    for mode in ("append", "keyed", "single"):
        data, _ = LiveTable(HandFeed("orders", ORDERS, mode), pump=pump)._repr_mimebundle_()
        assert data["text/plain"] == "orders: no rows yet\nid  product"
