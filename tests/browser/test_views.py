"""What a person sees: the views in a real JupyterLab, fed by a thread while no cell runs."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

FEEDS = """
import threading, time, datetime as dt, random
from decimal import Decimal
import pyarrow as pa
from stream_magic.contracts.feed import FeedStatus, GraphNode
from stream_magic.contracts.feedkit import HandAppFeed, HandFeed
from stream_magic import views

rng = random.Random(7)
START = dt.datetime.now(dt.UTC).replace(microsecond=0, tzinfo=None)
CATEGORIES = ["Electronics", "Fashion", "Home", "Sport", "Toys"]
orders_schema = pa.schema([
    ("order_id", pa.int64()), ("product", pa.string()), ("brand", pa.string()), ("qty", pa.int32()),
    ("amount", pa.decimal128(18, 2)), ("discount", pa.float64()), ("big", pa.uint64()), ("paid", pa.bool_()),
    ("before", pa.struct([("order_id", pa.int64()), ("qty", pa.int32()), ("gift", pa.string()), ("tags", pa.list_(pa.string()))])),
    ("ts", pa.timestamp("us")),
])
PRODUCTS = ["Trail runner 3", "Field jacket", "Cast-iron pan 28 cm", "Café “Nord” 🛒", "", "<img src=x onerror=alert(1)>",
            "A very long name of a product that goes on and on until nobody wants to read it any more, not even the person who wrote it"]

def order(i):
    return {"order_id": 917000 + i, "product": rng.choice(PRODUCTS), "brand": rng.choice(["Norrvik", "Aldermoor", None]), "qty": rng.randint(1, 2000),
            "amount": Decimal(rng.randint(100, 9999999)) / 100, "discount": rng.choice([12.5, 4.0, None, 0.834127]), "big": 2**64 - 1 - i,
            "paid": rng.random() < .5, "before": None if i % 3 else {"order_id": i, "qty": 2, "gift": None, "tags": ["a", "b"]},
            "ts": START + dt.timedelta(milliseconds=100 * i + 4)}

orders = HandFeed("enriched", orders_schema, detail="lookup join with products", time_column="ts")
orders.append(pa.Table.from_pylist([order(i) for i in range(3000)], orders_schema), rows_per_s=412, lag_s=.086)

revenue_schema = pa.schema([("window_end", pa.timestamp("us")), ("category", pa.string()), ("orders", pa.int64()), ("revenue", pa.float64())])
revenue = HandFeed("revenue", revenue_schema, "keyed", key=["window_end", "category"], detail="TUMBLE 10 s by category", time_column="window_end")
level = {c: 4200 / (i + 1) for i, c in enumerate(CATEGORIES)}
windows = []

def close_window(k):
    for c in CATEGORIES:
        level[c] = max(50, level[c] + rng.uniform(-150, 150))
        if not (c == "Toys" and 40 <= k % 100 < 46):
            windows.append({"window_end": START + dt.timedelta(seconds=10 * (k - 90)), "category": c, "orders": rng.randint(50, 150), "revenue": round(level[c], 2)})

for k in range(91):
    close_window(k)

top_schema = pa.schema([("category", pa.string()), ("units", pa.int64()), ("revenue", pa.float64())])
top = HandFeed("top_products", top_schema, "keyed", key=["category"])
one = HandFeed("revenue_today", pa.schema([("revenue", pa.decimal128(18, 2))]), "single")

def moving():
    i, k = 3000, 91
    while True:
        time.sleep(.15)
        i += 1
        orders.append(pa.Table.from_pylist([order(i)], orders_schema), rows_per_s=412, lag_s=rng.uniform(.05, .2), errors=3)
        if i % 7 == 0:
            close_window(k); k += 1
        revenue.replace(pa.Table.from_pylist(windows, revenue_schema), rows_per_s=.5, lag_s=.096)
        top.replace(pa.Table.from_pylist([{"category": c, "units": i if c == "Home" else 7, "revenue": level[c]} for c in CATEGORIES], top_schema), rows_per_s=37)
        one.replace(pa.table({"revenue": [Decimal(i * 43) / 100]}, schema=one.schema), rows_per_s=5)

