"""The Kafka target against a real Apache Kafka, looked at by a plain consumer."""

from __future__ import annotations

import json
import threading

import pyarrow as pa
import pytest
from confluent_kafka.admin import AdminClient

from stream_magic.connectors.kafka import KafkaTarget, KafkaTargetOptions
from stream_magic.contracts.format import Format
from stream_magic.contracts.options import Options
from stream_magic.contracts.target import TargetContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Mark
from stream_magic.errors import ConfigError, ConnectorError, DeliveryError
from stream_magic.security.secrets import Secret

pytestmark = pytest.mark.services

STATE = "11111111-2222-3333-4444-555555555555"
ORDERS = pa.schema([("id", pa.int64()), ("brand", pa.string())])
RAW = pa.schema([("key", pa.string()), ("payload", pa.string())])


class PlainJson(Format):
    """As little of JSON as these tests need."""

    def infer(self, samples, header=None):
        raise NotImplementedError

    def decode(self, payloads, schema, header=None):
        raise NotImplementedError

    def encode(self, rows):
        return [json.dumps(r).encode() for r in rows.to_pylist()]


@pytest.fixture
def target_of(topic):
    """Makes targets on the topic and closes them afterwards."""
    made = []

    def make(
        schema=ORDERS, state_id=STATE, mode="append", key=(), clock=None, raw=False, **options
    ) -> KafkaTarget:
        given = {"brokers": topic.server.bootstrap, "topic": topic.name, **options}
        context = TargetContext(
            "to_kafka", "shop", state_id, clock or ManualClock(), schema, mode, key,
            None if raw else PlainJson(Options()),
        )  # fmt: skip
        made.append(KafkaTarget(KafkaTargetOptions(**given), context))
        return made[-1]

    yield make
    for target in made:
        target.close()


def orders(*rows, weights=None):
    table = pa.table({"id": [r[0] for r in rows], "brand": [r[1] for r in rows]}, schema=ORDERS)
    return table if weights is None else table.append_column("_weight", pa.array(weights))


def raw(*payloads, key="k"):
    return pa.table({"key": [key] * len(payloads), "payload": list(payloads)}, schema=RAW)


def raw_target(target_of, **options):
    return target_of(schema=RAW, raw=True, **options)


def test_rows_arrive_with_key_headers_and_mark_in_a_topic_that_was_created(topic, target_of):
    target = target_of(partitions=3, headers=("source=shop", "region=eu"))
    target.check()
    target.open()
    assert "created, 3 partitions" in target.detail
    assert target.guarantee == "exactly_once"
    assert target.last_mark() is None
    target.write(Mark(STATE, 7), orders((1, "acme"), (2, "\N{GRINNING FACE}")))
    messages = topic.messages()
    assert sorted(json.loads(m.value())["brand"] for m in messages) == ["acme", "\N{GRINNING FACE}"]
    assert all(m.key() is None for m in messages)
    assert {tuple(m.headers()) for m in messages} == {
        (
            ("source", b"shop"),
            ("region", b"eu"),
            ("stream_magic.mark", f"{STATE} 7 to_kafka".encode()),
        )
    }
    assert target.last_mark() == Mark(STATE, 7)


def test_order_is_kept_for_each_key_over_many_epochs_and_partitions(topic, target_of):
    topic.partitions = 4
    topic.create()
    target = target_of(key=("id",))
    target.open()
    for epoch in range(10):
        target.write(Mark(STATE, epoch), orders(*((i % 7, f"{epoch}-{i}") for i in range(200))))
    expected = {
        k: [f"{e}-{i}" for e in range(10) for i in range(200) if i % 7 == k] for k in range(7)
    }
    seen = {}
    for message in topic.messages():
        seen.setdefault(int(message.key()), []).append(json.loads(message.value())["brand"])
    assert seen == expected
    assert len({m.partition() for m in topic.messages()}) > 1


def test_java_producers_would_choose_the_same_partition(topic, target_of):
    topic.partitions = 4
    topic.create()
    target = target_of(key=("brand",))
    target.open()
    target.write(Mark(STATE, 1), orders((1, "21"), (2, "foobar"), (3, "a-little-bit-long-string")))
    # Values of org.apache.kafka.common.utils.UtilsTest.testMurmur2, made positive, modulo 4.
    hashes = {b"21": -973932308, b"foobar": -790332482, b"a-little-bit-long-string": -985981536}
    for message in topic.messages():
        assert message.partition() == (hashes[message.key()] & 0x7FFFFFFF) % 4


