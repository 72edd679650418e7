"""Values by slot: the same as Python's own arithmetic, for all words, signs and NULLs."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stream_magic.engine.keyed.columns import How, ValueColumn, kind_of

WIDE = pa.decimal128(38, 0)
HUGE = 2**63 - 1


def merged(kind: pa.DataType, how: How, batches: list[list[Any]]) -> list[Any]:
    """Each batch has a value for each slot."""
    made = kind_of(kind, how)
    assert made is not None
    column = ValueColumn(made)
    slots = np.arange(len(batches[0]))
    for batch in batches:
        old = column.at(slots)
        column.put(slots, column.merge(old, made.read(pa.chunked_array([pa.array(batch, kind)]))))
    return made.write(column.at(slots), kind).to_pylist()  # type: ignore[no-any-return]


def test_wide_sums_carry_between_their_words() -> None:
    numbers = [HUGE, -HUGE - 1, 1, -1, 2**64, -(2**64), 10**30, -(10**30), 0]
    batches = [[Decimal(n) for n in numbers], [Decimal(n) for n in reversed(numbers)]] * 3
    expected = [3 * (a + b) for a, b in zip(numbers, reversed(numbers), strict=True)]
    assert merged(WIDE, "sum", batches) == [Decimal(n) for n in expected]


def test_a_wide_sum_that_no_decimal_holds_does_not_fit_until_it_is_less() -> None:
    made = kind_of(WIDE, "sum")
    assert made is not None
    given = [
        made.read(pa.chunked_array([pa.array([Decimal(n * 10**37)], WIDE)])) for n in (9, 9, -9)
    ]
    column, slots, fits = ValueColumn(made), np.arange(1), []
    for values in given:
        column.put(slots, column.merge(column.at(slots), values))
        fits += made.fit(column.at(slots)).tolist()
    assert fits == [True, False, True]
    assert made.write(column.at(slots), WIDE).to_pylist() == [Decimal(9 * 10**37)]


def test_what_stands_behind_a_null_does_not_count() -> None:
    words = pa.array([Decimal(-1), Decimal(5)], WIDE).buffers()[1]
    null_first = pa.array([False, True]).buffers()[1]
    column = pa.Array.from_buffers(WIDE, 2, [null_first, words])
    made = kind_of(WIDE, "sum")
    assert made is not None
    assert made.write(made.read(column), WIDE).to_pylist() == [None, Decimal(5)]
    assert made.read(column).words[0].tolist() == [0, 5]


def test_null_gives_way_to_a_value() -> None:
    assert merged(pa.int64(), "sum", [[None, None, 1], [None, 2, None], [None, 3, 4]]) == [
        None,
        5,
        5,
    ]
    assert merged(pa.int64(), "min", [[None, None, -1], [None, 2, None]]) == [None, 2, -1]


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (pa.int8(), [-128, 127, 0]),
        (pa.uint64(), [2**64 - 1, 0, 7]),
        (pa.date32(), [date(1969, 1, 1), date(2026, 1, 1), date(1970, 1, 1)]),
        (pa.timestamp("us"), [datetime(1969, 1, 1), datetime(2026, 1, 1), datetime(1970, 1, 1)]),  # noqa: DTZ001
        (pa.decimal128(9, 2), [Decimal("-1.50"), Decimal("9999999.99"), Decimal("0.00")]),
        (pa.float64(), [-1.5, 2.5, float("inf")]),
    ],
)  # fmt: skip
def test_the_least_and_the_greatest_of_each_type(kind: pa.DataType, values: list[Any]) -> None:
    batches = [[v, None] for v in values]
    assert merged(kind, "min", batches) == [min(values), None]
    assert merged(kind, "max", batches) == [max(values), None]


def test_nan_is_the_greatest() -> None:
    nan = float("nan")
    assert merged(pa.float64(), "min", [[nan], [1.0]]) == [1.0]
    assert np.isnan(merged(pa.float64(), "max", [[nan], [1.0]])[0])


def test_a_difference_is_seen_as_is_distinct_from_sees_it() -> None:
    kind = kind_of(pa.float64(), "sum")
    assert kind is not None
    a = kind.read(pa.chunked_array([pa.array([1.0, None, None, float("nan"), 2.0])]))
    b = kind.read(pa.chunked_array([pa.array([1.0, None, 0.0, float("nan"), 3.0])]))
    assert a.differ(b).tolist() == [False, False, True, False, True]


@pytest.mark.parametrize("kind", [pa.string(), pa.list_(pa.int64()), pa.decimal128(38, 2)])
def test_other_types_have_no_least(kind: pa.DataType) -> None:
    assert kind_of(kind, "min") is None
