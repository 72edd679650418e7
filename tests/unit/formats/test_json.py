from __future__ import annotations

import io
from decimal import Decimal

import pyarrow as pa
import pytest

from stream_magic.contracts.options import Options
from stream_magic.errors import ConfigError
from stream_magic.formats.json import JsonFormat

JSON = JsonFormat(Options())
SCHEMA = pa.schema([("id", pa.int64()), ("s", pa.string()), ("x", pa.float64())])


def decode(*payloads: bytes | None, schema: pa.Schema = SCHEMA):
    return JSON.decode(pa.array(payloads, pa.binary()), schema)


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"id":1.5}', "column 'id': '1.5' does not fit BIGINT"),
        (b'{"id":9223372036854775808}', "column 'id': '9223372036854775808' does not fit BIGINT"),
        (b'{"id":true}', "column 'id': 'true' does not fit BIGINT"),
        (b'{"id":[1]}', "column 'id': '[1]' does not fit BIGINT"),
        (b'{"x":1e400}', "column 'x': '1e400' does not fit DOUBLE"),
        (b'{"id":NaN}', "malformed"),
        (b'{"id":1,}', "trailing comma"),
        (b'{"id":1} {"id":2}', "trailing characters"),
        (b"[1]", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"", "empty"),
        (None, "no value"),
        (b'\xef\xbb\xbf{"id":1}', "malformed"),
        (b'{"s":"\xff"}', "not UTF-8 (byte 6)"),
        (b'{"zz":"\xff"}', "not UTF-8 (byte 7)"),
        (b'{"s":"\\ud800"}', ""),
        (b'{"id":', "truncated"),
        (b'{"zz":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        (b"[" * 100_000, "not a JSON object"),
        (b'{"id":' + b"1" * 5_000_000 + b"}", "does not fit BIGINT"),
    ],
)
@pytest.mark.parametrize("good", [1, 300])
def test_a_bad_message_among_good_ones_is_the_only_one_lost(payload, reason, good):
    decoded = decode(*[b'{"id":1}'] * good, payload, b'{"id":2}')
    assert decoded.rows.column("id").to_pylist() == [1] * good + [2]
    assert decoded.good is not None
    assert decoded.good.to_pylist() == [*range(good), good + 1]
    assert [b.index for b in decoded.bad] == [good]
    assert reason in decoded.bad[0].reason
    assert len(decoded.bad[0].reason) < 200


@pytest.mark.parametrize(
    ("payload", "row"),
    [
        (b'{"id":12.0,"s":5,"x":1}', {"id": 12, "s": "5", "x": 1.0}),
        (b'{"id":"12","s":1.50,"x":"1.5"}', {"id": 12, "s": "1.50", "x": 1.5}),
        (b'{"s":{"a": [1, 2]}}', {"id": None, "s": '{"a": [1, 2]}', "x": None}),
        (b'{"s":true,"id":null}', {"id": None, "s": "true", "x": None}),
        (b'{"id":1,"id":2}', {"id": 2, "s": None, "x": None}),
        (b'{"i\\u0064":7}', {"id": 7, "s": None, "x": None}),
        ('{"s":"\\ud83d\\ude00 é 😀"}'.encode(), {"id": None, "s": "😀 é 😀", "x": None}),
        (b"{}", {"id": None, "s": None, "x": None}),
        (b' {"ID":1} \r\n', {"id": None, "s": None, "x": None}),
    ],
)
@pytest.mark.parametrize("times", [1, 300])
def test_lossless_conversions_are_made(payload, row, times):
    decoded = decode(*[payload] * times)
    assert not decoded.bad
    assert decoded.good is None
    assert decoded.rows.to_pylist() == [row] * times


def test_unknown_keys_are_counted_at_every_depth():
    schema = pa.schema([("o", pa.struct([("a", pa.int64())]))])
    decoded = decode(b'{"o":{"a":1,"b":2},"c":{"d":3}}', b'{"o":null}', schema=schema)
    assert decoded.unknown_keys == 2
    assert decoded.rows.column("o").to_pylist() == [{"a": 1}, None]


def test_a_message_of_five_megabytes_is_one_row():
    text = "é😀" * 1_000_000
    decoded = decode(*[b'{"id":1}'] * 200, JSON.encode(pa.table({"s": [text]}))[0])
    assert decoded.rows.column("s")[200].as_py() == text
    assert not decoded.bad


