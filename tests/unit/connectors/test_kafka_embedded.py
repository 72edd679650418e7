"""Kafka source and target on the embedded broker, which lives in this process."""

from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from confluent_kafka import Producer

from stream_magic.connectors.kafka import (
    KafkaSource,
    KafkaSourceOptions,
    KafkaTarget,
    KafkaTargetOptions,
)
from stream_magic.connectors.kafka.embedded import embedded_broker
from stream_magic.connectors.kafka.keys import message_keys
from stream_magic.contracts.options import OptionValue, parse_options
from stream_magic.contracts.registry import registry
from stream_magic.contracts.source import EndOfSource, SourceContext
from stream_magic.contracts.target import TargetContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Mark
from stream_magic.errors import ConfigError, DeliveryError
from stream_magic.security.secrets import Secret

RAW = pa.schema([("key", pa.string()), ("payload", pa.string())])
_numbers = itertools.count(1)


@pytest.fixture
def topic():
    return f"embedded-{next(_numbers)}"


@pytest.fixture
def opened(topic):
    """Opens sources and targets on the topic and closes them afterwards."""
    made = []

    def make(kind, position=None, mode="append", key=(), **options):
        given = {"brokers": "embedded", "topic": topic, **options}
        if kind is KafkaSource:
            it = KafkaSource(
                KafkaSourceOptions(**given), SourceContext("orders", "shop", ManualClock())
            )
        else:
            context = TargetContext("out", "shop", "state", ManualClock(), RAW, mode, key)
            it = KafkaTarget(KafkaTargetOptions(**given), context)
        made.append(it)
        it.check()
        it.open(position) if kind is KafkaSource else it.open()
        return it

    yield make
    for it in made:
        it.close()


def drain(source):
    batches, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            batch = source.read(1000, 0.1)
        except EndOfSource:
            return batches
        if batch is not None:
            batches.append(batch)
    raise AssertionError("the bounded source does not end")


def values(batches):
    return [v for b in batches for v in b.rows.column("payload").to_pylist()]


def raw(*payloads, key="k"):
    return pa.table({"key": [key] * len(payloads), "payload": list(payloads)}, schema=RAW)


def test_what_the_target_writes_the_source_reads(topic, opened):
    target = opened(KafkaTarget, key=(), headers=("source=shop",))
    assert target.guarantee == "at_least_once"
    assert "embedded" in target.detail
    target.write(Mark("state", 1), raw("a", "b"))
    target.write(Mark("state", 2), raw("\N{GRINNING FACE}"))
    source = opened(KafkaSource, bounded=True, metadata=True)
    rows = [r for b in drain(source) for r in b.rows.to_pylist()]
    assert sorted(r["payload"].decode() for r in rows) == ["a", "b", "\N{GRINNING FACE}"]
    assert {r["kafka"]["headers"][0] for r in rows} == {("source", "shop")}
    assert source.address == target.address == f"kafka://embedded/{topic}"


def test_order_of_a_key_is_kept_and_a_deleted_key_has_no_value(topic, opened):
    target = opened(KafkaTarget, mode="upsert", key=("key",))
    for epoch in range(50):
        weights = pa.array([1 if epoch < 49 else -1])
        target.write(Mark("state", epoch), raw(f"{epoch}").append_column("_weight", weights))
    source = opened(KafkaSource, bounded=True)
    assert values(drain(source)) == [f"{e}".encode() for e in range(49)] + [None]


def test_every_topic_has_four_partitions_and_an_empty_one_ends_at_once(topic, opened):
    source = opened(KafkaSource, bounded=True)
    assert list(source.partitions) == [0, 1, 2, 3]
    assert values(drain(source)) == []
    assert source.sample() == []


def test_latest_sees_only_what_is_written_later(topic, opened):
    target = opened(KafkaTarget)
    target.write(Mark("state", 1), raw("old"))
    source = opened(KafkaSource, start="latest")
    target.write(Mark("state", 2), raw("new"))
    seen, deadline = [], time.monotonic() + 20
    while not seen:
        assert time.monotonic() < deadline
        if (batch := source.read(100, 0.1)) is not None:
            seen += values([batch])
    assert seen == [b"new"]


