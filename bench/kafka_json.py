"""Kafka JSON -> filter -> columns -> count, against a loop that consumes the messages and joins their bytes."""

from __future__ import annotations

import random
import time

from examples.servers.kafka import KafkaServer

import stream_magic
from bench.result import Ratio, rates

MESSAGES, PARTITIONS, TOPIC = 1_000_000, 4, "orders"
CONSUME = 1_000  # messages a call: the fastest of 1,000, 10,000 and 20,000
# What our source asks for. Without the short back-off the loop waits most of the time, and any ratio is easy.
FETCHING = {
    "fetch.wait.max.ms": 50,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    "fetch.queue.backoff.ms": 10,
}


def measure() -> list[Ratio]:
    """From start to drained, and from the first call to the last message. One round warms both up."""
    with KafkaServer() as kafka:
        kafka.create_topic(TOPIC, PARTITIONS)
        expected = _produce(kafka.bootstrap)
        _app_s(kafka.bootstrap, expected)
        _loop_s(kafka.bootstrap)
        ours, reference = rates(
            MESSAGES,
            lambda: _app_s(kafka.bootstrap, expected),
            lambda: _loop_s(kafka.bootstrap),
            rounds=5,
        )
    return [Ratio("Kafka JSON to a count", ours, reference, "loop that joins the bytes", 0.5)]


def _produce(brokers: str) -> int:
    """Writes the messages of about 150 bytes; returns how many of them the filter lets through."""
    from confluent_kafka import Producer

    producer = Producer(
        {
            "bootstrap.servers": brokers,
            "linger.ms": 50,
            "queue.buffering.max.messages": 2 * MESSAGES,
        }
    )
    rng = random.Random(1)
    passed = 0
    for i in range(MESSAGES):
        location = rng.randrange(1, 21)
        passed += location != 10
        message = (
            f'{{"order_id":{i},"product_id":{rng.randrange(100_000)},"location":{location},'
            f'"amount":{rng.randrange(100, 99_999) / 100},"status":"shipped","channel":"web",'
            f'"customer":"c{rng.randrange(10**6):06}","ts":"2026-01-01T00:{i // 60 % 60:02}:{i % 60:02}"}}'
        )
        producer.produce(TOPIC, message.encode(), partition=i % PARTITIONS)
        producer.poll(0)
    producer.flush()
    return passed


def _app_s(brokers: str, expected: int) -> float:
    app = stream_magic.App("bench")
    app.execute(
        f"""
        CREATE SOURCE orders (order_id BIGINT, product_id BIGINT, location INT, amount DOUBLE,
                              status VARCHAR, channel VARCHAR, customer VARCHAR, ts TIMESTAMP)
          WITH (connector = 'kafka', brokers = '{brokers}', topic = '{TOPIC}', bounded = true) FORMAT json;
        CREATE STREAM passed AS
          SELECT order_id, location, amount * 1.19 AS gross, upper(customer) AS customer, ts
          FROM orders WHERE location <> 10;
        CREATE TABLE counted AS SELECT count(*) AS n FROM passed;
        """
    )
    start = time.perf_counter()
    app.start()
    app.drain(600)
    seconds = time.perf_counter() - start
    counted = app.sql("SELECT n FROM counted").fetchall()[0][0]
    app.close()
    if counted != expected:
        raise AssertionError(f"counted {counted}, not {expected}")
    return seconds


def _loop_s(brokers: str) -> float:
    from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition

    start = time.perf_counter()
    consumer = Consumer(
        {
            "bootstrap.servers": brokers,
            "group.id": "bench",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            **FETCHING,
        }
    )
    consumer.assign([TopicPartition(TOPIC, p, OFFSET_BEGINNING) for p in range(PARTITIONS)])
    left, size = MESSAGES, 0
    while left:
        messages = consumer.consume(min(CONSUME, left), 1.0)
        size += len(b"".join([m.value() for m in messages]))
        left -= len(messages)
    seconds = time.perf_counter() - start
    consumer.close()
    return seconds
