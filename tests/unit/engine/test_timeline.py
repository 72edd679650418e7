"""Watermarks over arrival numbers: what was known before a row, when a time was reached, and how it goes on."""

from __future__ import annotations

import numpy as np
import pytest

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME
from stream_magic.engine.timeline import Steps, Timeline


def _numbers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize("spread", [1, 1_000], ids=["close together", "far apart"])
def test_the_watermark_before_a_row_is_that_of_the_last_step_up_to_it(spread: int) -> None:
    rng = np.random.default_rng(1)
    at = np.sort(rng.integers(0, 100 * spread, 60))
    us = np.sort(rng.integers(0, 1_000_000, 60))
    rows = rng.integers(-5, 110 * spread, 200)
    found = Steps(-7, at, us).before(rows)
    for row, watermark in zip(rows, found, strict=True):
        assert watermark == max([-7, *us[at <= row]])


def test_nobody_asks_for_no_steps() -> None:
    assert Steps(3).before(_numbers(5, 9)).tolist() == [3, 3]
    assert Steps(3, _numbers(4), _numbers(8)).before(_numbers()).tolist() == []


def test_a_time_is_reached_with_the_row_that_raised_the_watermark_to_it() -> None:
    line = Timeline((Steps(0, _numbers(11, 12, 15), _numbers(100, 100, 250)),))
    assert line.reached(_numbers(1, 100, 101, 250)).tolist() == [10, 10, 14, 14]


def test_of_several_parts_the_last_one_reaches_a_time() -> None:
    slow = Steps(0, _numbers(20), _numbers(300))
    line = Timeline((Steps(0, _numbers(11), _numbers(100)), slow))
    assert line.reached(_numbers(50, 100)).tolist() == [19, 19]


def test_a_watermark_behind_another_begins_and_ends_with_it() -> None:
    line = Timeline((Steps(BEFORE_TIME, _numbers(1, 2), _numbers(50, END_OF_TIME)),))
    later = line.behind(20)
    assert (later.start_us, later.end_us) == (BEFORE_TIME, END_OF_TIME)
    assert later.before(_numbers(0, 1, 2)).tolist() == [BEFORE_TIME, 30, END_OF_TIME]
    assert line.behind(0) is line
