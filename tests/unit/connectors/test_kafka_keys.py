from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic.connectors.kafka.keys import message_keys, upsert_keys
from stream_magic.connectors.kafka.target import KafkaTarget, KafkaTargetOptions
from stream_magic.contracts.target import TargetContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.formats.json import JsonFormat

DAY = dt.date(2026, 1, 1)


def rows(**columns: Any) -> pa.Table:
    return pa.table(columns)


def test_one_column_is_its_text_and_null_is_no_key():
    assert message_keys(rows(k=["a", "null", "", None]), ["k"]) == [b"a", b"null", b"", None]
    assert message_keys(rows(k=[7, None]), ["k"]) == [b"7", None]
    assert message_keys(rows(k=[b"\xff", None]), ["k"]) == [b"\xff", None]
    assert message_keys(rows(k=[DAY]), ["k"]) == [b"2026-01-01"]


def test_several_columns_are_an_object():
    keys = message_keys(rows(a=[1, 2, None], b=["x", None, None]), ["a", "b"])
    assert keys == [b'{"a":1,"b":"x"}', b'{"a":2,"b":null}', None]


@pytest.mark.parametrize(
    ("values", "keys"),
    [
        (["null", None, ""], [b"null", b'{"k":null}', b""]),
        ([7, None], [b"7", b'{"k":null}']),
        (['{"k":null}', '{"K":null}'], [b'{"k":"{\\"k\\":null}"}', b'{"K":null}']),
        ([{"k": None}, None], [b'{"k":{"k":null}}', b'{"k":null}']),
    ],
)
def test_a_null_of_an_upsert_is_no_text(values, keys):
    assert upsert_keys(rows(k=values), ["k"]) == keys


def test_nulls_in_all_of_several_columns_are_a_key_of_an_upsert():
    keys = upsert_keys(rows(a=[1, None], b=pa.array([None, None], pa.string())), ["a", "b"])
    assert keys == [b'{"a":1,"b":null}', b'{"a":null,"b":null}']


def test_a_target_tells_null_from_the_text_null():
    table = rows(k=["null", None], _weight=pa.array([1, 1], pa.int64()))
    context = TargetContext(
        "t", "app", "state", ManualClock(), table.schema.remove(1), "upsert", ("k",),
        JsonFormat(JsonFormat.options_type()),
    )  # fmt: skip
    target = KafkaTarget(KafkaTargetOptions(brokers="embedded", topic="t"), context)
    keys, payloads = target._messages(table)
    assert keys == [b"null", b'{"k":null}']
    assert list(payloads) == [b'{"k":"null"}', b'{"k":null}']


LOOKALIKES = st.builds(lambda v: json.dumps({"k": v}, separators=(",", ":")), st.text(max_size=3))


@given(st.lists(st.none() | st.text() | LOOKALIKES | st.just('{"k":null}'), unique=True))
def test_another_value_has_another_key(values):
    keys = upsert_keys(rows(k=pa.array(values, pa.string())), ["k"])
    assert len(set(keys)) == len(values)
    assert None not in keys