def test_wide_decimals_and_unsigned_integers_keep_all_digits():
    schema = pa.schema([("d", pa.decimal128(30, 10)), ("u", pa.uint64())])
    rows = pa.table([[Decimal("12345678901234567890.1234567890")], [2**64 - 1]], schema=schema)
    encoded = JSON.encode(rows)
    assert encoded == [b'{"d":12345678901234567890.1234567890,"u":18446744073709551615}']
    for times in (1, 300):
        decoded = decode(*encoded * times, schema=schema)
        assert decoded.rows.to_pylist() == rows.to_pylist() * times


def test_nested_values_enums_and_fixed_lists_are_encoded_and_read():
    schema = pa.schema(
        [
            ("e", pa.dictionary(pa.uint8(), pa.string())),
            ("l", pa.list_(pa.int32(), 2)),
            ("m", pa.map_(pa.int32(), pa.string())),
            ("i", pa.month_day_nano_interval()),
        ]
    )
    rows = pa.table(
        [
            pa.array(["x", "y", None]).cast(schema.field("e").type),
            pa.array([[1, None], None, [3, 4]], schema.field("l").type),
            pa.array([[(1, "a")], [], None], schema.field("m").type),
            pa.array([pa.MonthDayNano([1, 2, 3_500_000_000]), None, None]),
        ],
        schema=schema,
    )
    encoded = JSON.encode(rows)
    assert encoded[0].startswith(b'{"e":"x","l":[1,null],"m":{"1":"a"},"i":"1 month 2 days')
    decoded = decode(*encoded, schema=schema)
    assert not decoded.bad
    assert decoded.rows.to_pylist() == rows.to_pylist()


def test_what_json_has_no_number_for_is_a_text():
    rows = pa.table({"x": [float("nan"), float("inf"), -float("inf"), None]})
    assert JSON.encode(rows) == [
        b'{"x":"NaN"}', b'{"x":"Infinity"}', b'{"x":"-Infinity"}', b'{"x":null}'
    ]  # fmt: skip


def test_columns_whose_names_differ_only_in_case_stay_apart():
    schema = pa.schema([("a", pa.int64()), ("A", pa.int64())])
    assert JSON.encode(pa.table([[1], [2]], schema=schema)) == [b'{"a":1,"A":2}']
    decoded = decode(*[b'{"a":1,"A":2}'] * 200, schema=schema)
    assert decoded.rows.to_pylist() == [{"a": 1, "A": 2}] * 200


def test_a_schema_is_inferred_from_nested_samples():
    samples = [
        b'{"id":1,"o":{"x":1,"l":[1,2]},"t":"2026-01-01T10:00:00Z","mixed":1,"n":null}',
        b'{"id":2,"o":{"x":1.5,"s":"a"},"t":"2026-01-01 10:00:00","mixed":"a","late":true}',
        b"broken",
        b'{"id":3,"rows":[{"k":"2026-01-01"}],"big":18446744073709551615,"e":{}}',
    ]
    assert JSON.infer(samples) == pa.schema(
        [
            ("id", pa.int64()),
            (
                "o",
                pa.struct([("x", pa.float64()), ("l", pa.list_(pa.int64())), ("s", pa.string())]),
            ),
            ("t", pa.timestamp("us")),
            ("mixed", pa.string()),
            ("n", pa.string()),
            ("late", pa.bool_()),
            ("rows", pa.list_(pa.struct([("k", pa.string())]))),
            ("big", pa.uint64()),
            ("e", pa.string()),
        ]
    )


@pytest.mark.parametrize("samples", [[], [b"x", b"[1]"], [b"{}"]])
def test_nothing_to_infer_says_to_declare_columns(samples):
    with pytest.raises(ConfigError, match="no columns can be inferred") as caught:
        JSON.infer(samples)
    assert "declare columns" in str(caught.value.hint)


def test_lines_are_framed_and_the_last_waits_for_its_newline():
    assert JSON.frame(b'{"a":1}\r\n{"a":2}\n{"a"', at_end=False) == ([b'{"a":1}', b'{"a":2}'], 17)
    assert JSON.frame(b'{"a":2}', at_end=True) == ([b'{"a":2}'], 7)
    assert JSON.frame(b"", at_end=True) == ([], 0)


def test_files_are_json_lines():
    stream = io.BytesIO()
    writer = JSON.open_file(stream, SCHEMA, at_start=True)
    writer.write(SCHEMA.empty_table())
    writer.write(pa.table([[1, 2], ["a\nb", None], [1.5, None]], schema=SCHEMA))
    writer.close()
    writer.close()
    assert stream.getvalue() == b'{"id":1,"s":"a\\nb","x":1.5}\n{"id":2,"s":null,"x":null}\n'
