"""The mark in the headers of records: read when the broker has forgotten the group that holds it."""

from __future__ import annotations

import time
from typing import Any

from stream_magic.connectors.kafka.client import Connection
from stream_magic.core.epoch import Mark

MARK_HEADER = "stream_magic.mark"
LOOK_BACK = 1000  # records at the end of each partition: others may write to the topic too
SEARCH_S = 10.0


def mark_header(mark: Mark, target: str) -> bytes:
    """What stands in the header: state id, epoch and target."""
    return f"{mark.state_id} {mark.last_epoch} {target}".encode()


def newest_mark(consumer: Any, connection: Connection, state_id: str, target: str) -> Mark | None:
    """The highest epoch of ours among the last records of each partition, or None.

    Raises:
        ConnectorError: the partitions cannot be read to their ends.
    """
    from confluent_kafka import KafkaException, TopicPartition

    topic = connection.options.topic
    begin = []
    for partition in connection.partition_ids(consumer):
        try:
            low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=10)
        except KafkaException as e:
            raise connection.explain(e.args[0]) from None
        if high > low:
            begin.append(TopicPartition(topic, partition, max(low, high - LOOK_BACK)))
    epochs = []
    waiting = {t.partition for t in begin}
    consumer.assign(begin)
    deadline = time.monotonic() + SEARCH_S
    while waiting:
        if time.monotonic() > deadline:
            raise connection.unreachable()
        for message in consumer.consume(1000, 0.05):
            if message.error() is None:
                epochs.append(_epoch(message, state_id, target))
            elif message.error().name() == "_PARTITION_EOF":
                waiting.discard(message.partition())
    consumer.unassign()
    newest = max((e for e in epochs if e is not None), default=None)
    return None if newest is None else Mark(state_id, newest)


def _epoch(message: Any, state_id: str, target: str) -> int | None:
    """The epoch in the record's mark, if state and target are ours."""
    for name, value in message.headers() or ():
        if name == MARK_HEADER and value is not None:
            state, _, rest = value.decode("utf-8", "replace").partition(" ")
            epoch, _, owner = rest.partition(" ")
            if state == state_id and owner == target:
                return int(epoch)
    return None
