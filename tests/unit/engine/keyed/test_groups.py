"""Slots by key: right also when hashes are shared, after slots are taken back, and after they are let go."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from stream_magic.engine.keyed.groups import Groups
from stream_magic.engine.keyed.index import Hashes, Slots

SCHEMA = pa.schema([("k", pa.int64()), ("t", pa.string())])


def keys(numbers: np.ndarray) -> pa.Table:
    """Different for different numbers; NULLs among them."""
    texts = [None if n % 3 == 0 else f"t{n}" for n in numbers.tolist()]
    whole = [None if n % 3 == 1 else n for n in numbers.tolist()]
    return pa.table([whole, texts], schema=SCHEMA)


def hashes(numbers: np.ndarray, bits: int) -> Hashes:
    """As many different ones as these bits allow."""
    mixed = numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    return mixed >> np.uint64(64 - bits)


def slots(groups: Groups, numbers: np.ndarray, bits: int) -> Slots:
    return groups.slots(keys(numbers), hashes(numbers, bits))


@pytest.mark.parametrize("bits", [1, 4, 8, 63])
def test_each_key_has_its_slot_whatever_its_hash(bits: int) -> None:
    rng = np.random.default_rng(bits)
    groups, known = Groups(SCHEMA), {}
    for _ in range(30):
        numbers = rng.choice(3_000, 120, replace=False)
        for number, slot in zip(
            numbers.tolist(), slots(groups, numbers, bits).tolist(), strict=True
        ):
            assert known.setdefault(number, slot) == slot
    assert sorted(known.values()) == list(range(len(known))) == list(range(groups.size))


@pytest.mark.parametrize("bits", [3, 63])
def test_slots_that_are_taken_back_are_given_again(bits: int) -> None:
    groups = Groups(SCHEMA)
    first = slots(groups, np.arange(700), bits)
    slots(groups, np.arange(600, 2_500), bits)
    groups.cut(700)
    assert (slots(groups, np.arange(700), bits) == first).all()
    assert slots(groups, np.array([5_000, 650]), bits).tolist() == [700, 650]


@pytest.mark.parametrize("bits", [3, 63])
def test_what_is_kept_is_numbered_anew(bits: int) -> None:
    groups = Groups(SCHEMA)
    slots(groups, np.arange(1_000), bits)
    groups.keep(np.arange(1_000) % 2 == 1)
    assert slots(groups, np.array([1, 3, 999, 2]), bits).tolist() == [0, 1, 499, 500]


def test_floats_are_no_keys_here() -> None:
    assert not Groups.suits(pa.schema([("k", pa.float64())]))
    assert Groups.suits(SCHEMA)
