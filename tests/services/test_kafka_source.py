"""The Kafka source against a real Apache Kafka."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from stream_magic.connectors.kafka import KafkaSource, KafkaSourceOptions
from stream_magic.contracts.source import EndOfSource, SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.security.secrets import Secret

pytestmark = pytest.mark.services


@pytest.fixture
def source_of(topic):
    """Makes sources on the topic and closes them afterwards."""
    made = []

    def make(clock=None, **options) -> KafkaSource:
        given = {"brokers": topic.server.bootstrap, "topic": topic.name, **options}
        context = SourceContext("orders", "shop", clock or ManualClock())
        made.append(KafkaSource(KafkaSourceOptions(**given), context))
        return made[-1]

    yield make
    for source in made:
        source.close()


def take(source, count, timeout_s=30.0, max_rows=1000):
    """Batches with at least `count` rows together."""
    batches, deadline = [], time.monotonic() + timeout_s
    while sum(b.rows.num_rows for b in batches) < count:
        assert time.monotonic() < deadline, f"only {values(batches)} came"
        if (batch := source.read(max_rows, 0.2)) is not None:
            batches.append(batch)
    return batches


def drain(source):
    """All batches of a bounded source."""
    batches, deadline = [], time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            batch = source.read(1000, 0.2)
        except EndOfSource:
            return batches
        if batch is not None:
            batches.append(batch)
    raise AssertionError("the bounded source does not end")


def values(batches):
    return [v for b in batches for v in b.rows.column("payload").to_pylist()]


def test_reads_all_partitions_from_the_beginning_and_ends_when_bounded(topic, source_of):
    topic.partitions = 3
    topic.create()
    for p in range(3):
        topic.put([f"{p}-{i}" for i in range(50)], partition=p)
    source = source_of(bounded=True)
    source.open(None)
    assert sorted(source.partitions) == [0, 1, 2]
    batches = drain(source)
    for p in range(3):
        rows = [
            (v, place)
            for b in batches
            for v, q, place in zip(
                b.rows.column("payload").to_pylist(), b.partitions, b.places, strict=True
            )
            if q == p
        ]
        assert rows == [(f"{p}-{i}".encode(), f"{topic.name}[{p}] offset {i}") for i in range(50)]
    assert batches[-1].position == {"0": 50, "1": 50, "2": 50}
    assert {p for b in batches for p in b.ended_partitions} <= {0, 1, 2}


def test_bounded_source_leaves_out_what_comes_after_it_was_opened(topic, source_of):
    topic.create().put(["a", "b"])
    source = source_of(bounded=True)
    source.open(None)
    topic.put(["late"])
    batches = drain(source)
    assert values(batches) == [b"a", b"b"]
    assert batches[-1].position == {"0": 2}


def test_bounded_source_on_an_empty_topic_ends_at_once(topic, source_of):
    topic.create()
    source = source_of(bounded=True)
    source.open(None)
    assert values(drain(source)) == []


def test_latest_begins_at_the_end_and_says_so_before_any_message(topic, source_of):
    topic.create().put(["old"])
    source = source_of(start="latest")
    source.open(None)
    first = source.read(10, 0.1)
    assert (first.rows.num_rows, first.position) == (0, {"0": 1})
    source.close()
    topic.put(["new"])
    source.open(None)  # a lost connection before the first epoch must not jump to the new end
    assert values(take(source, 1)) == [b"new"]


def test_a_time_begins_at_the_first_message_not_older(topic, source_of):
    topic.create()
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    noon_ms = round(noon.timestamp() * 1000)
    for i in range(5):
        topic.put([f"{i}"], timestamp=noon_ms + i * 60_000)
    source = source_of(start="2026-01-31 12:02:00", bounded=True)
    source.open(None)
    assert values(drain(source)) == [b"2", b"3", b"4"]
    future = source_of(start=str(noon_ms + 3_600_000), bounded=True)
    future.open(None)
    assert values(drain(future)) == []


def test_resume_from_any_position_gives_each_message_once(topic, source_of):
    topic.partitions = 2
    topic.create()
    for p in range(2):
        topic.put([f"{p}-{i}" for i in range(20)], partition=p)
    source = source_of()
    source.open(None)
    batches = take(source, 40, max_rows=7)
    source.close()
    seen = []
    for batch in batches:
        seen += values([batch])
        again = source_of(bounded=True)
        again.open(batch.position)
        rest = values(drain(again))
        assert sorted(seen + rest) == sorted(
            f"{p}-{i}".encode() for p in range(2) for i in range(20)
        )
        again.close()


def test_key_headers_timestamp_and_null_value_are_there(topic, source_of):
    topic.create()
    topic.put(
        [None], key="k\u00fc", timestamp=1_700_000_000_123, headers=[("a", b"1"), ("b", None)]
    )
    topic.put(["\N{GRINNING FACE}".encode()], key=b"\xff")
    source = source_of(metadata=True, bounded=True)
    source.open(None)
    rows = [r for b in drain(source) for r in b.rows.to_pylist()]
    assert rows[0]["payload"] is None
    assert rows[0]["kafka"] == {
        "topic": topic.name,
        "partition": 0,
        "offset": 0,
        "timestamp": datetime(2023, 11, 14, 22, 13, 20, 123000),  # noqa: DTZ001 - SQL's TIMESTAMP
        "key": "k\u00fc",
        "headers": [("a", "1"), ("b", None)],
    }
    assert rows[1]["payload"].decode() == "\N{GRINNING FACE}"
    assert rows[1]["kafka"]["key"] == "\\xff"
    assert source.extra_schema.field("kafka").type == source.extra_schema.types[0]


def test_aborted_transactions_are_invisible(topic, source_of):
    topic.create()
    producer = Producer(
        {
            "bootstrap.servers": topic.server.bootstrap,
            "transactional.id": topic.name,
            "log_level": 0,
        }
    )
    producer.init_transactions(30)
    for value, is_kept in (("one", True), ("never", False), ("two", True)):
        producer.begin_transaction()
        producer.produce(topic.name, value)
        producer.flush(10)
        producer.commit_transaction(10) if is_kept else producer.abort_transaction(10)
    source = source_of(bounded=True)
    source.open(None)
    batches = drain(source)
    assert values(batches) == [b"one", b"two"]
    source.close()
    source.open(batches[-1].position)
    assert values(drain(source)) == []


def test_a_five_megabyte_message_is_read_among_small_ones(topic, source_of):
    topic.create(max_message_bytes=str(6 * 2**20))
    big = b"x" * 5_000_000
    topic.put(["before", big, "after"])
    source = source_of(bounded=True)
    source.open(None)
    assert values(drain(source)) == [b"before", big, b"after"]


def test_partitions_added_while_running_are_read_from_their_beginning(topic, source_of):
    topic.create().put(["old"])
    clock = ManualClock()
    source = source_of(clock=clock, start="latest")
    source.open(None)
    admin = AdminClient({"bootstrap.servers": topic.server.bootstrap, "log_level": 0})
    admin.create_partitions([NewPartitions(topic.name, 2)])[topic.name].result(30)
    deadline = time.monotonic() + 30
    while len(admin.list_topics(topic.name, timeout=5).topics[topic.name].partitions) < 2:
        assert time.monotonic() < deadline
    topic.put(["in the new one"], partition=1)
    while list(source.partitions) != [0, 1]:
        assert time.monotonic() < deadline
        clock.advance(31)
        source.read(10, 0.05)
    topic.put(["in the old one"], partition=0)
    assert sorted(values(take(source, 2))) == [b"in the new one", b"in the old one"]


def test_messages_gone_past_retention_are_an_error_that_counts_them(topic, source_of):
    topic.create().put([str(i) for i in range(10)])
    admin = AdminClient({"bootstrap.servers": topic.server.bootstrap, "log_level": 0})
    gone = TopicPartition(topic.name, 0, 7)
    admin.delete_records([gone])[gone].result(30)
    source = source_of()
    source.open({"0": 3})
    with pytest.raises(ConnectorError) as caught:
        take(source, 1)
    assert caught.value.code == "SM4406"
    assert not caught.value.transient
    assert f"4 messages of {topic.name}[0] are gone" in str(caught.value)
    assert "offset 3" in str(caught.value)
    assert "is 7" in str(caught.value)
    fresh = source_of(bounded=True)
    fresh.open(None)
    assert values(drain(fresh)) == [b"7", b"8", b"9"]


def test_a_position_behind_the_end_is_an_error(topic, source_of):
    topic.create().put(["a"])
    source = source_of()
    source.open({"0": 500})
    with pytest.raises(ConnectorError, match=r"ends at offset 1, but offset 500") as caught:
        take(source, 1)
    assert caught.value.code == "SM4407"


def test_broker_that_goes_away_and_comes_back_loses_and_doubles_nothing(topic, source_of):
    topic.create().put([f"a{i}" for i in range(100)])
    source = source_of()
    source.open(None)
    before = take(source, 100)
    topic.server.stop()
    try:
        with pytest.raises(ConnectorError) as caught:
            take(source, 1)
        assert caught.value.transient
        assert topic.server.bootstrap in str(caught.value)
        source.close()
        with pytest.raises(ConnectorError) as caught:
            source.open(before[-1].position)
        assert caught.value.transient
        source.close()
    finally:
        topic.server.start()
    topic.put([f"b{i}" for i in range(100)])
    source.open(before[-1].position)
    after = take(source, 100)
    assert values(after) == [f"b{i}".encode() for i in range(100)]


def test_short_absence_of_the_broker_is_bridged_by_the_client(topic, source_of):
    topic.create().put(["a"])
    source = source_of()
    source.open(None)
    assert values(take(source, 1)) == [b"a"]
    topic.server.stop()
    topic.server.start()
    topic.put(["b"])
    assert values(take(source, 1)) == [b"b"]


def test_missing_topic_is_named_with_those_like_it(topic, source_of):
    topic.create()
    source = source_of(topic=topic.name.replace("topic", "topik"))
    with pytest.raises(ConnectorError) as caught:
        source.check()
    assert caught.value.code == "SM4405"
    assert not caught.value.transient
    assert "topik" in caught.value.message
    assert f"'{topic.name}'" in caught.value.hint
    assert "create the topic" in caught.value.hint


def test_unreachable_broker_is_told_in_bounded_time_with_its_address(source_of):
    source = source_of(brokers="127.0.0.1:1")
    for ask in (source.check, source.sample, lambda: source.open(None)):
        with pytest.raises(ConnectorError) as caught:
            ask()
        assert caught.value.code == "SM4401"
        assert caught.value.transient
        assert "127.0.0.1:1" in caught.value.message


def test_unknown_property_is_named(topic, source_of):
    source = source_of(properties={"fetch.wait.max.mss": "5"})
    with pytest.raises(ConfigError, match=r"fetch\.wait\.max\.mss"):
        source.check()


def test_sample_gives_the_first_messages_without_tombstones(topic, source_of):
    topic.create()
    assert source_of().sample() == []
    topic.put(["a", None, "b"])
    assert source_of().sample() == [b"a", b"b"]


def test_sample_of_a_source_that_begins_at_the_end_takes_the_last_messages(topic, source_of):
    topic.create().put([str(i) for i in range(1500)])
    assert source_of(start="latest").sample() == [str(i).encode() for i in range(500, 1500)]


def test_lag_falls_to_zero_when_all_is_read(topic, source_of):
    topic.create().put(["a"] * 500)
    source = source_of()
    source.open(None)
    take(source, 1, max_rows=100)
    assert 0 < source.lag_rows() <= 400
    take(source, 400, max_rows=400)
    deadline = time.monotonic() + 20
    while source.lag_rows() != 0:
        assert time.monotonic() < deadline
        source.read(100, 0.05)


def test_no_group_is_left_on_the_broker(topic, source_of):
    topic.create().put(["a"])
    source = source_of()
    source.open(None)
    take(source, 1)
    source.close()
    source.close()
    admin = AdminClient({"bootstrap.servers": topic.server.bootstrap, "log_level": 0})
    groups = admin.list_consumer_groups(request_timeout=20).result(20).valid
    assert "stream_magic.shop.orders" not in {g.group_id for g in groups}


def test_right_password_reads(topic, source_of):
    topic.create().put(["a"])
    source = source_of(
        brokers=topic.server.bootstrap_with_login,
        security="sasl_plaintext",
        username="shop",
        password=Secret("the right one"),
        bounded=True,
    )
    source.open(None)
    assert values(drain(source)) == [b"a"]


def test_wrong_password_is_told_for_good_and_not_shown(topic, source_of):
    source = source_of(
        brokers=topic.server.bootstrap_with_login,
        security="sasl_plaintext",
        username="shop",
        password=Secret("the wrong one"),
    )
    for ask in (source.check, lambda: source.open(None)):
        with pytest.raises(ConnectorError) as caught:
            ask()
        assert caught.value.code == "SM4402"
        assert not caught.value.transient
        assert "refuses the login of shop" in caught.value.message
        assert "the wrong one" not in str(caught.value)
