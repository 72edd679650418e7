from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from stream_magic.connectors.generator import GeneratorOptions, GeneratorSource
from stream_magic.contracts.options import parse_options
from stream_magic.contracts.registry import registry
from stream_magic.contracts.source import SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import ConfigError
from support.reading import read_all


def source(clock: ManualClock | None = None, **options: Any) -> GeneratorSource:
    made = GeneratorSource(
        GeneratorOptions(**options),
        SourceContext("orders", "shop", clock or ManualClock("2026-01-01")),
    )
    made.open(None)
    return made


def test_every_change_continues_the_order_as_it_was():
    rows = read_all(source(rows=5000))
    assert rows.schema == source().schema()
    live: dict[int, Any] = {}
    ops = set()
    for row in rows.to_pylist():
        op, before, after = row["op"], row["before"], row["after"]
        ops.add(op)
        if op == "c":
            assert before is None
            assert after["order_id"] not in live
            assert after["ordered_at"] == row["ts"]
        else:
            assert before == live.pop(before["order_id"])
        if op == "d":
            assert after is None
        else:
            live[after["order_id"]] = after
        if op == "u":
            assert after["order_id"] == before["order_id"]
            assert after != before
    assert ops == {"c", "u", "d"}


def test_where_a_reading_is_cut_or_resumed_changes_nothing():
    whole = read_all(source(rows=3000), 3000)
    assert read_all(source(rows=3000), 17).equals(whole)
    s = source(rows=3000)
    first = s.read(1234, 0)
    assert first is not None
    later = source(ManualClock("2030-01-01"), rows=3000)
    later.open(first.position)
    assert pa.concat_tables([first.rows, read_all(later)]).equals(whole)


def test_another_seed_gives_other_rows():
    assert not read_all(source(rows=100)).equals(read_all(source(rows=100, seed=1)))


def test_amounts_are_price_times_quantity_of_the_catalogue():
    products = registry.source("generator").catalogue(products=50, seed=7)
    price = dict(
        zip(products["product_id"].to_pylist(), products["price"].to_pylist(), strict=True)
    )
    rows = read_all(source(rows=2000, products=50, seed=7)).column("after").to_pylist()
    orders = [r for r in rows if r]
    assert all(r["amount"] == price[r["product_id"]] * r["quantity"] for r in orders)
    assert {r["location_id"] for r in orders} == set(range(1, 21))
    assert {r["status"] for r in orders} == {"new", "paid", "shipped", "cancelled"}
    notes = {r["note"] for r in orders}
    assert None in notes
    assert any("🎁" in n for n in notes if n)


def test_templates_products_and_customers_end_with_their_rows():
    made = read_all(source(template="products", products=30))
    assert made.equals(GeneratorSource.catalogue(30))
    assert made.schema == source(template="products").schema()
    assert made.column("price")[0].as_py() > Decimal(0)
    assert read_all(source(template="customers", rows=5)).num_rows == 5


def test_event_times_go_forward_by_the_rate_and_disorder_is_bounded():
    times = read_all(source(rows=2000, start="2026-01-01")).column("ts").cast(pa.int64())
    steps = {b - a for a, b in zip(times.to_pylist(), times.to_pylist()[1:], strict=False)}
    assert steps == {10_000}
    options = parse_options(GeneratorOptions, {}, "generator")
    assert options.disorder.total_seconds() == 0
    mixed = read_all(source(rows=2000, start="2026-01-01", disorder=timedelta(seconds=1)))
    late = [
        t - m
        for t, m in zip(
            times.to_pylist(), mixed.column("ts").cast(pa.int64()).to_pylist(), strict=True
        )
    ]
    assert min(late) >= 0
    assert 500_000 < max(late) <= 1_000_000


def test_rate_follows_the_clock_of_the_app():
    clock = ManualClock("2026-01-01")
    s = source(clock, rate=50)
    assert s.read(1000, 0) is None
    clock.advance(2)
    batch = s.read(1000, 0)
    assert batch is not None
    assert batch.rows.num_rows == 100
    assert s.read(1000, 0) is None
    clock.advance(1)
    batch = s.read(20, 0)
    assert batch is not None
    assert batch.rows.num_rows == 20


@pytest.mark.parametrize("options", [{"rate": 0}, {"products": 0}, {"start": "soon"}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        source(**options)


def test_speed_spreads_event_times_and_changes_nothing_else():
    slow, fast = (read_all(source(rows=2000, speed=s)) for s in (1, 5))
    start = slow["ts"][0].as_py()
    later = [(t.as_py() - start).total_seconds() for t in (slow["ts"][-1], fast["ts"][-1])]
    assert later[1] == pytest.approx(5 * later[0], abs=1e-5)
    assert slow["op"] == fast["op"]
