"""The watermark so far: what was known is known, and a thousand small epochs cost next to nothing."""

from __future__ import annotations

import tracemalloc

import numpy as np

from stream_magic.core.change import BEFORE_TIME
from stream_magic.engine import timeline
from stream_magic.engine.timeline import Progress, Steps, Timeline

ROWS = 20


def epoch(i: int) -> Timeline:
    at = np.arange(i * ROWS, (i + 1) * ROWS) + 1
    start = BEFORE_TIME if i == 0 else (i - 1) * 1_000
    return Timeline((Steps(start, at, np.full(ROWS, i * 1_000)),))


def test_it_is_what_the_epochs_said_wherever_they_were_cut() -> None:
    progress = Progress()
    for i in range(700):
        progress.add(epoch(i))
    so_far = progress.until(Timeline.still(699_000))
    numbers = np.arange(0, 700 * ROWS, 7)
    whole = np.concatenate([epoch(i).parts[0].before(numbers[numbers // ROWS == i]) for i in range(700)])  # fmt: skip
    assert (so_far.before(numbers) == whole).all()
    assert so_far.end_us == 699_000


def test_an_epoch_that_moves_nothing_is_no_step() -> None:
    progress = Progress()
    progress.add(epoch(0))
    progress.add(Timeline.still(0))
    assert progress.until(Timeline.still(0)).steps().at.tolist() == [1]


def test_the_oldest_steps_are_let_go() -> None:
    progress = Progress()
    for i in range(timeline.KEPT_STEPS + 10_000):
        progress.add(Timeline((Steps(i - 1, np.array([i]), np.array([i])),)))
    kept = len(progress.until(Timeline.still(0)).steps().at)
    assert kept == timeline.KEPT_STEPS


def test_small_epochs_cost_their_steps_only() -> None:
    progress = Progress()
    tracemalloc.start()
    try:
        for i in range(4_000):
            progress.add(epoch(i))
        used, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert used < 4_000 * 40  # they would be 4,000 * 400 with their rows
