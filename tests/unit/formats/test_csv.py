from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stream_magic.errors import ConfigError
from stream_magic.formats.csv import CsvFormat, CsvOptions

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string()), ("at", pa.timestamp("us"))])
HEADER = b"id,name,at"


def form(**options: Any) -> CsvFormat:
    return CsvFormat(CsvOptions(**options))


def decode(*records: bytes | None, header: bytes | None = HEADER, schema=SCHEMA, **options: Any):
    return form(**options).decode(pa.array(records, pa.binary()), schema, header)


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (b"1,a,2026-01-01 10:00:00,x", "4 fields, the header has 3"),
        (b"1,a", "2 fields, the header has 3"),
        (b"", "1 field, the header has 3"),
        (b'"1",a,,"x"', "4 fields, the header has 3"),
        (b"x,a,", "column 'id': 'x' does not fit BIGINT"),
        (b"1.5,a,", "column 'id': '1.5' does not fit BIGINT"),
        (b"1,a,2026-02-30 10:00:00", "column 'at': '2026-02-30 10:00:00' does not fit TIMESTAMP"),
        (b'1,"a"b,', "closing quote"),
        (b'1,"a,', "closing quote"),
        (b"1,\xff,", "not UTF-8"),
        (None, "no value"),
    ],
)
def test_a_bad_record_among_good_ones_is_the_only_one_lost(record, reason):
    decoded = decode(b"1,a,", record, b'2,"b",2026-01-01T10:00:00')
    assert decoded.rows.column("id").to_pylist() == [1, 2]
    assert decoded.good is not None
    assert decoded.good.to_pylist() == [0, 2]
    assert [b.index for b in decoded.bad] == [1]
    assert reason in decoded.bad[0].reason


def test_without_a_header_the_columns_are_in_order():
    decoded = decode(b"1,a,", b"1,a", header=None)
    assert decoded.rows.to_pylist() == [{"id": 1, "name": "a", "at": None}]
    assert decoded.bad[0].reason == "2 fields, there are 3 columns"


def test_header_names_map_to_columns_and_others_are_counted():
    decoded = decode(b"x,7,y", b'"x",8,y', header=b'\xef\xbb\xbf"Extra",ID,name')
    assert decoded.rows.to_pylist() == [
        {"id": 7, "name": "y", "at": None},
        {"id": 8, "name": "y", "at": None},
    ]
    assert decoded.unknown_keys == 2


def test_nothing_is_null_and_quoted_nothing_is_an_empty_text():
    schema = pa.schema([("a", pa.string()), ("b", pa.string())])
    decoded = decode(b'"",', b',""', b",", header=b"a,b", schema=schema)
    assert decoded.rows.to_pylist() == [
        {"a": "", "b": None}, {"a": None, "b": ""}, {"a": None, "b": None}
    ]  # fmt: skip
    assert form().encode(decoded.rows) == [b'"",', b',""', b","]
    assert form(null="NULL").encode(decoded.rows) == [b'"",NULL', b'NULL,""', b"NULL,NULL"]


def test_quoted_newlines_stay_inside_a_record():
    data = b'a,b\r\n1,"x\ny"\r\n2,"q""uo\r\nte"\n3,z'
    assert form().frame(data, at_end=False) == (
        [b"a,b", b'1,"x\ny"', b'2,"q""uo\r\nte"'], len(data) - 3
    )  # fmt: skip
    assert form().frame(data, at_end=True)[0][-1] == b"3,z"
    assert form().frame(b'1,"open\n2,x\n', at_end=False) == ([], 0)


def test_a_quote_that_never_closes_costs_one_line_only():
    assert form().frame(b'1,"open\n2,x\n', at_end=True) == ([b'1,"open', b"2,x"], 12)
    assert form().frame(b'5" pipe,1\n6" pipe,2\n', at_end=False)[0] == [b'5" pipe,1', b'6" pipe,2']
    assert decode(b'5,5" pipe,').rows.column("name").to_pylist() == ['5" pipe']


