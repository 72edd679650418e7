from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from stream_magic import views
from stream_magic.contracts.feedkit import HandFeed
from stream_magic.errors import ConfigError
from stream_magic.views.chart_view import show
from stream_magic.views.charts.line import LineChart, LineOptions

WINDOWS = pa.schema(
    [
        ("window_end", pa.timestamp("us")),
        ("category", pa.string()),
        ("revenue", pa.decimal128(18, 2)),
    ]
)
START = datetime(2026, 1, 1, 14, 0, tzinfo=UTC)


def windows(*values: tuple[int, str, int]) -> pa.Table:
    rows = [
        {"window_end": START + timedelta(seconds=10 * k), "category": c, "revenue": v}
        for k, c, v in values
    ]
    return pa.Table.from_pylist(rows, WINDOWS)


def revenue() -> HandFeed:
    return HandFeed("revenue", WINDOWS, "keyed", key=["window_end", "category"])


def chart(feed: HandFeed, **options: object) -> LineChart:
    return LineChart(feed, LineOptions(**options))


def marks(drawn: LineChart) -> dict[str, list[float]]:
    return {m.labels[0]: m.y.tolist() for m in drawn._figure.marks}


def test_lines_follow_the_feed(wire, pump) -> None:
    feed = revenue()
    drawn = chart(feed, x="window_end", y="revenue", color="category")
    show(drawn, pump)
    feed.replace(windows((1, "Toys", 5), (2, "Toys", 6), (1, "Home", 7), (2, "Home", 8)))
    pump.turn()
    assert marks(drawn) == {"Toys": [5, 6], "Home": [7, 8]}
    feed.replace(windows((1, "Toys", 5), (2, "Toys", 9), (2, "Home", 8), (3, "Toys", 1)))
    pump.turn()
    assert marks(drawn)["Toys"] == [5, 9, 1]
    assert [m.colors for m in drawn._figure.marks] == [["var(--sm-c1)"], ["var(--sm-c2)"]]
    legend = drawn.widget().head.legend
    assert [(e["name"], e["last"]) for e in legend["entries"]] == [("Toys", "1"), ("Home", "8")]


def test_a_hundred_epochs_are_one_message_a_mark(wire, pump) -> None:
    feed = revenue()
    drawn = chart(feed, color="category")
    show(drawn, pump)
    feed.replace(windows((1, "Toys", 5), (2, "Toys", 6)))
    pump.turn()
    (mark,) = drawn._figure.marks
    wire.clear()
    for k in range(100):
        feed.replace(windows((1, "Toys", 5), (2, "Toys", k)))
    pump.turn()
    assert len(wire.updates(mark.comm.comm_id)) == 1
    assert mark.y.tolist() == [5, 99]


def test_the_axis_slides_with_the_newest_time(wire, pump) -> None:
    feed = revenue()
    drawn = chart(feed, y="revenue", last=timedelta(minutes=1))
    show(drawn, pump)
    feed.replace(windows(*((k, "Toys", 5) for k in range(100))))
    pump.turn()
    scale = drawn._figure.axes[0].scale
    assert scale.max - scale.min == timedelta(minutes=1)
    assert len(drawn._figure.marks[0].y) == 7
    newest = scale.max
    feed.replace(windows(*((k, "Toys", 5) for k in range(101))))
    pump.turn()
    assert scale.max - newest == timedelta(seconds=10)


def test_counts_start_at_zero_and_temperatures_do_not(wire, pump) -> None:
    schema = pa.schema([("t", pa.int64()), ("n", pa.int64()), ("degrees", pa.float64())])
    feed = HandFeed("m", schema)
    feed.append(pa.table({"t": [1, 2], "n": [99, 100], "degrees": [20.5, 21.0]}))
    for y, low in (("n", 0), ("degrees", 20.4)):
        drawn = chart(feed, x="t", y=y)
        drawn.refresh()
        assert drawn._figure.axes[1].scale.min == low


