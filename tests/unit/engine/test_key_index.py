from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic.engine import key_index
from stream_magic.engine.key_index import CodedIndex, DenseIndex, make_index
from support.cases import PROFILE

KINDS: dict[pa.DataType, st.SearchStrategy[Any]] = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 20),
    pa.int8(): st.integers(-128, 127),
    pa.uint32(): st.integers(0, 2**32 - 1) | st.integers(0, 20),
    pa.bool_(): st.booleans(),
    pa.string(): st.text(max_size=4),
    pa.date32(): st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    pa.timestamp("us", "UTC"): st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1)),  # noqa: DTZ001
}


@st.composite
def cases(draw: st.DrawFn) -> tuple[list[pa.DataType], list[Any], list[Any]]:
    """Types of a key, keys of a cache (each once, but NULLs), and keys of rows, many of them the cache's."""
    kinds = draw(st.lists(st.sampled_from(list(KINDS)), min_size=1, max_size=2))
    keys = st.tuples(*(st.none() | KINDS[k] for k in kinds))
    known = draw(st.lists(keys, max_size=40))
    known = [k for i, k in enumerate(known) if None in k or k not in known[:i]]
    asked = draw(st.lists(st.sampled_from(known) | keys if known else keys, max_size=60))
    return kinds, known, asked


def columns(kinds: list[pa.DataType], keys: list[Any]) -> list[pa.ChunkedArray]:
    arrays = [pa.array([key[i] for key in keys], kind) for i, kind in enumerate(kinds)]
    half = len(keys) // 2
    return [pa.chunked_array([a.slice(0, half), a.slice(half)]) for a in arrays]


@PROFILE
@given(st.lists(cases(), min_size=100, max_size=100))
def test_each_key_is_found_where_it_is(many: list[Any]) -> None:
    for kinds, known, asked in many:
        table = pa.table({f"k{i}": c for i, c in enumerate(columns(kinds, known))})
        index = make_index(table, table.column_names)
        assert index is not None
        places = {key: i for i, key in enumerate(known) if None not in key}
        found = index.find(columns(kinds, asked)).tolist()
        assert found == [places.get(key, -1) for key in asked]


def numbers(values: list[int | None], kind: pa.DataType | None = None) -> pa.Table:
    return pa.table({"k": pa.array(values, kind or pa.int64())})


def test_numbers_that_lie_together_are_counted_off() -> None:
    index = make_index(numbers([7, 5, None, 9]), ("k",))
    assert isinstance(index, DenseIndex)
    asked = numbers([9, 5, 4, 10, None, 6, 2**63 - 1, -(2**63), 7]).column("k")
    assert index.find([asked]).tolist() == [3, 1, -1, -1, -1, -1, -1, -1, 0]
    assert index.find([numbers([9, 5, 5]).column("k")]).tolist() == [3, 1, 1]


def test_a_column_of_another_width_finds_the_same_number() -> None:
    for known in ([1, 2, 3], [1, 10**9, -(10**9)]):
        index = make_index(numbers(known), ("k",))
        assert index is not None
        asked = numbers([known[1], 2**31 - 1], pa.int32()).column("k")
        assert index.find([asked]).tolist() == [1, -1]


def test_keys_far_from_each_other_are_found_beyond_a_crowded_bucket() -> None:
    """Codes that begin alike: the search goes on by halving."""
    back = pow(int(key_index._ODD), -1, 2**64)
    codes = [code * back % 2**64 for code in range(1, 1000)]  # what becomes these codes
    keys = [code ^ (code >> 32) for code in codes]
    signed = np.array(keys, np.uint64).view(np.int64)
    index = make_index(pa.table({"k": signed}), ("k",))
    assert isinstance(index, CodedIndex)
    assert index.find([pa.chunked_array([signed[::-1].copy()])]).tolist() == list(
        range(998, -1, -1)
    )


def test_a_key_with_the_code_of_another_is_not_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        key_index, "_text_codes", lambda c: np.array([len(t) for t in c.to_pylist()], np.uint64)
    )
    index = make_index(pa.table({"k": ["a", "bb", "ccc"]}), ("k",))
    assert index is not None
    assert index.find([pa.chunked_array([["bb", "xx", "ccc", "dddd"]])]).tolist() == [1, -1, 2, -1]


def test_keys_that_share_a_code_have_no_index(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_index, "_text_codes", lambda c: np.zeros(len(c), np.uint64))
    assert make_index(pa.table({"k": ["a", "b"]}), ("k",)) is None


@pytest.mark.parametrize(
    "values",
    [[1.5], [timedelta(1)], pa.array([2**64 - 1], pa.uint64()), [{"a": 1}], [b"x"]],
)
def test_keys_of_other_types_have_no_index(values: Any) -> None:
    assert make_index(pa.table({"k": values}), ("k",)) is None
