"""A private Apache Kafka for examples and tests: the real broker, on this machine, gone afterwards.

>>> with KafkaServer() as kafka:  # doctest: +SKIP
...     kafka.create_topic("orders", partitions=4)
...     print(kafka.bootstrap)
127.0.0.1:41873

It needs Java 17 or later and Kafka's jars, which `bash tests/services/install.sh` fetches.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType

REPOSITORY = Path(__file__).resolve().parents[2]

# One process is broker and controller; everything is kept once; nothing waits for a second node.
SETTINGS = """
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller_port}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
num.partitions=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
"""

# A second door for those who log in with a password.
LOGIN_SETTINGS = """
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port},LOGIN://127.0.0.1:{login_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},LOGIN://127.0.0.1:{login_port}
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,LOGIN:SASL_PLAINTEXT
listener.name.login.sasl.enabled.mechanisms=PLAIN
listener.name.login.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required {users};
"""

# A small heap and the quick compiler only: 3 s instead of 6 s until it answers (docs/decisions/0003).
JAVA_OPTIONS = ("-Xms64m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")


class KafkaServer:
    """One Kafka node on a free port of 127.0.0.1, in a temporary folder.

    `stop` and `start` again keep data and port, as a broker that goes away and comes back does;
    leaving the `with` block, or `close`, removes everything.

    Args:
        folder: where to keep data and log; a temporary one that is removed if not given.
        users: name and password of those who may log in at `bootstrap_with_login`
            (`security = 'sasl_plaintext'`); `bootstrap` asks nobody for a password.
    """

    def __init__(self, folder: Path | None = None, users: dict[str, str] | None = None) -> None:
        self._is_temporary = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="kafka-"))
        self._users = users or {}
        self._port = self._login_port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap(self) -> str:
        """What clients connect to: `brokers = '...'` in StreamSQL."""
        return f"127.0.0.1:{self._port}"

    @property
    def bootstrap_with_login(self) -> str:
        """The same broker for clients with name and password."""
        return f"127.0.0.1:{self._login_port}"

    @property
    def log(self) -> Path:
        """What the broker has said."""
        return self.folder / "broker.log"

    def start(self, timeout_s: float = 60) -> KafkaServer:
        """Starts the broker and waits until it answers. Does nothing if it runs."""
        if self._process is None:
            if not self._port:
                self._format_storage()
            self._process = self._launch("kafka.Kafka")
            try:
                self._wait_until_it_answers(timeout_s)
            except BaseException:
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """Stops the broker; data and port stay, so that `start` goes on with them."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stops the broker and removes its folder if that is a temporary one."""
        self.stop()
        if self._is_temporary:
            shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> KafkaServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def create_topic(
        self, name: str, partitions: int = 1, config: dict[str, str] | None = None
    ) -> None:
        """Makes a topic and waits until it can be used."""
        from confluent_kafka.admin import AdminClient, NewTopic

        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.create_topics([NewTopic(name, partitions, 1, config=config or {})])[name].result(30)
        deadline = time.monotonic() + 30
        while len(admin.list_topics(name, timeout=10).topics[name].partitions) < partitions:
            if time.monotonic() > deadline:
                raise TimeoutError(f"the topic {name} has not come up")

    def _format_storage(self) -> None:
        """Writes server.properties on free ports and prepares the data folder, once."""
        port, controller_port, login_port = free_ports(3)
        self.folder.mkdir(parents=True, exist_ok=True)
        lines = SETTINGS.format(
            port=port, controller_port=controller_port, data=self.folder / "data"
        )
        if self._users:
            users = " ".join(f'user_{name}="{word}"' for name, word in self._users.items())
            lines += LOGIN_SETTINGS.format(
                port=port, controller_port=controller_port, login_port=login_port, users=users
            )
        (self.folder / "server.properties").write_text(lines)
        tool = self._launch(
            "kafka.tools.StorageTool", "format", "--cluster-id", "c3RyZWFtX21hZ2ljX2thZg", "-c"
        )
        if tool.wait(60) != 0:
            raise RuntimeError(f"Kafka's storage could not be prepared:\n{self._last_words()}")
        self._port, self._login_port = port, login_port

    def _launch(self, main_class: str, *arguments: str) -> subprocess.Popen[bytes]:
        java = shutil.which("java")
        if java is None:
            raise FileNotFoundError(
                "Kafka needs Java 17 or later: run 'bash tests/services/install.sh'"
            )
        command = [
            java, *JAVA_OPTIONS,
            # Without a logging back-end on the class path these two do no harm.
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            "-Dorg.slf4j.simpleLogger.showDateTime=true",
            "-cp", f"{kafka_jars()}/*",
            main_class, *arguments, str(self.folder / "server.properties"),
        ]  # fmt: skip
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, stdout=log, stderr=subprocess.STDOUT, cwd=self.folder,
                start_new_session=True,  # Ctrl-C in the notebook's terminal is not for the broker
            )  # fmt: skip

    def _wait_until_it_answers(self, timeout_s: float) -> None:
        """Answering means: a client gets the list of topics, not only an open port."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        deadline = time.monotonic() + timeout_s
        admin = None
        while time.monotonic() < deadline:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"Kafka ended while it started:\n{self._last_words()}")
            if admin is None and self._port_is_open():
                admin = AdminClient({"bootstrap.servers": self.bootstrap, "log_level": 0})
            if admin is not None:
                try:
                    admin.list_topics(timeout=2)
                except KafkaException:
                    pass
                else:
                    return
            time.sleep(0.05)
        raise TimeoutError(f"Kafka did not answer in {timeout_s:g} s:\n{self._last_words()}")

    def _port_is_open(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex(("127.0.0.1", self._port)) == 0

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-20:])


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody uses now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def kafka_jars() -> Path:
    """The folder with Kafka's jars.

    Raises:
        FileNotFoundError: they are not there; the message says how to get them.
    """
    services = os.environ.get("STREAM_MAGIC_SERVICES")
    folder = (Path(services) if services else REPOSITORY / ".services") / "kafka" / "libs"
    if not any(folder.glob("kafka-server-*.jar")):
        raise FileNotFoundError(
            f"Kafka's jars are not in {folder}: run 'bash tests/services/install.sh'"
        )
    return folder