def test_upsert_writes_the_newest_row_and_a_message_without_value_for_a_deleted_key(
    topic, target_of
):
    topic.create()
    target = target_of(mode="upsert", key=("id",))
    target.open()
    target.write(Mark(STATE, 1), orders((1, "a"), (2, "b"), weights=[1, 1]))
    target.write(Mark(STATE, 2), orders((1, "c"), (2, "b"), (None, "n"), weights=[1, -1, 1]))
    written = [(m.key(), m.value() and json.loads(m.value())["brand"]) for m in topic.messages()]
    assert written == [(b"1", "a"), (b"2", "b"), (b"1", "c"), (b"2", None), (b'{"id":null}', "n")]


def test_several_key_columns_are_a_json_object_and_null_is_no_key(topic, target_of):
    topic.create()
    target = target_of(key=("id", "brand"))
    target.open()
    target.write(Mark(STATE, 1), orders((1, "a"), (2, None), (None, None)))
    assert [m.key() for m in topic.messages()] == [
        b'{"id":1,"brand":"a"}',
        b'{"id":2,"brand":null}',
        None,
    ]


def test_a_five_megabyte_message_passes_into_a_topic_that_was_created(topic, target_of):
    target = raw_target(target_of)
    target.open()
    big = "x" * 5_000_000
    target.write(Mark(STATE, 1), raw("small", big, "after"))
    assert sorted(len(v) for v in topic.values()) == [5, 5, 5_000_000]


def test_a_message_too_large_for_the_topic_is_told_with_size_limit_and_property(topic, target_of):
    topic.create(max_message_bytes="1000000")
    target = raw_target(target_of, compression="none")
    target.open()
    target.last_mark()
    target.write(Mark(STATE, 1), raw("kept"))
    with pytest.raises(DeliveryError) as caught:
        target.write(Mark(STATE, 2), raw("with it", "x" * 5_000_000))
    assert caught.value.code == "SM6404"
    assert not caught.value.transient
    assert "5,000,000 bytes" in str(caught.value)
    assert "1,000,000" in caught.value.message
    assert "max.message.bytes" in caught.value.hint
    target.close()
    target.open()
    assert target.last_mark() == Mark(STATE, 1)
    target.write(Mark(STATE, 2), raw("smaller"))
    assert topic.values() == [b"kept", b"smaller"]


def test_target_that_died_in_a_transaction_leaves_nothing_and_is_fenced(topic, target_of):
    topic.create()
    dead = raw_target(target_of)
    dead.open()
    dead.last_mark()
    dead.write(Mark(STATE, 1), raw("one"))
    dead._producer.begin_transaction()
    dead._produce(["k"], ["half of epoch 2"], [])
    dead._producer.flush(10)
    heir = raw_target(target_of)
    heir.open()
    assert heir.last_mark() == Mark(STATE, 1)
    heir.write(Mark(STATE, 2), raw("two", "three"))
    assert topic.values() == [b"one", b"two", b"three"]
    with pytest.raises(DeliveryError) as caught:
        dead.write(Mark(STATE, 2), raw("from the grave"))
    assert not caught.value.transient or caught.value.code == "SM6402"
    assert topic.values() == [b"one", b"two", b"three"]


def test_commit_whose_answer_was_lost_is_found_in_the_mark(topic, target_of, monkeypatch):
    topic.create()
    target = raw_target(target_of)
    target.open()
    target.last_mark()

    class AnswerLost:
        """The producer, but what the broker says to the commit never arrives."""

        def __init__(self, producer):
            self._producer = producer

        def __getattr__(self, name):
            return getattr(self._producer, name)

        def commit_transaction(self, timeout):
            from confluent_kafka import KafkaError, KafkaException

            self._producer.commit_transaction(timeout)
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT))

    monkeypatch.setattr(target, "_producer", AnswerLost(target._producer))
    with pytest.raises(DeliveryError) as caught:
        target.write(Mark(STATE, 5), raw("one"))
    assert caught.value.transient
    target.close()
    target.open()
    assert target.last_mark() == Mark(STATE, 5)
    target.write(Mark(STATE, 6), raw("two"))
    assert topic.values() == [b"one", b"two"]


