from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pytest

from stream_magic.core.values import coerce, from_text, shown, texts_to_array, type_name


@pytest.mark.parametrize(
    ("text", "kind", "value"),
    [
        ("12.0", pa.int8(), 12),
        ("1e2", pa.int8(), 100),
        ("-0", pa.uint8(), 0),
        ("1.10", pa.decimal128(4, 1), Decimal("1.1")),
        ("2026-01-01T01:00:00.5+01:00", pa.timestamp("ms"), 1767225600500),
        ("2026-01-01", pa.timestamp("s", "UTC"), 1767225600),
        ("aGk=", pa.binary(), b"hi"),
        ("-Infinity", pa.float64(), -float("inf")),
        ("TRUE", pa.bool_(), True),
    ],
)
def test_texts_become_values_without_loss(text, kind, value):
    assert from_text(text, kind) == value


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("1.5", pa.int64()), ("128", pa.int8()), ("-1", pa.uint8()), ("1e999999999", pa.int64()),
        ("1e99999999999999999999", pa.int64()), ("", pa.int64()), (" 1", pa.int64()),
        ("1_000", pa.int64()), ("0x10", pa.int64()), ("١", pa.int64()),
        ("1.15", pa.decimal128(4, 1)), ("1000", pa.decimal128(4, 1)), ("NaN", pa.decimal128(4, 1)),
        ("1e400", pa.float64()), ("1e39", pa.float32()), ("1", pa.bool_()),
        ("2026-02-30T00:00:00", pa.timestamp("us")), ("2026-01-01T24:00:00", pa.timestamp("us")),
        ("2026-01-01T00:00:00.1234567", pa.timestamp("us")), ("now", pa.timestamp("us")),
        ("2026-13-01", pa.date32()), ("25:00:00", pa.time64("us")), ("a", pa.binary()),
        ("soon", pa.month_day_nano_interval()), ("{}", pa.struct([("a", pa.int64())])),
    ],
)  # fmt: skip
def test_what_would_lose_something_is_refused(text, kind):
    with pytest.raises(ValueError, match=r"does not fit|is not base64|cannot be read"):
        from_text(text, kind)


def test_nested_python_values_follow_the_same_rule():
    kind = pa.struct([("l", pa.list_(pa.int8())), ("m", pa.map_(pa.string(), pa.float64()))])
    assert coerce({"l": ["1", 2.0], "m": {"a": 1}}, kind) == {"l": [1, 2], "m": [("a", 1.0)]}
    assert coerce({}, kind) == {"l": None, "m": None}
    for wrong in ({"l": [1.5]}, {"x": 1}, {"l": 1}, [1]):
        with pytest.raises(ValueError, match=r"does not fit|no field"):
            coerce(wrong, kind)


def test_types_and_values_are_shown_in_the_words_of_sql():
    assert type_name(pa.decimal128(30, 10)) == "DECIMAL(30,10)"
    assert type_name(pa.timestamp("us", "UTC")) == "TIMESTAMPTZ"
    assert type_name(pa.list_(pa.int8())) == "LIST"
    assert len(shown("x" * 1000)) == 60


@pytest.mark.parametrize(
    "text",
    ["2026-01-31 12:34:56", "2026-01-31T12:34:56", "0001-01-01 00:00:00", "9999-12-31T23:59:59"],
)
def test_a_column_of_times_to_the_second_is_read(text):
    kind = pa.timestamp("us")
    column, reasons = texts_to_array(pa.array([text, None]), kind)
    assert not reasons
    assert column.equals(pa.array([from_text(text, kind), None], kind))


@pytest.mark.parametrize(
    "text",
    [
        "0000-01-01 00:00:00", "2026-02-30T00:00:00", "2026-01-31T24:00:00", "2026-01-31T12:34:60",
        "2026-01-31_12:34:56", "2026-01-31T1:34:056", "2026-01-31T12-34-56", "2026-01-31 12.34.56",
    ],
)  # fmt: skip
def test_what_is_only_as_long_as_a_time_does_not_fit(text):
    with pytest.raises(ValueError, match="does not fit TIMESTAMP"):
        from_text(text, pa.timestamp("us"))
    column, reasons = texts_to_array(pa.array([text, None, text]), pa.timestamp("us"))
    assert reasons.keys() == {0, 2}
    assert column.null_count == 3


def test_a_date_in_the_year_0_does_not_fit():
    assert texts_to_array(pa.array(["0000-01-01", "0001-01-01"]), pa.date32())[1].keys() == {0}