def test_a_time_is_found_by_looking_at_the_messages(topic, opened):
    embedded_broker().ensure_topic(topic)
    noon_ms = round(datetime(2026, 1, 31, 12, tzinfo=UTC).timestamp() * 1000)
    producer = Producer({"bootstrap.servers": embedded_broker().bootstrap, "log_level": 0})
    for i in range(20):
        producer.produce(topic, f"{i}", partition=i % 2, timestamp=noon_ms + i * 1000)
    assert producer.flush(10) == 0
    source = opened(KafkaSource, start="2026-01-31T13:00:15+01:00", bounded=True)
    assert sorted(map(int, values(drain(source)))) == [15, 16, 17, 18, 19]


def test_resume_from_any_position_gives_each_message_once(topic, opened):
    target = opened(KafkaTarget, key=("key",))
    written = []
    for i in range(60):
        target.write(Mark("state", i), raw(f"{i}", key=str(i % 5)))
        written.append(f"{i}".encode())
    first = opened(KafkaSource)
    seen, deadline = [], time.monotonic() + 30
    while len(seen) < 60:
        assert time.monotonic() < deadline
        if (batch := first.read(9, 0.1)) is not None:
            seen += values([batch])
            rest = values(drain(opened(KafkaSource, position=batch.position, bounded=True)))
            assert sorted(seen + rest) == sorted(written)


def test_sample_gives_payloads_without_tombstones(topic, opened):
    opened(KafkaTarget).write(Mark("state", 1), raw("a", None, "b"))
    assert sorted(opened(KafkaSource).sample()) == [b"a", b"b"]


def test_target_opened_again_knows_its_mark(topic, opened):
    target = opened(KafkaTarget)
    assert target.last_mark() is None
    target.write(Mark("state", 3), raw("a"))
    target.close()
    target.open()
    assert target.last_mark() == Mark("state", 3)
    assert opened(KafkaTarget).last_mark() == Mark("state", 3)


def test_five_megabytes_pass_and_more_than_the_client_takes_is_told(topic, opened):
    target = opened(KafkaTarget)
    target.write(Mark("state", 1), raw("x" * 5_000_000))
    source = opened(KafkaSource, bounded=True)
    assert [len(v) for v in values(drain(source))] == [5_000_000]
    small = opened(KafkaTarget, properties={"message.max.bytes": "100000"})
    with pytest.raises(DeliveryError, match=r"200,001 bytes .* is 100,000") as caught:
        small.write(Mark("state", 2), raw("x" * 200_001))
    assert not caught.value.transient
    assert "properties.message.max.bytes" in caught.value.hint


def test_keys_are_texts_and_json_objects():
    table = pa.table(
        {
            "n": pa.array([42, None], pa.int64()),
            "s": ["\u00fc", None],
            "d": pa.array(["1.50", None]).cast(pa.decimal128(10, 2)),
            "b": pa.array([b"\xff", None]),
        }
    )
    assert message_keys(table, ["n"]) == [b"42", None]
    assert message_keys(table, ["s"]) == ["\u00fc".encode(), None]
    assert message_keys(table, ["d"]) == [b"1.50", None]
    assert message_keys(table, ["b"]) == [b"\xff", None]
    assert message_keys(table, ["s", "n"]) == ['{"s":"\u00fc","n":42}'.encode(), None]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": "yesterday"}, "neither earliest, latest nor a time"),
        ({"properties": {"auto.offset.reset": "latest"}}, r"properties\.auto\.offset\.reset"),
        ({"username": "shop"}, "password is missing"),
        ({"topic": " "}, "topic is empty"),
    ],
)
def test_options_that_cannot_be_are_told(options, message):
    with pytest.raises(ConfigError, match=message):
        KafkaSourceOptions(**{"brokers": "embedded", "topic": "orders", **options})


def test_header_without_a_value_is_told():
    with pytest.raises(ConfigError, match="'region' is no header"):
        KafkaTargetOptions(brokers="embedded", topic="orders", headers=("region",))


def test_options_come_from_a_statement_as_written():
    given = {
        "brokers": "b2:9092, b1:9092",
        "topic": "orders",
        "password": Secret("hidden", "pw"),
        "username": "shop",
        "properties.fetch.wait.max.ms": 5,
        "start": "latest",
        "discovery": "5 seconds",
    }
    options = parse_options(
        registry.source("kafka").options_type,
        {name: OptionValue(value, str(value)) for name, value in given.items()},
        "connector 'kafka'",
    )
    assert options.properties == {"fetch.wait.max.ms": "5"}
    assert options.address == "kafka://b1:9092,b2:9092/orders"
    assert "hidden" not in repr(options)
