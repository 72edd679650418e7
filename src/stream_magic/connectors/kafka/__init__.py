"""Apache Kafka, both ways: topics are read by positions of our own and written in transactions.

`brokers = 'embedded'` is a small broker inside this process, for tours and tests.
"""

from __future__ import annotations

from stream_magic.connectors.kafka.source import KafkaSource, KafkaSourceOptions
from stream_magic.connectors.kafka.target import KafkaTarget, KafkaTargetOptions

__all__ = ["KafkaSource", "KafkaSourceOptions", "KafkaTarget", "KafkaTargetOptions"]
