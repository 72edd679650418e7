"""The embedded broker: librdkafka's own mock cluster, in this process, shared by all its apps.

It speaks Kafka's protocol on 127.0.0.1, keeps everything in memory and ends with the process.
Every topic has 4 partitions, comes into being when it is first named, and forgets what lies more
than about 5 MB back in a partition. It has no transactions and does not find offsets by time.
"""

from __future__ import annotations

import functools
import threading
import time
from typing import Any

EMBEDDED = "embedded"

_starting = threading.Lock()


class EmbeddedBroker:
    """A running mock cluster; it lives as long as this object."""

    def __init__(self) -> None:
        from confluent_kafka import Producer

        settings = {"bootstrap.servers": EMBEDDED, "test.mock.num.brokers": 1, "log_level": 0}
        self._holder: Any = Producer(settings)
        brokers = self._holder.list_topics(timeout=10).brokers.values()
        self.bootstrap = ",".join(f"{b.host}:{b.port}" for b in brokers)

    def ensure_topic(self, topic: str) -> None:
        """Brings the topic into being: a producer's question for it does that."""
        deadline = time.monotonic() + 10
        while not self._holder.list_topics(topic, timeout=10).topics[topic].partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the embedded Kafka does not make the topic {topic}")
            time.sleep(0.01)


@functools.cache
def _the_broker() -> EmbeddedBroker:
    return EmbeddedBroker()


def embedded_broker() -> EmbeddedBroker:
    """The one broker of this process, started on first use."""
    with _starting:
        return _the_broker()
