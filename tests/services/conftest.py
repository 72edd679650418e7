"""Real servers for the tests, one of each for the whole run, and plain clients to look at them."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, Message, Producer, TopicPartition

from servers.kafka import KafkaServer
from support.mysql import database, mariadb  # noqa: F401 - fixtures

QUIET = {"log_level": 0}  # the library's threads must not write between pytest's lines
_numbers = itertools.count(1)


@dataclass
class Topic:
    """A topic of the test's own, written and read by plain clients that know nothing of ours."""

    server: KafkaServer
    name: str
    partitions: int = 1

    def create(self, **config: str) -> Topic:
        settings = {name.replace("_", "."): value for name, value in config.items()}
        self.server.create_topic(self.name, self.partitions, settings)
        return self

    def put(self, values, *, key=None, partition=None, timestamp=None, headers=None) -> None:
        """Writes messages and waits until the broker has them."""
        where = {} if partition is None else {"partition": partition}
        when = {} if timestamp is None else {"timestamp": timestamp}
        producer = Producer(
            {"bootstrap.servers": self.server.bootstrap, "message.max.bytes": 2**26, **QUIET}
        )
        for value in values:
            producer.produce(self.name, value, key, headers=headers, **where, **when)
            producer.poll(0)
        assert producer.flush(30) == 0

    def messages(self) -> list[Message]:
        """All committed messages, partition after partition, in order."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.server.bootstrap,
                "group.id": "an independent reader",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
                **QUIET,
            }
        )
        count = len(consumer.list_topics(self.name, timeout=20).topics[self.name].partitions)
        waiting, found = set(range(count)), []
        consumer.assign([TopicPartition(self.name, p, OFFSET_BEGINNING) for p in waiting])
        deadline = time.monotonic() + 60
        while waiting and time.monotonic() < deadline:
            for message in consumer.consume(10_000, 0.1):
                if message.error() is None:
                    found.append(message)
                else:
                    waiting.discard(message.partition())
        consumer.close()
        assert not waiting, "the topic could not be read to its end"
        return sorted(found, key=lambda m: (m.partition(), m.offset()))

    def values(self) -> list[bytes | None]:
        return [m.value() for m in self.messages()]


@pytest.fixture(scope="session")
def kafka() -> Iterator[KafkaServer]:
    """A real Apache Kafka. A test may stop it, if it starts it again."""
    with KafkaServer(users={"shop": "the right one"}) as server:
        yield server


@pytest.fixture
def topic(kafka: KafkaServer) -> Topic:
    """A topic that does not exist yet, with one partition when it is created."""
    return Topic(kafka, f"topic-{next(_numbers)}")