def test_a_call_that_never_comes_back_is_left_alone(topic, target_of, monkeypatch):
    topic.create()
    monkeypatch.setattr("stream_magic.connectors.kafka.target.TRANSACTION_MS", 2000)
    target = raw_target(target_of)
    target.open()
    target.last_mark()
    may_end, has_ended = threading.Event(), threading.Event()

    class Hanging:
        """The producer, as it is when the group's coordinator is away."""

        def __init__(self, producer):
            self._producer = producer

        def __getattr__(self, name):
            return getattr(self._producer, name)

        def send_offsets_to_transaction(self, positions, group, timeout):
            may_end.wait(60)
            try:
                self._producer.send_offsets_to_transaction(positions, group, 10)
            finally:
                has_ended.set()

    monkeypatch.setattr(target, "_producer", Hanging(target._producer))
    with pytest.raises(DeliveryError) as caught:
        target.write(Mark(STATE, 5), raw("one"))
    assert caught.value.transient
    target.close()
    target.open()
    assert target.last_mark() is None
    may_end.set()
    assert has_ended.wait(60)
    target.write(Mark(STATE, 5), raw("one"))
    target.write(Mark(STATE, 6), raw("two"))
    assert topic.values() == [b"one", b"two"]
    assert target.last_mark() == Mark(STATE, 6)


def test_broker_that_goes_away_while_writing_loses_and_doubles_nothing(topic, target_of):
    topic.create()
    target = raw_target(target_of)
    target.open()
    target.last_mark()
    for epoch in range(1, 6):
        target.write(Mark(STATE, epoch), raw(f"{epoch}"))
    topic.server.stop()
    with pytest.raises((DeliveryError, ConnectorError)) as caught:
        target.write(Mark(STATE, 6), raw("6"))
    assert caught.value.transient
    target.close()
    with pytest.raises(ConnectorError) as caught:
        target.open()
    assert caught.value.transient
    target.close()
    topic.server.start()
    target.open()
    assert target.last_mark() == Mark(STATE, 5)
    for epoch in range(6, 11):
        target.write(Mark(STATE, epoch), raw(f"{epoch}"))
    assert topic.values() == [str(e).encode() for e in range(1, 11)]


@pytest.mark.timeout(180, method="thread")  # a hang shows every thread's stack
def test_broker_that_restarts_in_the_middle_of_deliveries_loses_and_doubles_nothing(
    topic, target_of
):
    topic.create()
    target = raw_target(target_of)
    target.open()
    target.last_mark()
    restart = threading.Thread(
        target=lambda: (topic.server.stop(), topic.server.start()), daemon=True
    )
    failures = []
    for epoch in range(1, 61):
        if epoch == 10:
            restart.start()
        rows = raw(*(f"{epoch}-{i}" for i in range(300)))
        has_it = False
        while not has_it:
            try:
                target.write(Mark(STATE, epoch), rows)
                has_it = True
            except DeliveryError as e:
                failures.append(e)
                has_it = reopened_mark(target, failures) == Mark(STATE, epoch)
    restart.join()
    assert all(e.transient for e in failures)
    assert topic.values() == [f"{e}-{i}".encode() for e in range(1, 61) for i in range(300)]


def reopened_mark(target, failures):
    """What the engine does after a failure: close, open until it works, ask for the mark."""
    while len(failures) < 30:
        target.close()
        try:
            target.open()
            return target.last_mark()
        except ConnectorError as e:
            failures.append(e)
    raise AssertionError(f"no end of failures: {failures}")


def test_several_epochs_in_one_write_and_an_epoch_without_rows_keep_the_mark(topic, target_of):
    topic.create()
    target = raw_target(target_of)
    target.open()
    target.last_mark()
    target.write(Mark(STATE, 4), raw("a", "b"))
    target.write(Mark(STATE, 5), raw())
    assert target.last_mark() == Mark(STATE, 5)


