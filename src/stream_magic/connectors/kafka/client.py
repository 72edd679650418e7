"""What source and target share: the options of a connection, clients, and what their errors mean.

librdkafka reconnects by itself and reports trouble to a callback, which runs while we poll.
`Connection` keeps what it said, so that a call that timed out can be explained.
"""

from __future__ import annotations

import contextlib
import difflib
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from stream_magic.connectors.kafka.embedded import EMBEDDED, embedded_broker
from stream_magic.contracts.options import Options, option
from stream_magic.errors import ConfigError, ConnectorError, NotThereError
from stream_magic.security.redact import redact
from stream_magic.security.secrets import Secret

ANSWER_S = 8.0  # a broker that has not answered by then counts as unreachable
FAIL_FAST_S = 2.0  # all brokers refuse the connection: no need to wait for longer

# The library's own messages go here, never to the terminal: its threads must not print.
_LOGGER = logging.getLogger("stream_magic.kafka")
_LOGGER.addHandler(logging.NullHandler())

_OURS = {
    "bootstrap.servers": "write brokers = '...'",
    "sasl.username": "write username = '...'",
    "sasl.password": "write password = secret('...')",
    "isolation.level": "only committed messages are read",
    "enable.auto.commit": "positions are kept with the state of the app",
    "enable.auto.offset.store": "positions are kept with the state of the app",
    "auto.offset.reset": "write start = 'earliest', 'latest' or a time",
    "enable.partition.eof": "it is needed to know the end",
    "transactional.id": "it is made from the state of the app",
    "enable.idempotence": "it is needed to keep order and avoid duplicates",
}
_BAD_LOGIN = {"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "UNSUPPORTED_SASL_MECHANISM"}
_NOT_ALLOWED = {
    "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED",
    "TRANSACTIONAL_ID_AUTHORIZATION_FAILED",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class KafkaOptions(Options):
    """How to reach the brokers, and the topic."""

    brokers: str = option(
        "Addresses of some brokers, or 'embedded': a small broker in this process, in memory, "
        "4 partitions a topic, about 5 MB each, no transactions.",
        example="'localhost:9092'",
    )
    topic: str = option("Name of the topic.", example="'orders'")
    security: Literal["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] | None = option(
        "How to connect: sasl_ssl if there is a username, else plaintext.",
        default=None,
        example="'sasl_ssl'",
    )
    username: str | None = option("Name to log in with.", default=None, example="'shop'")
    password: Secret | None = option(
        "Password to log in with.", default=None, example="secret('kafka_password')"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = option(
        "How the password is proved.", default="PLAIN", example="'SCRAM-SHA-512'"
    )
    ca_file: str | None = option(
        "Certificates of the authorities that the brokers' certificates are checked by.",
        default=None,
        example="'ca.pem'",
    )
    properties: dict[str, str] = option(
        "Any further property of librdkafka.",
        default={},
        example="'5000'",
        prefix="properties",
    )

    def __post_init__(self) -> None:
        for name in self.properties:
            if name in _OURS:
                raise ConfigError(
                    "SM7401", f"properties.{name} is set by stream_magic", hint=_OURS[name]
                )
        if (self.username is None) != (self.password is None):
            missing = "password" if self.password is None else "username"
            raise ConfigError(
                "SM7402", f"a login needs username and password: {missing} is missing"
            )
        if not self.topic.strip():
            raise ConfigError("SM7403", "topic is empty", hint="write topic = 'orders'")

    @property
    def is_embedded(self) -> bool:
        return self.brokers.strip().lower() == EMBEDDED

    @property
    def address(self) -> str:
        """The topic's one name, the same for source and target."""
        brokers = sorted(b.strip() for b in self.brokers.split(",") if b.strip())
        return f"kafka://{EMBEDDED if self.is_embedded else ','.join(brokers)}/{self.topic}"

    @property
    def where(self) -> str:
        """The brokers, as said in messages."""
        return "the embedded Kafka" if self.is_embedded else f"Kafka at {self.brokers}"


class Connection:
    """Makes clients for one source or target and explains their errors.

    Args:
        options: the connection options.
        secrets: never shown in a message.
    """

    def __init__(self, options: KafkaOptions, secrets: Sequence[Secret] = ()) -> None:
        self.options = options
        own = () if options.password is None else (options.password,)
        self._secrets = (*secrets, *own)
        self._refusal: Any = None  # the last error that trying again will not mend
        self._trouble = ""  # the last thing that a broker connection said
        self.down_since: float | None = None
        """When all brokers went away (`time.monotonic`), or None."""

    def consumer(self, settings: dict[str, Any]) -> Any:
        from confluent_kafka import Consumer

        return self._make(Consumer, settings)

    def producer(self, settings: dict[str, Any]) -> Any:
        from confluent_kafka import Producer

        return self._make(Producer, settings)

    def admin(self) -> Any:
        from confluent_kafka.admin import AdminClient

        return self._make(AdminClient, {})

    def _make(self, kind: Any, settings: dict[str, Any]) -> Any:
        from confluent_kafka import KafkaException

        self._refusal, self._trouble, self.down_since = None, "", None
        try:
            return kind({**settings, **self._common(), "error_cb": self._on_error}, logger=_LOGGER)
        except (KafkaException, TypeError, ValueError) as e:
            detail = e.args[0].str() if isinstance(e, KafkaException) else str(e)
            raise ConfigError(
                "SM7404",
                f"the Kafka client does not take these options: {self.redact(detail)}",
                hint="names and values of properties.* are those of librdkafka",
            ) from None

    def _common(self) -> dict[str, Any]:
        options = self.options
        if options.is_embedded:
            return {"bootstrap.servers": embedded_broker().bootstrap, **options.properties}
        security = options.security or ("sasl_ssl" if options.username else "plaintext")
        settings: dict[str, Any] = {
            "bootstrap.servers": options.brokers,
            "security.protocol": security,
            "socket.connection.setup.timeout.ms": 5000,
            "reconnect.backoff.max.ms": 2000,
        }
        if options.username is not None and options.password is not None:
            settings["sasl.mechanism"] = options.sasl_mechanism
            settings["sasl.username"] = options.username
            settings["sasl.password"] = options.password.reveal()
        if options.ca_file:
            settings["ssl.ca.location"] = options.ca_file
        return {**settings, **options.properties}

    def _on_error(self, error: Any) -> None:
        """Called by the library while we poll."""
        name = error.name()
        if name in _BAD_LOGIN or name in _NOT_ALLOWED or error.fatal():
            self._refusal = error
        elif name == "_ALL_BROKERS_DOWN":
            if self.down_since is None:
                self.down_since = time.monotonic()
        else:
            self._trouble = error.str()

    @staticmethod
    def hear(client: Any, timeout_s: float = 0.0) -> None:
        """Lets the library call back. A client that has failed for good raises here: its next call says why."""
        from confluent_kafka import KafkaException

        with contextlib.suppress(KafkaException):
            client.poll(timeout_s)

    def redact(self, text: str) -> str:
        return redact(text, self._secrets)

    def refused(self) -> ConnectorError | None:
        """What makes every further attempt useless, if anything."""
        return None if self._refusal is None else self.explain(self._refusal)

    def unreachable(self) -> ConnectorError:
        """No broker answers; trying again may help."""
        said = f": {self.redact(self._trouble)}" if self._trouble else ""
        return ConnectorError(
            "SM4401",
            f"{self.options.where} does not answer{said}",
            hint="is the broker running, and are brokers and security right?",
            transient=True,
        )

    def explain(self, error: Any) -> ConnectorError:
        """Our error for the library's."""
        name, said = error.name(), self.redact(error.str())
        options = self.options
        if name in _BAD_LOGIN:
            return ConnectorError(
                "SM4402",
                f"{options.where} refuses the login of {options.username or 'nobody'}: {said}",
                hint="check username, password, sasl_mechanism and security",
            )
        if name in _NOT_ALLOWED:
            return ConnectorError(
                "SM4403",
                f"{options.username or 'anonymous'} may not use topic {options.topic}: {said}",
                hint="ask for rights on the topic, its group and its transactional id",
            )
        transient = not error.fatal() and name not in {"_SSL", "TOPIC_EXCEPTION", "_INVALID_ARG"}
        return ConnectorError("SM4404", f"{options.where}: {said}", transient=transient)

    def metadata(self, client: Any, topic: str | None = None, timeout_s: float = ANSWER_S) -> Any:
        """Topics and partitions, asked from the brokers.

        Never with a consumer that has been assigned partitions: it polls, and would take a message.

        Raises:
            ConnectorError: nobody answered in time (transient), or the login is wrong.
        """
        from confluent_kafka import KafkaException

        began = time.monotonic()
        while True:
            try:
                args = () if topic is None else (topic,)
                answer = client.list_topics(*args, timeout=1.0)
            except KafkaException as e:
                self.hear(client)  # the callback says why
                if refused := self.refused():
                    raise refused from None
                waited = time.monotonic() - began
                is_down = self.down_since is not None and waited >= FAIL_FAST_S
                if is_down or waited >= timeout_s:
                    raise self.unreachable() from None
                if not e.args[0].retriable() and e.args[0].name() not in {
                    "_TRANSPORT", "_TIMED_OUT", "_ALL_BROKERS_DOWN", "_RESOLVE",
                }:  # fmt: skip
                    raise self.explain(e.args[0]) from None
            else:
                self.down_since = None
                return answer

    def partition_ids(self, client: Any, timeout_s: float = ANSWER_S) -> list[int]:
        """Partitions of the topic; [] if there is no such topic."""
        topic = self.options.topic
        found = self.metadata(client, topic, timeout_s).topics.get(topic)
        if found is None or (found.error is not None and not found.partitions):
            if found is not None and found.error.name() not in {
                "UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "LEADER_NOT_AVAILABLE",
            }:  # fmt: skip
                raise self.explain(found.error)
            return []
        return sorted(found.partitions)

    def missing_topic(self, client: Any, hint: str, *, transient: bool) -> NotThereError:
        """The topic is not there: with the names that are like it."""
        topic = self.options.topic
        names = [n for n in self.metadata(client).topics if not n.startswith("__")]
        close = difflib.get_close_matches(topic, names, n=3)
        mean = f"did you mean {' or '.join(repr(n) for n in close)}? " if close else ""
        return NotThereError(
            "SM4405",
            f"{self.options.where} has no topic '{topic}'",
            hint=f"{mean}{hint}",
            transient=transient,
        )
