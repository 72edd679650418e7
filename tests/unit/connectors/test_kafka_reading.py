"""What a Kafka source makes of the answers of its client, whatever pieces they come in."""

from __future__ import annotations

from typing import Any

import pytest
from confluent_kafka import KafkaError, Message

from stream_magic.connectors.kafka import KafkaSource, KafkaSourceOptions
from stream_magic.contracts.source import SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import ConnectorError


def message(offset: int, error: KafkaError | None = None) -> Message:
    """As the client gives it: the source asks by the methods of this very class."""
    value = None if error else str(offset).encode()
    return Message(topic="t", partition=0, offset=offset, value=value, error=error)


class Client:
    """Gives these messages, as many a call as are asked for."""

    def __init__(self, messages: list[Message]) -> None:
        self.messages = messages

    def consume(self, count: int, timeout: float) -> list[Message]:
        given, self.messages = self.messages[:count], self.messages[count:]
        return given


def make_source(messages: list[Message]) -> Any:
    options = KafkaSourceOptions(brokers="127.0.0.1:1", topic="t")
    source = KafkaSource(options, SourceContext("s", "app", ManualClock()))
    source._consumer = Client(messages)
    source._looked_at_s = source.context.clock.monotonic_s()
    return source


def payloads(batch: Any) -> list[bytes]:
    return batch.rows.column("payload").to_pylist()


def test_a_read_takes_all_that_was_fetched_up_to_its_limit():
    source = make_source([message(i) for i in range(6000)])
    first, second = source.read(4500, 0.1), source.read(4500, 0.1)
    assert payloads(first) == [str(i).encode() for i in range(4500)]
    assert payloads(second) == [str(i).encode() for i in range(4500, 6000)]
    assert (first.position, second.position) == ({"0": 4500}, {"0": 6000})
    assert first.places[4499] == "t[0] offset 4499"


@pytest.mark.parametrize("good", [1, 1000, 1001, 2500])
def test_messages_before_a_failure_are_delivered_first(good):
    refused = message(0, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no"))
    source = make_source([*(message(i) for i in range(good)), refused])
    batch = source.read(20_000, 0.1)
    assert payloads(batch) == [str(i).encode() for i in range(good)]
    assert batch.position == {"0": good}
    with pytest.raises(ConnectorError):
        source.read(20_000, 0.1)


def test_a_failure_alone_is_raised_at_once():
    source = make_source([message(0, KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "no"))])
    with pytest.raises(ConnectorError):
        source.read(20_000, 0.1)


def test_the_end_of_a_partition_between_messages_is_none_of_them():
    end = message(3, KafkaError(KafkaError._PARTITION_EOF))
    source = make_source([message(0), message(1), message(2), end, message(3)])
    assert payloads(source.read(20_000, 0.1)) == [b"0", b"1", b"2", b"3"]