def test_mark_of_a_forgotten_group_is_read_from_the_headers(topic, target_of):
    topic.partitions = 2
    topic.create()
    target = raw_target(target_of)
    target.open()
    target.last_mark()
    target.write(Mark(STATE, 1), raw("a", key="x"))
    target.write(Mark(STATE, 2), raw("b", key="y"))
    topic.put(["foreign"], headers=[("stream_magic.mark", b"not ours at all")])
    target.close()
    admin = AdminClient({"bootstrap.servers": topic.server.bootstrap, "log_level": 0})
    group = "stream_magic.shop.to_kafka"
    admin.delete_consumer_groups([group])[group].result(20)
    target.open()
    assert target.last_mark() == Mark(STATE, 2)
    stranger = raw_target(target_of, state_id="99999999-0000-0000-0000-000000000000")
    stranger.open()
    assert stranger.last_mark() is None


def test_idle_target_commits_its_mark_again_every_day(topic, target_of):
    topic.create()
    clock = ManualClock()
    target = raw_target(target_of, clock=clock)
    target.open()
    target.last_mark()
    target.write(Mark(STATE, 3), raw("a"))
    admin = AdminClient({"bootstrap.servers": topic.server.bootstrap, "log_level": 0})
    group = "stream_magic.shop.to_kafka"
    admin.delete_consumer_groups([group])[group].result(20)
    target.tick()
    clock.advance(90_000)
    target.tick()
    assert group in {g.group_id for g in admin.list_consumer_groups().result(20).valid}
    assert topic.values() == [b"a"]


def test_at_least_once_on_request_finds_its_mark_in_the_headers(topic, target_of):
    topic.create()
    target = raw_target(target_of, guarantee="at_least_once")
    target.open()
    assert target.guarantee == "at_least_once"
    target.write(Mark(STATE, 1), raw("a", "b"))
    heir = raw_target(target_of, guarantee="at_least_once")
    heir.open()
    assert heir.last_mark() == Mark(STATE, 1)
    assert topic.values() == [b"a", b"b"]


def test_more_rows_than_the_queue_holds_wait_for_the_broker(topic, target_of):
    topic.create()
    target = raw_target(target_of, properties={"queue.buffering.max.messages": "500"})
    target.open()
    target.last_mark()
    target.write(Mark(STATE, 1), raw(*(str(i) for i in range(20_000))))
    assert topic.values() == [str(i).encode() for i in range(20_000)]


def test_missing_topic_that_may_not_be_created_is_named_with_those_like_it(topic, target_of):
    topic.create()
    target = target_of(topic=topic.name + "s", create_topic=False)
    with pytest.raises(ConnectorError) as caught:
        target.check()
    assert caught.value.code == "SM4405"
    assert f"'{topic.name}'" in caught.value.hint
    with pytest.raises(ConnectorError) as caught:
        target.open()
    assert caught.value.transient


def test_more_copies_than_brokers_is_told(topic, target_of):
    target = target_of(replication=3)
    with pytest.raises(ConnectorError, match="replication") as caught:
        target.open()
    assert "change partitions and replication" in caught.value.hint


def test_unreachable_broker_and_wrong_password_are_told_apart(topic, target_of):
    away = target_of(brokers="127.0.0.1:1")
    for ask in (away.check, away.open):
        with pytest.raises(ConnectorError, match=r"127\.0\.0\.1:1") as caught:
            ask()
        assert caught.value.transient
    refused = target_of(
        brokers=topic.server.bootstrap_with_login,
        security="sasl_plaintext",
        username="shop",
        password=Secret("the wrong one"),
    )
    for ask in (refused.check, refused.open):
        with pytest.raises(ConnectorError, match="refuses the login of shop") as caught:
            ask()
        assert not caught.value.transient
        assert "the wrong one" not in str(caught.value)


def test_unknown_key_column_and_missing_format_are_told(target_of):
    with pytest.raises(ConfigError, match="did you mean 'brand'"):
        target_of(key=("brandt",))
    with pytest.raises(ConfigError, match="FORMAT json"):
        target_of(raw=True)


def test_closing_twice_and_reopening_goes_on(topic, target_of):
    topic.create()
    target = raw_target(target_of)
    target.close()
    for epoch in (1, 2):
        target.open()
        target.last_mark()
        target.write(Mark(STATE, epoch), raw(str(epoch)))
        target.close()
        target.close()
    assert topic.values() == [b"1", b"2"]
