"""The three ways to decode JSON give the same answers, and what is encoded reads back the same."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import stream_magic.formats.json as json_format
from stream_magic.contracts.options import Options
from stream_magic.core.values import from_text, texts_to_array
from stream_magic.formats.json import JsonFormat
from stream_magic.formats.json.exact import ExactDecoder
from stream_magic.formats.json.fast import FastDecoder

FLAT = pa.schema(
    [
        ("i", pa.int64()),
        ("t", pa.int8()),
        ("u", pa.uint64()),
        ("f", pa.float64()),
        ("b", pa.bool_()),
        ("s", pa.string()),
        ("d", pa.decimal128(30, 10)),
        ("ts", pa.timestamp("us")),
        ("tz", pa.timestamp("us", "UTC")),
        ("day", pa.date32()),
        ("at", pa.time64("us")),
    ]
)
NESTED = pa.schema(
    [
        ("i", pa.int32()),
        ("f", pa.float32()),
        ("s", pa.string()),
        (
            "o",
            pa.struct(
                [("i", pa.int64()), ("d", pa.decimal128(12, 2)), ("l", pa.list_(pa.int16()))]
            ),
        ),
        ("l", pa.list_(pa.struct([("s", pa.string()), ("f", pa.float64())]))),
        ("m", pa.map_(pa.string(), pa.timestamp("us"))),
        ("raw", pa.binary()),
    ]
)
RELAXED = settings(
    deadline=None,
    max_examples=60,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

NUMBERS = st.one_of(
    st.integers(-300, 300).map(str),
    st.integers(-(2**66), 2**66).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        [
            "-0",
            "-0.0",
            "0",
            "12.0",
            "1.5",
            "1e2",
            "1E+2",
            "120e-1",
            "9223372036854775807",
            "9223372036854775808",
            "18446744073709551615",
            "18446744073709551616",
            "1e400",
            "-1e400",
            "1e-400",
            "1e999999999999",
            "9007199254740993",
            "0.1000000000",
            "127",
            "128",
            "1.7976931348623159e308",
            "123456789012345678901234567890.1234567890",
            "-0e3",
            "1e22",
            "12345678901234567890.1234567890",
            "0.00000000001",
            "100000000000000000000",
        ]
    ),
)
WORDS = st.sampled_from(
    [
        "12",
        "1.5",
        "abc",
        "",
        "é😀",
        ":x",
        'q"uo',
        "back\\",
        "a:b",
        "NaN",
        "inf",
        "-Infinity",
        "2026-01-01T00:00:00",
        "2026-01-01 00:00:00.5",
        "2026-02-30T00:00:00",
        "2026-01-01",
        "2026-01-01T00:00:00Z",
        "2026-01-01T00:00:00.123456+02:00",
        "12:34:56",
        "24:00:00",
        "2026-01-01T00:00:00.1234567",
        "true",
        "1e2",
        " 12",
        "0x10",
        "007",
        ", }",
        "{[",
        "aGk=",
        '"i":null',
        "null",
        "\x00",
        "\u2028",
        '","i":1',
        "2026-01-01T00:00:00.1234560",
    ]
)


@st.composite
def texts_of_strings(draw: Any) -> str:
    word = draw(st.one_of(WORDS, st.text(max_size=6)))
    return json.dumps(word, ensure_ascii=draw(st.booleans()))


SCALARS = st.one_of(NUMBERS, texts_of_strings(), st.sampled_from(["null", "true", "false", "null"]))
BROKEN = st.sampled_from(
    [
        "NaN",
        "-Infinity",
        "nul",
        "01",
        "+1",
        "1.",
        ".5",
        "0x1",
        '"\\ud800"',
        '"\\udc00"',
        '"\\x"',
        "'a'",
        "",
        "1 2",
        '"\t"',
        "[1,]",
        '{"i":1,}',
        "//",
        '"\\u00"',
        "True",
        "[",
        '"',
    ]
)
SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\u00a0"])


@st.composite
def keys(draw: Any) -> str:
    name = draw(st.sampled_from([*FLAT.names, *NESTED.names, "zz", "I", "x", 'q"i', ":i", ""]))
    text = json.dumps(name)
    if name and draw(st.integers(0, 9)) == 0:
        text = '"' + name[:-1].replace('"', '\\"') + f"\\u{ord(name[-1]):04x}" + '"'
    return text


def objects(values: Any) -> Any:
    member = st.tuples(SPACE, keys(), SPACE, SPACE, values, SPACE)
    return st.tuples(
        st.lists(member, max_size=14), st.sampled_from([",", ",", ",", ", ", ",,"])
    ).map(
        lambda t: (
            "{" + t[1].join("".join([a, k, b, ":", c, v, d]) for a, k, b, c, v, d in t[0]) + "}"
        )
    )


VALUES = st.recursive(
    st.one_of(SCALARS, SCALARS, SCALARS, BROKEN),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda x: "[" + ",".join(x) + "]"), objects(inner)
    ),
    max_leaves=6,
)
TYPED = {
    "i": NUMBERS, "t": st.integers(-200, 200).map(str), "u": NUMBERS, "f": NUMBERS,
    "b": st.sampled_from(["true", "false", "null", "1", '"true"']), "s": texts_of_strings(),
    "d": NUMBERS, "ts": texts_of_strings(), "tz": texts_of_strings(),
    "day": st.just('"2026-01-01"'), "at": st.just('"12:34:56.5"'),
}  # fmt: skip


@st.composite
def nearly_clean(draw: Any) -> str:
    """Rows that mostly fit, so that the fast path gets past its first doubts."""
    members = [
        f'"{n}":{draw(st.one_of(st.just("null"), v)) if draw(st.integers(0, 5)) else "null"}'
        for n, v in TYPED.items()
        if draw(st.integers(0, 3))
    ]
    members += draw(st.lists(st.tuples(keys(), SCALARS).map(":".join), max_size=1))
    return "{" + draw(st.sampled_from([",", ", "])).join(draw(st.permutations(members))) + "}"


@st.composite
def payloads(draw: Any) -> bytes | None:
    text = draw(st.one_of(nearly_clean(), objects(VALUES), objects(SCALARS), VALUES))
    payload = text.encode("utf-8", "surrogatepass")
    match draw(st.integers(0, 12)):
        case 0:
            at = draw(st.integers(0, len(payload)))
            return payload[:at] + draw(st.binary(min_size=1, max_size=2)) + payload[at:]
        case 1:
            return draw(st.sampled_from([None, b"", b" ", b"\xef\xbb\xbf{}", b"{} {}", b"null"]))
        case _:
            return payload


def by_the_rule(rows: list[bytes | None], schema: pa.Schema) -> tuple[pa.Table, list[int], int]:
    decoder = ExactDecoder(schema)
    values, good = [], []
    for i, row in enumerate(rows):
        try:
            values.append(decoder.decode(row))
            good.append(i)
        except ValueError:
            continue
    columns = [pa.array([v[c] for v in values], field.type) for c, field in enumerate(schema)]
    return pa.table(columns, schema=schema), good, decoder.unknown_keys


def same(left: pa.Table, right: pa.Table) -> bool:
    """Equal, NaN and the sign of zero included."""
    return left.schema.equals(right.schema) and repr(left.to_pylist()) == repr(right.to_pylist())


@pytest.mark.parametrize("fast_from", [1, 10**9])
@pytest.mark.parametrize("schema", [FLAT, NESTED], ids=["flat", "nested"])
@RELAXED
@given(rows=st.lists(payloads(), min_size=1, max_size=12))
def test_every_path_gives_the_answers_of_the_rule(schema, fast_from, rows):
    expected, good, unknown = by_the_rule(rows, schema)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_format, "_FAST_FROM", fast_from)
        decoded = JsonFormat(Options()).decode(pa.array(rows, pa.binary()), schema)
    assert same(decoded.rows, expected)
    assert (list(range(len(rows))) if decoded.good is None else decoded.good.to_pylist()) == good
    assert sorted({*good, *(b.index for b in decoded.bad)}) == list(range(len(rows)))
    assert len(decoded.bad) == len(rows) - len(good)
    assert decoded.unknown_keys == unknown


@RELAXED
@given(rows=st.lists(nearly_clean().map(str.encode), min_size=1, max_size=20))
def test_the_fast_path_never_takes_a_row_that_the_rule_reads_differently(rows):
    decoded = FastDecoder(FLAT).decode(pa.array(rows, pa.binary()))
    taken = [r for r, clean in zip(rows, decoded.clean, strict=True) if clean]
    expected, good, unknown = by_the_rule(taken, FLAT)
    assert good == list(range(len(taken)))
    assert same(decoded.rows, expected)
    assert decoded.unknown_keys == unknown


def test_the_fast_path_takes_plain_rows():
    rows = [
        b'{"i":%d,"t":1,"u":2,"f":1.5,"b":true,"s":"x","d":1.25,"ts":"2026-01-01T00:00:00Z",'
        b'"tz":null,"day":"2026-01-01","zz":7}' % i
        for i in range(100)
    ]
    decoded = FastDecoder(FLAT).decode(pa.array(rows, pa.binary()))
    assert decoded.clean.all()
    assert decoded.unknown_keys == 100


KINDS = [
    pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(),
    pa.uint32(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(12, 2),
    pa.decimal128(30, 10), pa.decimal128(38, 0), pa.string(), pa.binary(), pa.date32(),
    pa.time64("us"), pa.timestamp("s"), pa.timestamp("ms"), pa.timestamp("us"),
    pa.timestamp("ns"), pa.timestamp("us", "UTC"),
]  # fmt: skip
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def values_of(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return st.fixed_dictionaries({f.name: nullable(f.type) for f in kind})
    if pa.types.is_list(kind):
        return st.lists(nullable(kind.value_type), max_size=3)
    if pa.types.is_map(kind):
        items = st.dictionaries(st.text(max_size=3), nullable(kind.item_type), max_size=3)
        return items.map(lambda d: list(d.items()))
    if pa.types.is_boolean(kind):
        return st.booleans()
    if pa.types.is_integer(kind):
        bits, unsigned = kind.bit_width, pa.types.is_unsigned_integer(kind)
        low = 0 if unsigned else -(2 ** (bits - 1))
        return st.integers(low, low + 2**bits - 1)
    if pa.types.is_floating(kind):
        return st.floats(width=kind.bit_width)
    if pa.types.is_decimal(kind):
        top = 10**kind.precision - 1
        return st.integers(-top, top).map(
            lambda i: Decimal((int(i < 0), tuple(map(int, str(abs(i)))), -kind.scale))
        )
    if pa.types.is_string(kind):
        return st.text(max_size=8)
    if pa.types.is_binary(kind):
        return st.binary(max_size=8)
    if pa.types.is_date(kind):
        return st.dates()
    if pa.types.is_time(kind):
        return st.integers(0, 86_400 * 10**6 - 1)
    first, last = (0, 4 * 10**9) if kind.unit == "ns" else (-62_135_596_800, 253_402_300_799)
    return st.integers(first * PER_SECOND[kind.unit], last * PER_SECOND[kind.unit])


def nullable(kind: pa.DataType) -> Any:
    return st.one_of(st.none(), values_of(kind))


SCALAR_KINDS = st.sampled_from(KINDS)
ANY_KIND = st.recursive(
    SCALAR_KINDS,
    lambda inner: st.one_of(
        inner.map(pa.list_),
        inner.map(lambda k: pa.map_(pa.string(), k)),
        st.lists(inner, min_size=1, max_size=3).map(
            lambda ks: pa.struct([(f"f'{i}\"", k) for i, k in enumerate(ks)])
        ),
    ),
    max_leaves=4,
)


@st.composite
def tables(draw: Any) -> pa.Table:
    kinds = draw(st.lists(ANY_KIND, min_size=1, max_size=4))
    names = draw(
        st.lists(st.text(max_size=4), min_size=len(kinds), max_size=len(kinds), unique=True)
    )
    rows = draw(st.integers(0, 4))
    columns = [
        pa.array(draw(st.lists(nullable(k), min_size=rows, max_size=rows)), k) for k in kinds
    ]
    return pa.table(columns, schema=pa.schema(list(zip(names, kinds, strict=True))))


@RELAXED
@given(table=tables())
def test_encoded_rows_read_back_the_same(table):
    form = JsonFormat(Options())
    encoded = form.encode(table)
    for message in encoded:
        json.loads(message, parse_constant=pytest.fail)
    decoded = form.decode(pa.array(encoded, pa.binary()), table.schema)
    assert not decoded.bad
    assert decoded.unknown_keys == 0
    assert decoded.rows.schema.equals(table.schema)
    assert repr(decoded.rows.to_pydict()) == repr(table.to_pydict())


@RELAXED
@given(
    texts=st.lists(st.one_of(st.none(), WORDS, NUMBERS, st.text(max_size=5)), max_size=40),
    kind=SCALAR_KINDS,
)
def test_columns_of_texts_follow_the_rule_for_one_text(texts, kind):
    column, reasons = texts_to_array(pa.array(texts, pa.string()), kind)
    expected = []
    for i, text in enumerate(texts):
        try:
            expected.append(None if text is None else from_text(text, kind))
            assert i not in reasons
        except ValueError:
            expected.append(None)
            assert i in reasons
    wanted = pa.array(expected, kind)
    assert repr(column.to_pylist()) == repr(wanted.to_pylist())
    assert np.array_equal(column.is_valid().to_numpy(False), wanted.is_valid().to_numpy(False))
