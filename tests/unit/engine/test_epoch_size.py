"""How many rows an epoch takes."""

from __future__ import annotations

from stream_magic.engine.epoch_size import EpochSize

QUICK, SLOW = 0.001, 1.0


def after(*epochs: tuple[int | None, float]) -> int:
    """The size after these: rows that were taken (None: as many as it may) and seconds."""
    size = EpochSize()
    for taken, seconds in epochs:
        size.ran(size.rows if taken is None else taken, seconds)
    return size.rows


def test_it_is_large_after_a_few_full_epochs() -> None:
    assert after((None, QUICK), (None, QUICK), (None, QUICK)) >= 200_000


def test_slow_epochs_grow_too_but_not_as_far_as_quick_ones() -> None:
    many, most = after(*[(None, SLOW)] * 9), after(*[(None, QUICK)] * 9)
    assert 100_000 <= many < most
    assert after(*[(None, QUICK)] * 9, (None, SLOW)) == most, "slow once is no reason to shrink"


def test_it_shrinks_while_epochs_are_not_full_and_never_to_nothing() -> None:
    full = [(None, QUICK)] * 9
    assert after(*full, (10, QUICK)) < after(*full)
    assert after(*full, *[(0, QUICK)] * 99) == after()