def test_a_long_record_in_quotes_is_cut_without_delay():
    text = b'1,"' + b'line ""x""\n' * 200_000 + b'"\n'
    assert form().frame(text + b"2,y\n", at_end=True)[0] == [text[:-1], b"2,y"]


def test_a_written_file_is_what_a_spreadsheet_reads():
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("na,me", pa.string()),
            ("price", pa.decimal128(30, 10)),
            ("at", pa.timestamp("us")),
            ("zone", pa.timestamp("us", "UTC")),
            ("ok", pa.bool_()),
            ("raw", pa.binary()),
            ("nested", pa.struct([("a", pa.int64())])),
        ]
    )
    at = datetime.fromisoformat("2026-01-01 10:00:00.5")
    rows = [
        [1, 'é😀, "x"\n', Decimal("1.5"), at, at.replace(tzinfo=UTC), True, b"hi", {"a": 1}],
        [None] * 8,
        [3, "=1+1", Decimal(-2), None, None, False, b"", None],
    ]
    table = pa.table(
        [pa.array(c, f.type) for c, f in zip(zip(*rows, strict=True), schema, strict=True)],
        schema=schema,
    )
    stream = io.BytesIO()
    writer = form().open_file(stream, schema, at_start=True)
    writer.write(table.slice(0, 1))
    form().open_file(stream, schema, at_start=False).write(table.slice(1))
    writer.close()
    assert list(csv.reader(io.StringIO(stream.getvalue().decode()))) == [
        ["id", "na,me", "price", "at", "zone", "ok", "raw", "nested"],
        [
            "1",
            'é😀, "x"\n',
            "1.5000000000",
            "2026-01-01 10:00:00.5",
            "2026-01-01 10:00:00.5Z",
            "true",
            "aGk=",
            '{"a":1}',
        ],
        [""] * 8,
        ["3", "=1+1", "-2.0000000000", "", "", "false", "", ""],
    ]
    records, _ = form().frame(stream.getvalue(), at_end=True)
    flat = schema.remove(7)
    back = form().decode(pa.array(records[1:], pa.binary()), flat, records[0])
    assert not back.bad
    assert back.rows.to_pylist() == table.select(flat.names).to_pylist()


TEXT = st.one_of(st.none(), st.text(st.sampled_from('a,";\n\r \té😀'), max_size=6))


@settings(deadline=None, max_examples=100)
@given(
    rows=st.lists(st.tuples(TEXT, TEXT), max_size=8),
    delimiter=st.sampled_from(",;\t|"),
    null=st.sampled_from(["", "a", "NULL"]),
)
def test_any_text_is_framed_and_read_back_as_it_was(rows, delimiter, null):
    f = form(delimiter=delimiter, null=null)
    schema = pa.schema([("x", pa.string()), ("y", pa.string())])
    table = pa.Table.from_pylist([{"x": x, "y": y} for x, y in rows], schema)
    stream = io.BytesIO()
    f.open_file(stream, schema, at_start=True).write(table)
    records, used = f.frame(stream.getvalue(), at_end=False)
    assert used == len(stream.getvalue())
    back = f.decode(pa.array(records[1:], pa.binary()), schema, records[0])
    assert not back.bad
    assert back.rows.equals(table)


def test_a_schema_is_inferred_from_header_and_samples():
    samples = [
        b"1,1.5,007,2026-01-01 10:00:00,true,a",
        b'2,2,008,2026-01-02T10:00:00Z,,"b"',
        b"too,short",
    ]
    assert form().infer(samples, b"i,f,code,at,ok,s") == pa.schema(
        [
            ("i", pa.int64()), ("f", pa.float64()), ("code", pa.string()),
            ("at", pa.timestamp("us")), ("ok", pa.bool_()), ("s", pa.string()),
        ]
    )  # fmt: skip
    assert form(header=False).infer([b"1,x"]).names == ["column1", "column2"]
    with pytest.raises(ConfigError, match="no line yet"):
        form(header=False).infer([])


@pytest.mark.parametrize("options", [{"delimiter": ""}, {"quote": "''"}, {"quote": ","}])
def test_options_that_make_no_sense_are_refused(options):
    with pytest.raises(ConfigError):
        form(**options)
