from __future__ import annotations

import pytest

from stream_magic.views.ticks import number_ticks, time_ticks


@pytest.mark.parametrize(
    ("low", "high", "values", "shape"),
    [
        (0, 5234, [0, 2000, 4000, 6000], ",.0f"),
        (0, 0.83, [0, 0.25, 0.5, 0.75, 1.0], ",.2f"),
        (0, 48_000, [0, 20_000, 40_000, 60_000], ".2s"),
        (100_000, 102_000, [100_000, 100_500, 101_000, 101_500, 102_000], ".4s"),
        (-30, 60, [-50, -25, 0, 25, 50, 75], ",.0f"),
        (7, 7, [0, 5, 10, 15], ",.0f"),
        (0, 0, [-1, -0.5, 0, 0.5, 1], ",.1f"),
    ],
)
def test_ticks_are_whole(low: float, high: float, values: list[float], shape: str) -> None:
    ticks = number_ticks(low, high)
    assert ticks.values == values
    assert ticks.format == shape
    assert ticks.low <= low
    assert ticks.high >= high


def test_time_ticks_fall_on_whole_minutes_inside_the_axis() -> None:
    start = 14 * 3600_000 + 17 * 60_000 + 20_000
    ticks = time_ticks(start, start + 15 * 60_000)
    assert ticks.format == "%H:%M"
    assert [v / 60_000 - 14 * 60 for v in ticks.values] == [18, 20, 22, 24, 26, 28, 30, 32]


def test_seconds_are_said_where_ticks_are_closer_than_a_minute() -> None:
    assert time_ticks(0, 60_000).format == "%H:%M:%S"
    assert time_ticks(0, 3 * 86_400_000).format == "%H:%M"
    assert time_ticks(0, 30 * 86_400_000).format == "%d %b"


def test_large_numbers_are_short_and_zero_is_zero() -> None:
    assert number_ticks(0, 15_000).labels == {
        "0": "0",
        "5000": "5k",
        "10000": "10k",
        "15000": "15k",
    }
    assert number_ticks(-20_000_000, 60_000_000).labels["-20000000"] == "−20M"
    assert number_ticks(0, 900).labels == {}