def test_an_empty_chart_says_what_it_waits_for(wire, pump) -> None:
    feed = revenue()
    feed.report(state="waiting", message="No window has closed yet.")
    widget = show(chart(feed), pump)
    pump.turn()
    assert widget.head.message["text"] == "No window has closed yet."
    feed.replace(windows((1, "Toys", 5)))
    pump.turn()
    assert widget.head.message is None


def test_the_legend_switches_series_off_and_on(wire, pump) -> None:
    feed = revenue()
    drawn = chart(feed, color="category")
    widget = show(drawn, pump)
    feed.replace(windows((1, "Toys", 5), (1, "Home", 7)))
    pump.turn()
    widget.head._handle_custom_msg({"what": "toggle", "name": "Home"}, [])
    assert [m.visible for m in drawn._figure.marks] == [True, False]
    widget.head._handle_custom_msg({"what": "toggle", "name": "Home", "alone": True}, [])
    assert [m.visible for m in drawn._figure.marks] == [False, True]
    widget.head._handle_custom_msg({"what": "toggle", "name": "Home", "alone": True}, [])
    assert [m.visible for m in drawn._figure.marks] == [True, True]


def test_a_paused_chart_keeps_its_lines(wire, pump) -> None:
    feed = revenue()
    drawn = chart(feed)
    widget = show(drawn, pump)
    feed.replace(windows((1, "Toys", 5)))
    pump.turn()
    widget.head._handle_custom_msg({"what": "pause"}, [])
    feed.replace(windows((1, "Toys", 6)))
    pump.turn()
    assert marks(drawn)["revenue"] == [5]
    assert widget.head.bar["state"] == "paused"
    widget.head._handle_custom_msg({"what": "resume"}, [])
    assert marks(drawn)["revenue"] == [6]


def test_series_that_went_leave_nothing_behind(wire, pump) -> None:
    feed = revenue()
    drawn = chart(feed, color="category")
    show(drawn, pump)
    feed.replace(windows((1, "Toys", 5), (1, "Home", 7)))
    pump.turn()
    gone = drawn._figure.marks[1]
    feed.replace(windows((2, "Toys", 5)))
    pump.turn()
    assert len(drawn._figure.marks) == 1
    assert gone.comm is None


def test_thinning_is_said_in_the_footer(wire, pump) -> None:
    feed = HandFeed("m", pa.schema([("t", pa.int64()), ("v", pa.float64())]))
    feed.append(pa.table({"t": np.arange(16_000), "v": np.random.default_rng(1).random(16_000)}))
    drawn = chart(feed, x="t", y="v")
    drawn.refresh()
    assert len(drawn._figure.marks[0].y) <= 2000
    assert drawn.widget().head.foot[0] == "1 of 12 points drawn, lowest and highest kept"


def test_closing_twice_is_fine(wire, pump) -> None:
    drawn = chart(revenue())
    show(drawn, pump)
    drawn.close()
    drawn.close()
    assert pump.views == 0


@pytest.mark.parametrize(
    ("options", "code", "hint"),
    [
        ({"x": "window_ned"}, "SM7020", "did you mean 'window_end'?"),
        ({"y": "category"}, "SM7021", "columns that fit: revenue"),
        ({"color": "q"}, "SM7020", "it has: window_end, category, revenue"),
        ({"colour": "category"}, "SM7001", "did you mean 'color'?"),
        ({"last": "soon"}, "SM7002", None),
    ],
)
def test_wrong_options_say_what_to_write(wire, options, code, hint) -> None:
    with pytest.raises(ConfigError) as caught:
        views.show_chart(revenue(), "line", options)
    assert (caught.value.code, caught.value.hint) == (code, hint)


def test_an_unknown_chart_is_named(wire) -> None:
    with pytest.raises(ConfigError, match="no chart is called 'lines'"):
        views.show_chart(revenue(), "lines", {})


def test_a_feed_without_numbers_cannot_be_drawn(wire) -> None:
    with pytest.raises(ConfigError, match="needs a column for y"):
        chart(HandFeed("words", pa.schema([("at", pa.timestamp("us")), ("w", pa.string())])))
