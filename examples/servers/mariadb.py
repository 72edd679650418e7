"""A private MariaDB for examples and tests: the real server, on this machine, gone afterwards.

>>> with MariaDbServer() as db:  # doctest: +SKIP
...     db.execute("CREATE DATABASE shop")
...     print(db.url("cdc"))
mysql://cdc@127.0.0.1:40211

It needs the package `mariadb-server`, which `bash tests/services/install.sh` installs.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

# What change data capture asks of a server: a binary log of rows, whole, with the columns' names.
SETTINGS = {
    "server-id": "1",
    "log-bin": "bin",
    "binlog-format": "ROW",
    "binlog-row-image": "FULL",
    "binlog-row-metadata": "FULL",
    "gtid-strict-mode": "1",
    "innodb-buffer-pool-size": "64M",
    "innodb-flush-log-at-trx-commit": "2",
    "max-allowed-packet": "64M",
}

# `root` and `shop` have no password; `cdc` reads the log. The server listens on 127.0.0.1 only.
USERS = """
CREATE OR REPLACE USER shop@'%';
GRANT ALL ON *.* TO shop@'%';
CREATE OR REPLACE USER cdc@'%' IDENTIFIED BY 'cdc';
GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO cdc@'%'
"""


class MariaDbServer:
    """One MariaDB on a free port of 127.0.0.1, in a temporary folder.

    `stop` and `start` again keep data and port, as a server that goes away and comes back does;
    leaving the `with` block, or `close`, removes everything.

    Args:
        binlog: False starts a server without a binary log, as MariaDB's own default is.
        settings: further server variables, or other values: `{"binlog-format": "STATEMENT"}`.
    """

    def __init__(self, *, binlog: bool = True, settings: dict[str, str] | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mariadb-"))
        self.port = 0
        self._settings = {**SETTINGS, **(settings or {})}
        if not binlog:
            self._settings = {k: v for k, v in self._settings.items() if "bin" not in k}
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, user: str = "root", database: str = "") -> str:
        """What `url = '...'` of a source or a cache takes."""
        return f"mysql://{user}@127.0.0.1:{self.port}" + (f"/{database}" if database else "")

    @property
    def log(self) -> Path:
        """What the server has said."""
        return self.folder / "server.log"

    def start(self, timeout_s: float = 60) -> MariaDbServer:
        """Starts the server and waits until it answers. Does nothing if it runs."""
        if self._process is not None:
            return self
        is_new = not self.port
        if is_new:
            self._prepare()
        self._process = self._launch()
        try:
            self._wait_until_it_answers(timeout_s)
        except BaseException:
            self.stop()
            raise
        if is_new:
            for statement in USERS.split(";"):
                self.execute("SET sql_log_bin = 0", statement)
        return self

    def stop(self, *, kill: bool = False) -> None:
        """Stops the server, or kills it as a crash would; data and port stay for `start`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def close(self) -> None:
        """Stops the server and removes its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> MariaDbServer:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def connect(self, user: str = "root", password: str = "", database: str | None = None) -> Any:
        """A PyMySQL connection that commits every statement."""
        import pymysql

        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user=user,
            password=password,
            database=database,
            autocommit=True,
        )

    def execute(self, *statements: str) -> None:
        """Runs statements as root, in one session."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
        finally:
            connection.close()

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """The rows of one query, as root."""
        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return list(cursor.fetchall())
        finally:
            connection.close()

    def _prepare(self) -> None:
        """Makes the system tables, once, and picks a port."""
        command = [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            f"--user={getpass.getuser()}",
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"mariadb-install-db failed: {done.stdout}{done.stderr}")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    def _launch(self) -> subprocess.Popen[bytes]:
        command = [
            _program("mariadbd"),
            "--no-defaults",
            f"--user={getpass.getuser()}",
            f"--datadir={self.folder / 'data'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            f"--socket={self.folder / 'my.sock'}",
            f"--pid-file={self.folder / 'my.pid'}",
            *(f"--{name}={value}" for name, value in self._settings.items()),
        ]
        with self.log.open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log)

    def _wait_until_it_answers(self, timeout_s: float) -> None:
        import pymysql

        deadline = time.monotonic() + timeout_s
        while True:
            try:
                self.connect().close()
            except pymysql.err.OperationalError:
                if self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"MariaDB stopped:\n{_tail(self.log)}") from None
                if time.monotonic() > deadline:
                    raise TimeoutError(f"MariaDB does not answer:\n{_tail(self.log)}") from None
                time.sleep(0.05)
            else:
                return


def _program(name: str) -> str:
    """Where a server program is; `sbin` is often not in a user's PATH."""
    places: Sequence[str] = [os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise RuntimeError(f"{name} is not installed: run 'bash tests/services/install.sh'")
    return found


def _tail(log: Path) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-20:])
