"""Rows to a topic as JSON and back into the same rows, on a real Apache Kafka."""

from __future__ import annotations

import datetime
import time
from decimal import Decimal

import pyarrow as pa
import pytest

from stream_magic.connectors.kafka import (
    KafkaSource,
    KafkaSourceOptions,
    KafkaTarget,
    KafkaTargetOptions,
)
from stream_magic.contracts.registry import registry
from stream_magic.contracts.source import EndOfSource, SourceContext
from stream_magic.contracts.target import TargetContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Mark

pytestmark = pytest.mark.services


def test_nested_rows_come_back_as_they_were(topic):
    kind = registry.format("json")
    json = kind(kind.options_type())
    after = pa.struct([("order_id", pa.int64()), ("amount", pa.decimal128(30, 10))])
    schema = pa.schema(
        [("id", pa.int64()), ("name", pa.string()), ("at", pa.timestamp("us")), ("after", after)]
    )
    rows = pa.Table.from_pylist(
        [
            {
                "id": i,
                "name": "\N{GRINNING FACE} \u00fc" if i % 2 else None,
                "at": datetime.datetime(2026, 1, 31, 12, 0, i, 123456),  # noqa: DTZ001 - SQL's TIMESTAMP
                "after": {"order_id": i, "amount": Decimal("12345678901234567890.0123456789")},
            }
            for i in range(20)
        ],
        schema=schema,
    )
    where = {"brokers": topic.server.bootstrap, "topic": topic.name}
    clock = ManualClock()
    target = KafkaTarget(
        KafkaTargetOptions(**where, key=("id",)),
        TargetContext("out", "shop", "state", clock, schema, format=json),
    )
    target.open()
    target.write(Mark("state", 1), rows)
    target.close()
    source = KafkaSource(
        KafkaSourceOptions(**where, bounded=True), SourceContext("back", "shop", clock)
    )
    source.open(None)
    payloads, deadline = [], time.monotonic() + 30
    try:
        while time.monotonic() < deadline:
            if (batch := source.read(100, 0.1)) is not None:
                payloads += batch.rows.column("payload").to_pylist()
    except EndOfSource:
        pass
    finally:
        source.close()
    decoded = json.decode(pa.array(payloads, pa.binary()), schema)
    assert list(decoded.bad) == []
    assert decoded.rows.schema == schema
    assert decoded.rows.sort_by("id").to_pylist() == rows.to_pylist()
