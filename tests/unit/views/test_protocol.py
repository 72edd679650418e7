from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa

from stream_magic.views.protocol import encode_rows, to_csv


def column(values: list[object], kind: pa.DataType) -> dict[str, object]:
    return encode_rows(pa.table({"c": pa.array(values, kind)}))["columns"][0]


def doubles(message: dict[str, object]) -> list[float]:
    return np.frombuffer(message["values"], "<f8").tolist()  # type: ignore[call-overload]


def test_integers_up_to_two_to_the_53_travel_as_doubles() -> None:
    message = column([1, -(2**53), None], pa.int64())
    assert (message["type"], message["kind"]) == ("BIGINT", "number")
    assert doubles(message)[:2] == [1.0, -(2.0**53)]
    assert message["nulls"] == b"\0\0\1"


def test_a_bigint_beyond_two_to_the_53_keeps_every_digit() -> None:
    message = column([9007199254740993, None, -(2**63)], pa.int64())
    assert message["kind"] == "digits"
    assert message["values"] == ["9007199254740993", None, "-9223372036854775808"]


def test_an_unsigned_bigint_keeps_every_digit() -> None:
    assert column([2**64 - 1], pa.uint64())["values"] == ["18446744073709551615"]


def test_a_decimal_keeps_every_digit_and_never_gets_an_exponent() -> None:
    values = [Decimal("12345678901234567890.0123456789"), Decimal("0E-10"), Decimal("1E-10"), None]
    message = column(values, pa.decimal128(30, 10))
    assert message["type"] == "DECIMAL(30,10)"
    assert message["values"] == [
        "12345678901234567890.0123456789", "0.0000000000", "0.0000000001", None,
    ]  # fmt: skip


def test_doubles_tell_nan_from_null() -> None:
    message = column([1.5, float("nan"), None], pa.float64())
    assert np.isnan(doubles(message)[1])
    assert message["nulls"] == b"\0\0\1"


def test_empty_text_null_and_emoji_stay_what_they_are() -> None:
    assert column(["", None, "🛒 café", "a\0b"], pa.string())["values"] == [
        "",
        None,
        "🛒 café",
        "a\0b",
    ]


def test_a_huge_text_is_cut_for_the_browser() -> None:
    (value,) = column(["x" * 5_000_000], pa.string())["values"]  # type: ignore[misc]
    assert value == "x" * 1000 + "…"


def test_times_travel_as_exact_microseconds() -> None:
    moment = dt.datetime(2026, 3, 14, 14, 32, 17, 904001, dt.UTC)
    message = column([moment, None], pa.timestamp("us"))
    assert message["kind"] == "timestamp"
    assert doubles(message)[0] == moment.timestamp() * 1e6
    assert column([moment.date()], pa.date32())["kind"] == "date"
    assert doubles(column([dt.timedelta(minutes=4)], pa.duration("ms"))) == [240e6]
    assert doubles(column([moment.time()], pa.time64("ns"))) == [
        (14 * 3600 + 32 * 60 + 17) * 1e6 + 904001
    ]


def test_the_zone_stands_in_the_head() -> None:
    message = column([], pa.timestamp("ms", "Europe/Berlin"))
    assert (message["type"], message["zone"]) == ("TIMESTAMP, Europe/Berlin", "Europe/Berlin")


def test_nested_values_are_exact_trees() -> None:
    kind = pa.struct(
        [("id", pa.int64()), ("tags", pa.list_(pa.string())), ("p", pa.decimal128(5, 2))]
    )
    message = column([{"id": 2**60, "tags": ["a", None], "p": Decimal("1.50")}, None], kind)
    assert message["values"] == [
        {"s": [["id", {"n": str(2**60)}], ["tags", {"l": ["a", None], "size": 2}], ["p", {"n": "1.50"}]],
         "size": 3},
        None,
    ]  # fmt: skip


def test_a_map_is_shown_by_its_keys() -> None:
    message = column([[("a", 1)]], pa.map_(pa.string(), pa.int32()))
    assert message["values"] == [{"s": [["a", 1]], "size": 1}]


def test_long_lists_are_cut_and_say_how_long_they_are() -> None:
    (value,) = column([list(range(1000))], pa.list_(pa.int32()))["values"]  # type: ignore[misc]
    assert (len(value["l"]), value["size"]) == (50, 1000)


def test_csv_tells_null_from_empty_text() -> None:
    table = pa.table(
        {"n": pa.array([1, None]), "t": ["", 'say "hi", you'], "d": [Decimal("1.10"), None]}
    )
    assert to_csv(table) == 'n,t,d\r\n1,"",1.10\r\n,"say ""hi"", you",\r\n'


def test_csv_writes_nested_values_as_json() -> None:
    table = pa.table({"s": [{"a": 1, "at": dt.date(2026, 1, 2)}]})
    assert to_csv(table) == 's\r\n"{""a"": 1, ""at"": ""2026-01-02""}"\r\n'
