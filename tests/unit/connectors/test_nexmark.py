from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

import stream_magic
from stream_magic.connectors.nexmark import NexmarkOptions, NexmarkSource
from stream_magic.connectors.nexmark.house import SCHEMAS, Kind, numbers, rows_among
from stream_magic.contracts.source import SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Position
from stream_magic.errors import ConfigError
from support.reading import read_all

KINDS: list[Kind] = ["person", "auction", "bid"]


def source(
    clock: ManualClock | None = None, at: Position | None = None, **options: Any
) -> NexmarkSource:
    made = NexmarkSource(
        NexmarkOptions(**{"events": 1234, "start": "2026-01-01", **options}),
        SourceContext("s", "app", clock or ManualClock("2026-01-01")),
    )
    made.open(at)
    return made


def us(column: pa.ChunkedArray) -> list[int]:
    return column.cast(pa.int64()).to_pylist()


def test_of_fifty_events_one_is_a_person_three_are_auctions_and_the_rest_bids():
    kinds = Counter(read_all(source(events=5000)).column("event_type").to_pylist())
    assert kinds == {0: 100, 1: 300, 2: 4600}
    assert [rows_among(k, 5000) for k in KINDS] == [100, 300, 4600]


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_alone_is_what_the_stream_of_all_holds_of_it(kind):
    rows = read_all(source(kind=kind, disorder=timedelta(seconds=1)))
    events = read_all(source(disorder=timedelta(seconds=1)))
    assert rows.schema == SCHEMAS[kind]
    assert rows.num_rows == rows_among(kind, 1234)
    nested = [e[kind] for e in events.to_pylist() if e["event_type"] == KINDS.index(kind)]
    assert nested == rows.to_pylist()
    filled = [e for e in events.to_pylist() if e[kind] is not None]
    assert len(filled) == len(nested)


@pytest.mark.parametrize("kind", ["event", *KINDS])
def test_where_a_reading_is_cut_or_resumed_changes_nothing(kind):
    whole = read_all(source(kind=kind), 5000)
    assert read_all(source(kind=kind), 7).equals(whole)
    first = source(kind=kind).read(11, 0)
    assert first is not None
    later = source(ManualClock("2030-01-01"), first.position, kind=kind, start=None)
    assert pa.concat_tables([first.rows, read_all(later)]).equals(whole)
    assert not read_all(source(kind=kind, seed=1)).equals(whole)


def test_times_go_forward_by_the_step_and_disorder_is_bounded():
    step, disorder = timedelta(milliseconds=1), timedelta(milliseconds=300)
    straight = read_all(source(kind="bid", step=step))
    start = us(straight.column("dateTime"))[0] - 4000
    expected = [start + 1000 * int(n) for n in numbers("bid", np.arange(straight.num_rows))]
    assert us(straight.column("dateTime")) == expected
    mixed = us(read_all(source(kind="bid", step=step, disorder=disorder)).column("dateTime"))
    early = [a - b for a, b in zip(expected, mixed, strict=True)]
    assert min(early) >= 0
    assert 200_000 < max(early) <= 300_000
    assert mixed != sorted(mixed)


def test_bids_are_for_auctions_that_are_there_or_come_soon_and_some_are_hot():
    auctions = read_all(source(kind="auction", events=50_000))
    bids = read_all(source(kind="bid", events=50_000))
    known = set(auctions.column("id").to_pylist())
    wanted = Counter(bids.column("auction").to_pylist())
    assert max(wanted) <= max(known) + 10
    assert min(wanted) >= min(known)
    assert wanted.most_common(1)[0][1] > 5 * wanted.total() / len(wanted)
    open_for = pc.subtract(auctions.column("expires"), auctions.column("dateTime"))
    assert min(us(open_for)) > 0
    prices = bids.column("price").to_pylist()
    assert min(prices) >= 100
    assert max(prices) <= 100_000_000
    assert sorted(prices)[len(prices) // 2] < 200_000


def test_sellers_and_bidders_are_persons():
    people = set(read_all(source(kind="person", events=50_000)).column("id").to_pylist())
    for kind, column in (("auction", "seller"), ("bid", "bidder")):
        named = set(read_all(source(kind=kind, events=50_000)).column(column).to_pylist())
        assert min(named) >= min(people)
        assert max(named) <= max(people) + 10


def test_rate_counts_events_of_all_kinds():
    clock = ManualClock("2026-01-01")
    s = source(clock, kind="bid", events=None, rate=500.0)
    assert s.read(1000, 0) is None
    clock.advance(1)
    batch = s.read(1000, 0)
    assert batch is not None
    assert batch.rows.num_rows == 460
    assert s.read(1000, 0) is None


@pytest.mark.parametrize("options", [{"rate": 0.0}, {"events": -1}, {"start": "yesterday"}])
def test_options_that_mean_nothing_are_refused(options):
    with pytest.raises(ConfigError):
        NexmarkOptions(**options)


def test_sources_of_one_seed_belong_together_in_an_app():
    app = stream_magic.App("house")
    options = "connector = 'nexmark', seed = 7, events = 1000, step = '20 ms', disorder = '1 second', start = '2026-01-01 00:00:00'"
    for kind in KINDS:
        watermark = "(WATERMARK FOR dateTime AS dateTime - INTERVAL 1 SECOND)"
        app.execute(f"CREATE SOURCE {kind} {watermark} WITH ({options}, kind = '{kind}')")
    app.execute(f"CREATE SOURCE event WITH ({options})")
    app.execute("CREATE TABLE alone AS SELECT * FROM bid")
    app.execute("CREATE TABLE nested AS SELECT bid.* FROM event WHERE event_type = 2")
    app.execute(
        "CREATE TABLE joined AS SELECT count(*) AS n FROM bid b JOIN auction a ON b.auction = a.id"
    )
    app.drain()
    same = {
        "seed": 7,
        "step": timedelta(milliseconds=20),
        "disorder": timedelta(seconds=1),
        "events": 1000,
    }
    expected = read_all(source(kind="bid", **same))
    assert app.sql("FROM alone").to_arrow_table().equals(expected.combine_chunks())
    assert app.sql("FROM nested").to_arrow_table().equals(expected.combine_chunks())
    known = set(read_all(source(kind="auction", **same)).column("id").to_pylist())
    matched = [a for a in expected.column("auction").to_pylist() if a in known]
    assert app.sql("FROM joined").fetchall() == [(len(matched),)]
    app.close()