threading.Thread(target=moving, daemon=True).start()
"""

NEVER = """
empty = HandFeed("late_orders", orders_schema)
empty.report(state="waiting", message="412 rows/s come in, but no window has closed: partition 3 has been silent for 4 min 12 s.")
lost = HandFeed("orders", revenue_schema, "keyed", key=["window_end", "category"])
lost.replace(pa.Table.from_pylist(windows[:8], revenue_schema))
lost.report(state="reconnecting", message="orders lost 127.0.0.1:3306. Attempt 3 in 8 s.")
failed = HandFeed("fraud_score", revenue_schema, "keyed", key=["window_end", "category"])
failed.replace(pa.Table.from_pylist(windows[:8], revenue_schema))
failed.report(state="failed", errors=1, message="SM5002 amount '12,5' is not a DECIMAL(18,2). Nothing after epoch 18,201 was delivered.")
"""


def shoot(page: Page, name: str) -> None:
    """A picture of the page, if a folder is asked for."""
    folder = os.environ.get("SCREENSHOTS")
    if folder:
        page.screenshot(path=Path(folder) / f"{name}.png")


def changes(page: Page, text: Callable[[], str]) -> None:
    """Passes when the text becomes another one by itself."""
    before = text()
    for _ in range(200):
        if text() != before:
            return
        page.wait_for_timeout(50)
    pytest.fail(f"still {before!r} after 10 s")


@pytest.fixture
def notebook(lab: Any, open_notebook: Any) -> Callable[..., Any]:
    def make(*cells: str) -> Any:
        opened = open_notebook(lab.write("views", [FEEDS, *cells]))
        opened.run_all()
        return opened

    return make


def test_tables_change_while_no_cell_runs(notebook: Any, page: Page) -> None:
    opened = notebook("views.show_table(orders)", "views.show_table(top)", "views.show_table(one)")
    table = opened.output(1).locator(".sm-root")
    expect(table.locator(".sm-foot")).to_contain_text(re.compile(r"1,000 of 3,\d\d\d rows shown"))
    changes(page, lambda: table.locator("tbody tr:nth-child(2) td").first.inner_text())
    changes(
        page,
        lambda: (
            opened.output(2).locator("td").nth(1).inner_text()
            and opened.output(2).locator(".sm-scroll").inner_text()
        ),
    )
    changes(page, lambda: opened.output(3).locator(".sm-figure div").inner_text())
    opened.show(3)
    frame_width, table_width = (
        n.bounding_box()["width"]
        for n in (opened.output(2).locator(".sm-root"), opened.output(2).locator("table"))
    )
    assert abs(frame_width - table_width) < 4, "few columns fill the frame"
    shoot(page, "tables-light")
    opened.set_theme("JupyterLab Dark")
    shoot(page, "tables-dark")


def test_a_chart_follows_its_feed_and_its_theme(notebook: Any, page: Page) -> None:
    opened = notebook(
        "views.show_chart(revenue, 'line', {'x': 'window_end', 'y': 'revenue', 'color': 'category', 'last': '15m', 'title': 'Revenue per window'})",
        "views.show_table(revenue)",
    )
    chart = opened.output(1)
    paths = chart.locator(".bqplot path.line")
    expect(paths).to_have_count(5)
    changes(page, lambda: paths.first.get_attribute("d"))
    opened.show(2)
    shoot(page, "chart-light")
    opened.set_theme("JupyterLab Dark")
    expect(chart.locator(".sm-legend [role=switch]")).to_have_count(5)
    shoot(page, "chart-dark")
    chart.locator(".sm-legend [role=switch]").first.click()
    expect(chart.locator(".sm-legend [role=switch]").first).to_have_attribute(
        "aria-checked", "false"
    )


GRAPH = """
def node(name, kind, detail, inputs=(), lookups=(), state="running", rows_per_s=0.0, lag_s=None, rows=0, errors=0, message=""):
    return GraphNode(name, kind, detail, tuple(inputs), tuple(lookups), FeedStatus(state, rows, rows_per_s, lag_s, errors, 1, message))

def shop(r, more=()):
    return [
        node("orders", "source", "mysql-cdc, shop.orders", rows_per_s=r, lag_s=.086),
        node("access_log", "source", "file, access.log", rows_per_s=796, lag_s=.041),
        node("products", "cache", "database, every 5 minutes", rows=18204, lag_s=125),
        node("enriched", "stream", "lookup join with products", ["orders", "products"], ["products"], rows_per_s=r, lag_s=.091, errors=3),
        node("hits", "stream", "parse, 2 filters", ["access_log"], rows_per_s=781, lag_s=.044),
        node("not_loc10", "stream", "WHERE location_id <> 10", ["enriched"], rows_per_s=371, lag_s=.093),
        node("revenue", "table", "TUMBLE 10 s by category", ["enriched"], rows_per_s=.8, lag_s=3.2),
        node("slow_paths", "table", "TUMBLE 1 min by path", ["hits"], rows_per_s=4.2, lag_s=12),
        node("csv_files", "target", "file, 1 file a minute", ["not_loc10"], rows_per_s=208, lag_s=14.2),
        node("to_kafka", "target", "kafka, topic orders", ["enriched"], rows_per_s=r, lag_s=.118),
        node("revenue_drop", "target", "memory", ["revenue"], state="waiting"),
        *more]

