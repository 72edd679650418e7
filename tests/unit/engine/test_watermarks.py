"""The watermark that each row is judged by."""

from __future__ import annotations

import numpy as np
import pytest

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME
from stream_magic.engine.watermarks import WatermarkTracker

DELAY = 5


def judged(*times: int, partitions: int = 1) -> tuple[list[int], int]:
    """What rows of partition 0 are judged by, and the partition's watermark behind them."""
    tracker = WatermarkTracker(DELAY, None)
    tracker.know(range(partitions), 0)
    tracker.end(range(1, partitions))
    before, after = tracker.judge(np.array(times, np.int64), np.zeros(len(times), np.int32), 0)
    assert after[-1] == tracker.watermark_us
    return before.tolist(), tracker.watermark_us


@pytest.fixture(params=[1, 2], ids=["alone", "beside one that has ended"])
def partitions(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def test_rows_in_order_are_judged_by_the_one_before(partitions: int) -> None:
    assert judged(10, 20, 20, 30, partitions=partitions) == ([BEFORE_TIME, 5, 15, 15], 25)


def test_rows_out_of_order_do_not_lower_it(partitions: int) -> None:
    assert judged(10, 30, 20, 40, partitions=partitions) == ([BEFORE_TIME, 5, 25, 25], 35)


@pytest.mark.parametrize("first", [BEFORE_TIME, BEFORE_TIME + 1], ids=["NULL", "-infinity"])
def test_no_time_and_minus_infinity_raise_nothing(first: int, partitions: int) -> None:
    assert judged(first, 10, first, partitions=partitions) == ([BEFORE_TIME, BEFORE_TIME, 5], 5)


def test_infinity_is_the_end_less_the_delay(partitions: int) -> None:
    assert judged(END_OF_TIME, 10, partitions=partitions)[1] == END_OF_TIME - DELAY
