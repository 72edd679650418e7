"""Reads a topic. We assign the partitions ourselves and keep the positions with the app's state.

There is no consumer group and nothing is committed to the broker: the position that counts is
the one in the epoch that was committed.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import compress
from typing import Any, cast

import numpy as np
import pyarrow as pa

from stream_magic.connectors.kafka.client import Connection, KafkaOptions
from stream_magic.connectors.kafka.embedded import embedded_broker
from stream_magic.connectors.kafka.ends import Ends
from stream_magic.connectors.kafka.messages import KAFKA_TYPE, Places, metadata_column
from stream_magic.contracts.options import SourceOptions, option
from stream_magic.contracts.source import PAYLOAD, EndOfSource, Source, SourceBatch, SourceContext
from stream_magic.core.epoch import Position
from stream_magic.errors import ConfigError, ConnectorError

DOWN_S = 5.0  # brokers that are away for less are not worth a message: the client reconnects
SAMPLE_MESSAGES = 1000
SAMPLE_S = 10.0

# Few and large fetches; the queue bounds the memory (settings measured in SYSTEMS.md, section 2).
_FETCHING = {
    "fetch.wait.max.ms": 50,
    "fetch.min.bytes": 1,
    "queued.min.messages": 100_000,
    "queued.max.messages.kbytes": 65_536,
    # The client's own second of pause when its queue is full costs three quarters of the rate (decision 0005).
    "fetch.queue.backoff.ms": 10,
}

_CONSUME = 1_000  # messages a call: of 20,000 at once each has left the processor's cache before it is read


@dataclass
class _Part:
    """Of some messages what the engine gets."""

    partitions: np.ndarray
    offsets: np.ndarray
    columns: dict[str, pa.Array] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class KafkaSourceOptions(KafkaOptions, SourceOptions):
    """Options of the Kafka source."""

    start: str = option(
        "Where to begin when there is no position yet: 'earliest', 'latest' or a time "
        "(ISO text, UTC if it names no zone; or milliseconds since 1970).",
        default="earliest",
        example="'2026-01-31 12:00:00'",
    )
    bounded: bool = option(
        "Ends at what is the end of the topic when the source opens.",
        default=False,
        example="true",
    )
    metadata: bool = option(
        "Adds the column kafka: a STRUCT of topic, partition, offset, timestamp, key, headers.",
        default=False,
        example="true",
    )
    discovery: timedelta = option(
        "Looks this often for partitions that were added to the topic.",
        default=timedelta(seconds=30),
        example="'30 seconds'",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.start_ms()

    def start_ms(self) -> int | None:
        """Milliseconds since 1970 where to begin, or None for 'earliest' and 'latest'."""
        text = self.start.strip()
        if text.lower() in ("earliest", "latest"):
            return None
        if text.isdigit():
            return int(text)
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ConfigError(
                "SM7405",
                f"start = '{self.start}' is neither earliest, latest nor a time",
                hint="write start = 'earliest', 'latest' or '2026-01-31 12:00:00'",
            ) from None
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1000)


class KafkaSource(Source):
    """Reads all partitions of a topic, each message once for every life of a position.

    Aborted transactions are not seen. A partition that a position does not name is read from its
    beginning. Messages that the broker has forgotten are an error, never a jump.
    """

    options_type = KafkaSourceOptions
    takes_format = True

    def __init__(self, options: KafkaSourceOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self._options = options
        self._connection = Connection(options, context.secrets)
        self._consumer: Any = None
        self._next: dict[int, int] = {}  # partition -> offset of the next message
        self._partitions: list[int] = []
        self._origin: dict[int, int] | None = None  # where 'latest' or a time was, first time
        self._ends = Ends()  # bounded: where partitions end for us
        self._failure: Any = None  # an error event behind messages that are delivered first
        self._is_origin_untold = False
        self._looked_at_s = 0.0
        self.is_bounded = options.bounded
        self.address = options.address
        self.detail = f"kafka, topic {options.topic}"
        if options.is_embedded:
            self.detail += " (embedded broker: in memory, about 5 MB a partition)"

    @property
    def partitions(self) -> Sequence[int]:
        return tuple(self._partitions)

    @property
    def extra_schema(self) -> pa.Schema:
        return pa.schema([pa.field("kafka", KAFKA_TYPE)] if self._options.metadata else [])

    def check(self) -> None:
        """Raises if the brokers do not answer, the login is wrong or the topic is missing."""
        if self._options.is_embedded:
            return
        consumer = self._new_consumer()
        try:
            self._known_partitions(consumer, transient=False)
        finally:
            consumer.close()

    def sample(self) -> list[bytes]:
        """Payloads from where the source would begin: its beginning, or the last ones there are."""
        if self._options.is_embedded:
            embedded_broker().ensure_topic(self._options.topic)
        consumer = self._new_consumer()
        try:
            return self._sample(consumer)
        finally:
            consumer.close()

    def open(self, position: Position | None) -> None:
        if self._options.is_embedded:
            embedded_broker().ensure_topic(self._options.topic)
        self._consumer = consumer = self._new_consumer()
        self._partitions = self._known_partitions(consumer, transient=True)
        if position is None:
            self._next = self._start_offsets(consumer)
        else:
            self._next = {int(p): int(cast("int", n)) for p, n in position.items()}
            if gone := sorted(set(self._next) - set(self._partitions)):
                raise ConnectorError(
                    "SM4407",
                    f"topic {self._options.topic} has no partition {gone[0]} any more",
                    hint="was the topic made anew? Drop the source and create it again",
                )
        self._failure, self._ends = None, Ends()
        if self._options.bounded:
            self._find_ends()
        self._looked_at_s = self.context.clock.monotonic_s()
        consumer.assign(
            [self._at(p, self._next.get(p, self._beginning())) for p in self._partitions]
        )

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        self._find_new_partitions()
        if self._is_origin_untold:
            # Where 'latest' was must be known after a restart, though no message came before it.
            self._is_origin_untold = False
            return self._batch([self._part([])])
        if self._failure is not None:
            raise self._explain(self._failure)
        if self._options.bounded and self._ends.are_reached:
            raise EndOfSource
        # Waits for the first message only, then takes what has been fetched already.
        messages = self._consumer.consume(1, timeout_s)
        if not messages:
            self._raise_trouble()
            return None
        parts = [self._part(messages)]
        left, asked = max_rows - 1, 0
        while left > 0 and not self._has_failed() and len(messages) >= asked:
            asked = min(left, _CONSUME)
            messages = self._consumer.consume(asked, 0)
            if messages:
                parts.append(self._part(messages))
            left -= len(messages)
        if any(len(part.offsets) for part in parts):
            return self._batch(parts)
        if self._has_failed():
            raise self._explain(self._failure)
        return None

    def lag_rows(self) -> int | None:
        """From what the last fetches said: no question to the broker."""
        consumer = self._consumer
        if consumer is None:
            return None
        lag = 0
        try:
            for p in self._partitions:
                low, high = consumer.get_watermark_offsets(self._at(p, 0), cached=True)
                if high >= 0:
                    lag += max(0, high - max(self._next.get(p, low), low))
        except RuntimeError:  # closed by the reader meanwhile
            return None
        return lag

    def close(self) -> None:
        consumer, self._consumer = self._consumer, None
        if consumer is not None:
            consumer.close()

    def _new_consumer(self, isolation: str = "read_committed") -> Any:
        group = f"stream_magic.{self.context.app}.{self.context.name}"
        return self._connection.consumer(
            {
                "group.id": group,  # required by the client; nothing joins it or commits to it
                "enable.auto.commit": False,
                "enable.auto.offset.store": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": isolation,
                **_FETCHING,
            }
        )

    def _known_partitions(self, consumer: Any, *, transient: bool) -> list[int]:
        found = self._connection.partition_ids(consumer)
        if not found:
            hint = "create the topic, or let a target write to it first"
            raise self._connection.missing_topic(consumer, hint, transient=transient)
        return found

    def _at(self, partition: int, offset: int) -> Any:
        from confluent_kafka import TopicPartition

        return TopicPartition(self._options.topic, partition, offset)

    @staticmethod
    def _beginning() -> int:
        from confluent_kafka import OFFSET_BEGINNING

        return cast("int", OFFSET_BEGINNING)

    def _watermarks(self, consumer: Any, partition: int) -> tuple[int, int]:
        from confluent_kafka import KafkaException

        try:
            low, high = consumer.get_watermark_offsets(self._at(partition, 0), timeout=10)
        except KafkaException as e:
            raise self._connection.explain(e.args[0]) from None
        return low, high

    def _start_offsets(self, consumer: Any) -> dict[int, int]:
        """Where to begin; partitions that it does not name begin at their beginning.

        'latest' and a time are looked up once: after a lost connection the source goes on from
        there, though no position was committed yet.
        """
        if self._origin is None:
            moment = self._options.start_ms()
            if moment is not None:
                self._origin = self._offsets_at(consumer, moment)
            elif self._options.start.strip().lower() == "latest":
                self._origin = {p: self._watermarks(consumer, p)[1] for p in self._partitions}
            else:
                self._origin = {}
            self._is_origin_untold = bool(self._origin)
        return dict(self._origin)

    def _offsets_at(self, consumer: Any, moment_ms: int) -> dict[int, int]:
        """Of each partition, the first message that is not older than the moment, else the end."""
        from confluent_kafka import KafkaException

        ends = {p: self._watermarks(consumer, p)[1] for p in self._partitions}
        if self._options.is_embedded:
            return self._scan_for(consumer, moment_ms, ends)
        wanted = [self._at(p, moment_ms) for p in self._partitions]
        try:
            found = consumer.offsets_for_times(wanted, timeout=10)
        except KafkaException as e:
            raise self._connection.explain(e.args[0]) from None
        return {t.partition: t.offset if t.offset >= 0 else ends[t.partition] for t in found}

    def _scan_for(self, consumer: Any, moment_ms: int, ends: dict[int, int]) -> dict[int, int]:
        """The embedded broker does not find offsets by time: reads the few MB that it keeps."""
        found = dict(ends)
        waiting = {p for p in self._partitions if ends[p] > self._watermarks(consumer, p)[0]}
        consumer.assign([self._at(p, self._beginning()) for p in waiting])
        while waiting:
            for message in consumer.consume(1000, 0.1):
                p = message.partition()
                if message.error() is not None:
                    waiting.discard(p)
                elif p in waiting and message.timestamp()[1] >= moment_ms:
                    found[p] = message.offset()
                    waiting.discard(p)
        consumer.unassign()
        return found

    def _find_ends(self) -> None:
        """Looks where each partition ends now.

        A committed transaction may not be marked yet, so that readers of committed messages do not
        see its end: the end is asked for by one who reads all.
        """
        asking = self._new_consumer("read_uncommitted")
        try:
            marks = {p: self._watermarks(asking, p) for p in self._partitions}
        finally:
            asking.close()
        self._ends.look_up(marks, self._next)

    def _sample(self, consumer: Any) -> list[bytes]:
        partitions = self._known_partitions(consumer, transient=False)
        share = -(-SAMPLE_MESSAGES // len(partitions))
        is_from_start = self._options.start.strip().lower() == "earliest"
        waiting, begin = set(), []
        for p in partitions:
            low, high = self._watermarks(consumer, p)
            if high > low:
                waiting.add(p)
                begin.append(self._at(p, low if is_from_start else max(low, high - share)))
        consumer.assign(begin)
        payloads: list[bytes | None] = []
        deadline = time.monotonic() + SAMPLE_S
        while waiting and len(payloads) < SAMPLE_MESSAGES and time.monotonic() < deadline:
            for message in consumer.consume(SAMPLE_MESSAGES, 0.05):
                if message.error() is None:
                    payloads.append(message.value())
                elif message.error().name() == "_PARTITION_EOF":
                    waiting.discard(message.partition())
        return [p for p in payloads if p is not None][:SAMPLE_MESSAGES]

    def _find_new_partitions(self) -> None:
        """Now and then asks whether the topic has grown; a new partition is read from its beginning."""
        from confluent_kafka import KafkaException

        now_s = self.context.clock.monotonic_s()
        if now_s - self._looked_at_s < self._options.discovery.total_seconds():
            return
        self._looked_at_s = now_s
        topic = self._options.topic
        try:
            found = self._consumer.list_topics(topic, timeout=2.0).topics[topic].partitions
        except KafkaException:
            return  # if the brokers are away for long, reading says so
        if new := sorted(set(found) - set(self._partitions)):
            self._consumer.incremental_assign([self._at(p, self._beginning()) for p in new])
            self._partitions += new
            if self._options.bounded:
                self._ends.add_empty(new)

    def _take_events(self, messages: list[Any]) -> list[Any]:
        """Takes out what is no message: the end of a partition, or an error."""
        from confluent_kafka import KafkaError

        rows = []
        for message in messages:
            error = message.error()
            if error is None:
                rows.append(message)
            elif error.code() == KafkaError._PARTITION_EOF:  # noqa: SLF001 - its public name
                self._connection.down_since = None
                self._at_end(message.partition(), message.offset())
            elif not error.retriable():
                self._failure = message
        return rows

    def _at_end(self, partition: int, offset: int) -> None:
        """All up to the end was delivered; transactions leave records of their own behind the last message."""
        offset = self._ends.come_to(partition, offset)
        self._next[partition] = max(self._next.get(partition, 0), offset)

    def _has_failed(self) -> bool:
        return self._failure is not None

    def _part(self, messages: list[Any]) -> _Part:
        """What the engine gets of them; they themselves are let go while they are few and near.

        The class's own methods are mapped: twice as fast as looking them up in each message.
        """
        from confluent_kafka import Message

        if any(map(Message.error, messages)):
            messages = self._take_events(messages)
        elif messages:
            self._connection.down_since = None
        part = _Part(
            np.fromiter(map(Message.partition, messages), np.int32, len(messages)),
            np.fromiter(map(Message.offset, messages), np.int64, len(messages)),
        )
        if self._options.bounded and messages:
            is_within = self._ends.within(part.partitions, part.offsets)
            if not is_within.all():
                messages = list(compress(messages, is_within.tolist()))
                part = _Part(part.partitions[is_within], part.offsets[is_within])
        if messages:
            newest = np.full(int(part.partitions.max()) + 1, -1)
            newest[part.partitions] = part.offsets  # of equal partitions the last one stays
            for p in np.flatnonzero(newest >= 0).tolist():
                self._next[p] = max(self._next.get(p, 0), int(newest[p]) + 1)
        part.columns[PAYLOAD] = pa.array(list(map(Message.value, messages)), pa.binary())
        if self._options.metadata:
            part.columns["kafka"] = metadata_column(
                self._options.topic, messages, part.partitions, part.offsets
            )
        return part

    def _batch(self, parts: list[_Part]) -> SourceBatch:
        partitions = np.concatenate([part.partitions for part in parts])
        offsets = np.concatenate([part.offsets for part in parts])
        return SourceBatch(
            rows=pa.concat_tables([pa.table(part.columns) for part in parts]),
            position={str(p): n for p, n in sorted(self._next.items())},
            partitions=partitions,
            places=Places(self._options.topic, partitions, offsets),
            ended_partitions=self._ends.take_reached(),
        )

    def _explain(self, event: Any) -> ConnectorError:
        from confluent_kafka import KafkaError

        if event.error().code() == KafkaError._AUTO_OFFSET_RESET:  # noqa: SLF001 - as above
            return self._forgotten(event.partition())
        return self._connection.explain(event.error())

    def _forgotten(self, partition: int) -> ConnectorError:
        """The next message is not there any more: says which ones are lost."""
        topic, wanted = self._options.topic, self._next.get(partition, 0)
        low, high = self._watermarks(self._consumer, partition)
        if wanted > high:
            return ConnectorError(
                "SM4407",
                f"{topic}[{partition}] ends at offset {high}, but offset {wanted} comes next here",
                hint="was the topic made anew? Drop the source and create it again",
            )
        return ConnectorError(
            "SM4406",
            f"{low - wanted} messages of {topic}[{partition}] are gone: offset {wanted} comes next "
            f"here, the oldest one there is {low}",
            hint="the topic's retention was too short for this pause. Drop the source and create "
            "it again to go on with what there is",
        )

    def _raise_trouble(self) -> None:
        """Nothing came: raises if that is because the brokers are away, or refuse us."""
        from confluent_kafka import KafkaException

        if refused := self._connection.refused():
            raise refused
        down = self._connection.down_since
        if down is None or time.monotonic() - down < DOWN_S:
            return
        try:
            self._consumer.list_topics(self._options.topic, timeout=1.0)
        except KafkaException:
            raise self._connection.unreachable() from None
        self._connection.down_since = None  # they are back, there was just nothing to read