app = HandAppFeed("shop", shop(412))

def flowing():
    while True:
        time.sleep(.2)
        app.set(shop(rng.randint(390, 430), extra))

extra = []
threading.Thread(target=flowing, daemon=True).start()
"""


def test_a_graph_shows_rates_and_keeps_its_places(notebook: Any, page: Page) -> None:
    opened = notebook(GRAPH, "views.show_app(app)")
    graph = opened.output(2)
    cards = graph.locator(".sm-node")
    expect(cards).to_have_count(11)
    changes(page, lambda: graph.locator("[data-name=orders] b").inner_text())
    opened.show(2)
    shoot(page, "graph-light")
    before = {c.get_attribute("data-name"): c.get_attribute("style") for c in cards.all()}
    page.evaluate(
        "code => { const nb = window.jupyterapp.shell.currentWidget; nb.sessionContext.session.kernel.requestExecute({ code }); }",
        "extra.append(node('errors_1m', 'table', 'TUMBLE 1 min', ['hits'], state='reconnecting', message='orders lost 127.0.0.1:3306. Attempt 3 in 8 s. Position kept.'))",
    )
    expect(cards).to_have_count(12)
    places = {n: s.split("top")[1] for n, s in before.items()}
    for card in cards.all():
        name = card.get_attribute("data-name")
        if name in places:
            assert card.get_attribute("style").split("top")[1] == places[name]
    opened.set_theme("JupyterLab Dark")
    shoot(page, "graph-dark")


def test_every_state_has_its_words(notebook: Any, page: Page) -> None:
    opened = notebook(
        NEVER,
        "views.show_table(empty)",
        "views.show_table(lost)",
        "views.show_table(failed)",
        "views.show_chart(empty, 'line', {'y': 'qty'})",
    )
    expect(opened.output(2).locator("[role=status]")).to_contain_text(
        "Waiting for rows from late_orders"
    )
    expect(opened.output(3).locator(".sm-banner")).to_contain_text("Attempt 3 in 8 s.")
    expect(opened.output(3).locator("[data-state=reconnecting]")).to_have_count(1)
    expect(opened.output(4).locator("[role=alert]")).to_contain_text("SM5002")
    expect(opened.output(5).locator("[role=status]")).to_contain_text("Waiting for rows")
    opened.show(5)
    page.wait_for_timeout(300)
    shoot(page, "states-light")
    opened.set_theme("JupyterLab Dark")
    shoot(page, "states-dark")


def test_rows_stand_still_while_somebody_reads(notebook: Any, page: Page) -> None:
    opened = notebook("views.show_table(orders)")
    table = opened.show(1).locator(".sm-root")
    scroll = table.locator(".sm-scroll")
    expect(table.locator("td[role=gridcell]").first).to_be_visible()
    scroll.evaluate("n => { n.scrollTop = 9000 }")
    expect(table.locator(".sm-foot")).to_contain_text("Frozen while you read")
    expect(table.locator(".sm-foot")).to_contain_text(re.compile(r"[1-9]\d* new rows?"))
    assert table.locator("tbody tr").count() < 40, "only the rows in sight are in the page"
    rows = scroll.inner_text()
    changes(page, lambda: table.locator(".sm-foot").inner_text())
    assert scroll.inner_text() == rows
    shoot(page, "frozen-light")
    table.locator("[data-action=newest]").click()
    expect(table.locator(".sm-foot")).to_contain_text("rows shown")
    table.locator(".sm-fold").first.click()
    expect(table.locator(".sm-open").first).to_be_visible()
    expect(table.locator(".sm-foot")).to_contain_text("Frozen while you read")
    shoot(page, "opened-light")
    page.keyboard.press("Escape")
    changes(page, lambda: table.locator("td[role=gridcell]").first.inner_text())
    assert page.evaluate("() => document.querySelectorAll('.sm-root img').length") == 0


def test_values_stay_and_say_so_when_the_kernel_is_gone(notebook: Any, page: Page) -> None:
    opened = notebook("views.show_table(top)")
    table = opened.output(1).locator(".sm-root")
    expect(table.locator("td[role=gridcell]").first).to_have_text("Electronics")
    page.evaluate(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()"
    )
    expect(table.locator("[data-state=stale]")).to_have_count(1)
    expect(table.locator(".sm-banner")).to_contain_text("run the cell again")
    expect(table.locator("td[role=gridcell]").first).to_have_text("Electronics")
    opened.show(1)
    shoot(page, "stale-light")
