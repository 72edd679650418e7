"""Writes a topic: one transaction for each delivery, rows and mark in it together.

The mark is the offset that the group `stream_magic.<app>.<target>` commits for partition 0 of the
topic (offset = last epoch, metadata = state id), and a header of every record, in case the broker
forgets the group. The embedded broker has no transactions: there a producer that keeps order and
does not double what it sends again itself, and the mark in the headers only.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.connectors.kafka.aside import call_aside
from stream_magic.connectors.kafka.client import Connection, KafkaOptions
from stream_magic.connectors.kafka.embedded import embedded_broker
from stream_magic.connectors.kafka.keys import message_keys, upsert_keys
from stream_magic.connectors.kafka.marks import MARK_HEADER, mark_header, newest_mark
from stream_magic.contracts.options import option
from stream_magic.contracts.source import PAYLOAD
from stream_magic.contracts.target import Guarantee, Target, TargetContext
from stream_magic.core.change import WEIGHT
from stream_magic.core.epoch import Mark
from stream_magic.errors import ConfigError, ConnectorError, DeliveryError

CLIENT_MESSAGE_BYTES = 64 * 2**20  # what we are willing to send: topic and broker say no earlier
TOPIC_MESSAGE_BYTES = 16 * 2**20  # of topics that we create; Kafka's own default is 1 MB
TRANSACTION_MS = 20_000  # a killed producer's open transaction blocks readers for this long
MARK_AGAIN_S = 86_400.0  # brokers forget a group's offsets 7 days after its last commit
ABORT_S = 5.0
DOWN_S = 5.0  # all brokers away for this long: no use to wait for the answer to a commit
ASK_S = 10.0
_FENCED = {"_FENCED", "PRODUCER_FENCED", "INVALID_PRODUCER_EPOCH"}


@dataclass(frozen=True, kw_only=True)
class KafkaTargetOptions(KafkaOptions):
    """Options of the Kafka target."""

    key: tuple[str, ...] = option(
        "Columns of the message key: one as its text, several as a JSON object. On a changelog "
        "the newest row of each key is written, and a deleted key is a message without value; "
        'NULL is the key {"order_id":null} there, and no key where rows are only added.',
        default=(),
        example="'order_id'",
    )
    headers: tuple[str, ...] = option(
        "Headers of every message.", default=(), example="'source=shop, region=eu'"
    )
    guarantee: Literal["exactly_once", "at_least_once"] = option(
        "exactly_once writes in transactions; the embedded broker has none.",
        default="exactly_once",
        example="'at_least_once'",
    )
    create_topic: bool = option("Creates the topic if it is missing.", default=True)
    partitions: int = option("Partitions of a topic that is created.", default=4, example="12")
    replication: int | None = option(
        "Copies of each partition of a topic that is created; the broker decides without it.",
        default=None,
        example="3",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = option(
        "Compression of messages.", default="lz4", example="'zstd'"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.header_pairs()
        if self.partitions < 1:
            raise ConfigError("SM7406", "partitions must be at least 1")

    def header_pairs(self) -> list[tuple[str, bytes]]:
        """Name and value of each header."""
        pairs = []
        for part in self.headers:
            name, equals, value = part.partition("=")
            if not equals or not name.strip():
                raise ConfigError(
                    "SM7407",
                    f"'{part}' is no header",
                    hint="write headers = 'source=shop, region=eu'",
                )
            pairs.append((name.strip(), value.strip().encode()))
        return pairs


class KafkaTarget(Target):
    """Writes rows as messages; order is kept for each key.

    With FORMAT a row becomes one payload. Without, the column `payload` (BLOB or VARCHAR) is
    written as it is, and NULL is a message without a value.
    """

    options_type = KafkaTargetOptions
    takes_format = True
    modes = frozenset({"append", "upsert"})

    def __init__(self, options: KafkaTargetOptions, context: TargetContext) -> None:
        super().__init__(options, context)
        self._options = options
        self._connection = Connection(options, context.secrets)
        self._key = context.key or options.key
        self._check_columns()
        self._producer: Any = None
        self._group: Any = None  # what the client needs to commit an offset in a transaction
        self._mark: Mark | None = None
        self._marked_at_s = 0.0
        self._rejected: tuple[Any, int] | None = None  # a message's error and its size
        self.address = options.address
        self.detail = f"kafka, topic {options.topic}"
        if options.is_embedded:
            self.detail += " (embedded broker: in memory, about 5 MB a partition)"

    @property
    def guarantee(self) -> Guarantee:
        return "at_least_once" if self._options.is_embedded else self._options.guarantee

    @property
    def _is_transactional(self) -> bool:
        return self.guarantee == "exactly_once"

    @property
    def _group_id(self) -> str:
        return f"stream_magic.{self.context.app}.{self.context.name}"

    def check(self) -> None:
        """Raises if the brokers do not answer, the login is wrong, or a topic that we may not create is missing."""
        if self._options.is_embedded:
            return
        consumer = self._new_consumer()
        try:
            if not self._connection.partition_ids(consumer) and not self._options.create_topic:
                raise self._missing_topic(consumer, transient=False)
        finally:
            consumer.close()

    def open(self) -> None:
        settings: dict[str, Any] = {
            "enable.idempotence": True,
            "partitioner": "murmur2_random",  # Java's: equal keys go where its producers put them
            "compression.type": self._options.compression,
            "message.max.bytes": CLIENT_MESSAGE_BYTES,
            "linger.ms": 5,
            "retry.backoff.ms": 20,  # 100 makes every transaction wait for the one before: 126 ms, now 34
            "queue.buffering.max.messages": 200_000,
            "delivery.report.only.error": True,
            "on_delivery": self._on_delivery,
        }
        if self._is_transactional:
            settings["transactional.id"] = f"{self.context.state_id}.{self.context.name}"
            settings["transaction.timeout.ms"] = TRANSACTION_MS
        else:
            settings["delivery.timeout.ms"] = TRANSACTION_MS
        self._producer = self._connection.producer(settings)
        self._ensure_topic()
        if self._is_transactional:
            self._ask(self._producer.init_transactions, ASK_S)

    def last_mark(self) -> Mark | None:
        if self._mark is None or self._is_transactional:
            consumer = self._new_consumer()
            try:
                self._mark = self._committed_mark(consumer) or newest_mark(
                    consumer, self._connection, self.context.state_id, self.context.name
                )
            finally:
                consumer.close()
            self._marked_at_s = self.context.clock.monotonic_s()
        return self._mark

    def write(self, mark: Mark, rows: pa.Table) -> None:
        self._rejected = None
        keys, payloads = self._messages(rows)
        headers = [
            *self._options.header_pairs(),
            (MARK_HEADER, mark_header(mark, self.context.name)),
        ]
        if self._is_transactional:
            self._write_in_transaction(mark, keys, payloads, headers)
        else:
            self._produce(keys, payloads, headers)
            self._flush()
        self._mark = mark
        self._marked_at_s = self.context.clock.monotonic_s()

    def tick(self) -> None:
        """Keeps the mark from being forgotten while there is nothing to write."""
        if self._producer is None:
            return
        self._connection.hear(self._producer)
        age_s = self.context.clock.monotonic_s() - self._marked_at_s
        if self._is_transactional and self._mark is not None and age_s > MARK_AGAIN_S:
            self._write_in_transaction(self._mark, [], [], [])
            self._marked_at_s = self.context.clock.monotonic_s()

    def close(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            # What a failed write left is written again by the next one: nothing to wait for.
            producer.purge(blocking=False)
            self._connection.hear(producer)

    def _check_columns(self) -> None:
        schema = self.context.schema
        for name in self._key:
            if name not in schema.names:
                close = difflib.get_close_matches(name, schema.names, n=1)
                mean = f"did you mean '{close[0]}'?" if close else ""
                raise ConfigError(
                    "SM7408",
                    f"key = '{name}': there is no such column",
                    hint=mean or f"columns are: {', '.join(schema.names)}",
                )
        form = self.context.format
        if form is not None and form.is_file_only:
            raise ConfigError(
                "SM7410", f"{form.extension} is a format of files, not of messages",
                hint="write FORMAT json",
            )  # fmt: skip
        if form is None:
            kind = schema.field(PAYLOAD).type if PAYLOAD in schema.names else None
            if kind is None or not (pa.types.is_binary(kind) or pa.types.is_string(kind)):
                raise ConfigError(
                    "SM7409",
                    "a Kafka target needs a FORMAT, or a column payload to be written as it is",
                    hint="add FORMAT json",
                )

    def _new_consumer(self) -> Any:
        return self._connection.consumer(
            {
                "group.id": self._group_id,
                "enable.auto.commit": False,
                "auto.offset.reset": "error",
                "enable.partition.eof": True,
                "isolation.level": "read_committed",
            }
        )

    def _missing_topic(self, client: Any, *, transient: bool) -> ConnectorError:
        hint = "create the topic, or write create_topic = true"
        return self._connection.missing_topic(client, hint, transient=transient)

    def _ensure_topic(self) -> None:
        options = self._options
        if options.is_embedded:
            embedded_broker().ensure_topic(options.topic)
            return
        consumer = self._new_consumer()  # a producer's question may create topics by itself
        try:
            if self._connection.partition_ids(consumer):
                return
            if not options.create_topic:
                raise self._missing_topic(consumer, transient=True)
            self._create_topic()
            deadline = time.monotonic() + ASK_S
            while len(self._connection.partition_ids(consumer)) < options.partitions:
                if time.monotonic() > deadline:
                    raise self._missing_topic(consumer, transient=True)
                time.sleep(0.02)
        finally:
            consumer.close()
        self.detail = f"kafka, topic {options.topic} (created, {options.partitions} partitions)"

    def _create_topic(self) -> None:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import NewTopic

        options, admin = self._options, self._connection.admin()
        # Some services do not let topics be configured: then with their own limits.
        for config in ({"max.message.bytes": str(TOPIC_MESSAGE_BYTES)}, {}):
            topic = NewTopic(
                options.topic, options.partitions, options.replication or -1, config=config
            )
            try:
                admin.create_topics([topic], operation_timeout=ASK_S)[options.topic].result(ASK_S)
            except KafkaException as e:
                name = e.args[0].name()
                if name == "TOPIC_ALREADY_EXISTS":
                    return
                if name in ("INVALID_CONFIG", "POLICY_VIOLATION") and config:
                    continue
                error = self._connection.explain(e.args[0])
                error.hint = "create the topic by hand, or change partitions and replication"
                raise error from None
            return

    def _ask(self, call: Any, *args: Any) -> Any:
        """Calls the client while opening; its error becomes ours."""
        from confluent_kafka import KafkaException

        try:
            return call(*args)
        except KafkaException as e:
            self._connection.hear(self._producer)
            if refused := self._connection.refused():
                raise refused from None
            raise self._connection.explain(e.args[0]) from None

    def _committed_mark(self, consumer: Any) -> Mark | None:
        """The mark that the group holds; None on the embedded broker, which holds none."""
        from confluent_kafka import TopicPartition

        if not self._is_transactional:
            return None
        asked = [TopicPartition(self._options.topic, 0)]
        (held,) = self._ask(lambda: consumer.committed(asked, timeout=ASK_S))
        self._group = consumer.consumer_group_metadata()
        return Mark(held.metadata, held.offset) if held.offset >= 0 and held.metadata else None

    def _messages(self, rows: pa.Table) -> tuple[Sequence[Any], Sequence[Any]]:
        """Key and payload of each row: no payload for a deleted key."""
        if WEIGHT not in rows.column_names:
            keys = message_keys(rows, self._key) if self._key else [None] * rows.num_rows
            return keys, self._payloads(rows)
        is_kept = pc.greater(rows.column(WEIGHT), 0)
        user_rows = rows.drop_columns([WEIGHT])
        kept = iter(self._payloads(user_rows.filter(is_kept)))
        return upsert_keys(rows, self._key), [
            next(kept) if keep else None for keep in is_kept.to_pylist()
        ]

    def _payloads(self, rows: pa.Table) -> Sequence[Any]:
        if self.context.format is not None:
            return self.context.format.encode(rows)
        return cast("list[Any]", rows.column(PAYLOAD).to_pylist())

    def _produce(self, keys: Sequence[Any], payloads: Sequence[Any], headers: list[Any]) -> None:
        """Hands all messages to the client, slowed down by its full queue."""
        from confluent_kafka import KafkaException

        topic, produce = self._options.topic, self._producer.produce
        deadline = time.monotonic() + TRANSACTION_MS / 1000
        for key, payload in zip(keys, payloads, strict=True):
            while True:
                try:
                    produce(topic, payload, key, headers=headers)
                except BufferError:
                    self._connection.hear(self._producer, 0.05)
                    if self._rejected is not None or time.monotonic() > deadline:
                        raise self._failure(None) from None
                except KafkaException as e:
                    if e.args[0].name() == "MSG_SIZE_TOO_LARGE":
                        raise self._too_large_for_client(len(payload or b"")) from None
                    raise self._failure(e.args[0]) from None
                else:
                    break

    def _flush(self) -> None:
        """Waits until the broker has all messages; gives up early if no broker is there."""
        deadline = time.monotonic() + TRANSACTION_MS / 1000
        while (left := self._producer.flush(0.5)) and self._rejected is None:
            if self._is_down() or time.monotonic() > deadline:
                break
        if left or self._rejected is not None:
            raise self._failure(None)
        self._connection.down_since = None

    def _is_down(self) -> bool:
        down = self._connection.down_since
        return down is not None and time.monotonic() - down > DOWN_S

    def _write_in_transaction(
        self, mark: Mark, keys: Sequence[Any], payloads: Sequence[Any], headers: list[Any]
    ) -> None:
        from confluent_kafka import KafkaException, TopicPartition

        if self._group is None:
            self.last_mark()
        began = time.monotonic()
        position = TopicPartition(self._options.topic, 0, mark.last_epoch, mark.state_id)
        try:
            self._producer.begin_transaction()
            self._produce(keys, payloads, headers)
            self._flush()  # the next call cannot be ended before its time when brokers are away
            send, group = self._producer.send_offsets_to_transaction, self._group
            if not call_aside(lambda: self._patiently(send, [position], group), self._hopeless()):
                raise self._failure(None)
            self._patiently(self._producer.commit_transaction)
        except KafkaException as e:
            self._let_go()
            raise self._failure(e.args[0], time.monotonic() - began) from None
        except DeliveryError:
            self._let_go()
            raise

    def _hopeless(self) -> Callable[[], bool]:
        """Whether the brokers are away, or a transaction begun now has lasted too long."""
        deadline = time.monotonic() + TRANSACTION_MS / 1000

        def is_hopeless() -> bool:
            self._connection.hear(self._producer)
            return self._is_down() or time.monotonic() > deadline

        return is_hopeless

    def _patiently(self, call: Any, *args: Any) -> None:
        """Repeats a call of the transaction that was not answered yet, while there is hope."""
        from confluent_kafka import KafkaException

        deadline = time.monotonic() + TRANSACTION_MS / 1000
        while True:
            try:
                call(*args, 1.0)
            except KafkaException as e:
                self._connection.hear(self._producer)  # hears whether the brokers are away
                is_over = self._is_down() or time.monotonic() > deadline
                if is_over or e.args[0].name() != "_TIMED_OUT" or not e.args[0].retriable():
                    raise
            else:
                return

    def _let_go(self) -> None:
        """Collects what the client says about single messages, and aborts, so that readers go on."""
        from confluent_kafka import KafkaException

        self._connection.hear(self._producer)
        if self._connection.down_since is None:
            try:
                self._producer.abort_transaction(ABORT_S)
            except KafkaException:
                return  # the next `open` aborts what hangs

    def _on_delivery(self, error: Any, message: Any) -> None:
        """Called while we poll, for messages that were not delivered; the first one says why."""
        if error is not None and (self._rejected is None):
            self._rejected = (error, len(message.value() or b"") + len(message.key() or b""))

    def _failure(self, error: Any, lasted_s: float = 0.0) -> DeliveryError:
        """Our error for a delivery that failed; a message's own error says more than the call's."""
        topic = self._options.topic
        if self._rejected is not None:
            error, size = self._rejected
            if error.name() in ("MSG_SIZE_TOO_LARGE", "INVALID_MSG_SIZE"):
                return self._too_large(size)
        if error is None:
            unreachable = self._connection.unreachable()
            return DeliveryError(
                "SM6401", unreachable.message, hint=unreachable.hint, transient=True
            )
        if error.name() in _FENCED and lasted_s < TRANSACTION_MS / 1000:
            return DeliveryError(
                "SM6403",
                f"another run of app {self.context.app} has taken over writing to {topic}",
                hint="stop one of them, then retry",
            )
        explained = self._connection.explain(error)
        is_for_good = explained.code in ("SM4402", "SM4403")
        return DeliveryError(
            "SM6402",
            f"{topic} did not take the rows: {explained.message}",
            hint=explained.hint,
            transient=not is_for_good,
        )

    def _too_large(self, size: int) -> DeliveryError:
        """The broker did not take the message."""
        limit = self._topic_limit()
        said = f", the limit of topic {self._options.topic} is {limit:,}" if limit else ""
        return DeliveryError(
            "SM6404",
            f"a message of {size:,} bytes is too large{said}",
            hint="raise max.message.bytes of the topic (message.max.bytes of the broker), "
            "or write fewer columns",
        )

    def _too_large_for_client(self, size: int) -> DeliveryError:
        """Our own client did not take the message."""
        limit = int(self._options.properties.get("message.max.bytes", CLIENT_MESSAGE_BYTES))
        return DeliveryError(
            "SM6404",
            f"a message of {size:,} bytes is too large, the limit of this target is {limit:,}",
            hint="write properties.message.max.bytes = ..., and raise max.message.bytes of the topic",
        )

    def _topic_limit(self) -> int | None:
        """What the topic says it takes; None if it cannot be asked."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import ConfigResource, ResourceType

        resource = ConfigResource(ResourceType.TOPIC, self._options.topic)
        try:
            admin = self._connection.admin()
            answer = admin.describe_configs([resource], request_timeout=5.0)[resource].result(5)
        except (KafkaException, ConfigError, TimeoutError):
            return None
        entry = answer.get("max.message.bytes")
        return int(entry.value) if entry is not None else None
