"""Connecting, and finding out what kind of server it is and whether it is ready to be read."""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from stream_magic.connectors.mysql_cdc import charsets
from stream_magic.connectors.mysql_cdc.tables import Table
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.security.redact import redact
from stream_magic.security.secrets import Secret

Tls = Literal["preferred", "off", "required", "verified"]
CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 10
_WRONG_USER = frozenset({1044, 1045, 1698, 1862, 2061})
TLS_FAILED = 2026
_DENIED = frozenset({1142, 1143, 1227, 1370})
_CHANGED = frozenset({1146, 1054, 1412})


@dataclass(frozen=True)
class Address:
    """A server, from 'mysql://user@host:port/database'."""

    host: str
    port: int
    user: str
    database: str | None
    password: Secret | None
    tls: Tls = "preferred"
    tls_ca: str | None = None

    @classmethod
    def parse(cls, url: str, password: Secret | None, tls: Tls, tls_ca: str | None) -> Address:
        """Raises ConfigError SM7041 for anything else."""
        try:
            parts = urlsplit(url)
            port = parts.port or 3306
        except ValueError:
            parts, port = urlsplit(""), 0
        if parts.scheme not in ("mysql", "mariadb") or not parts.hostname or not port:
            raise ConfigError(
                "SM7041",
                f"url '{redact(url)}' does not name a MySQL or MariaDB server",
                hint="write url = 'mysql://user@host:3306' or 'mariadb://user@host:3306/database'",
            )
        in_url = Secret(unquote(parts.password)) if parts.password else None
        return cls(
            parts.hostname,
            port,
            unquote(parts.username or "root"),
            parts.path.strip("/") or None,
            password or in_url,
            tls,
            tls_ca,
        )

    @property
    def place(self) -> str:
        return f"{self.host}:{self.port}"

    def connect(self, **more: Any) -> Any:
        """A PyMySQL connection in UTC.

        Raises:
            ConnectorError: SM4101 it does not answer (transient), SM4102 it does not let us in.
        """
        import pymysql

        settings = {
            "host": self.host, "port": self.port, "user": self.user,
            "password": self.password.reveal().encode() if self.password else b"",
            "charset": "utf8mb4", "autocommit": True, "connect_timeout": CONNECT_TIMEOUT_S,
            "read_timeout": ANSWER_TIMEOUT_S, "program_name": "stream_magic",
            "init_command": "SET time_zone = '+00:00'", **self._tls_settings(), **more,
        }  # fmt: skip
        try:
            return pymysql.connect(**settings)
        except (pymysql.MySQLError, OSError, RuntimeError) as error:
            raise self.explain(error) from None

    def _tls_settings(self) -> dict[str, Any]:
        if self.tls == "preferred":
            return {}
        if self.tls == "off":
            return {"ssl_disabled": True}
        context = ssl.create_default_context(cafile=self.tls_ca)
        if self.tls == "required":
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return {"ssl": context}

    @contextmanager
    def session(self) -> Iterator[Any]:
        """A cursor on a short-lived connection; driver errors come out as ConnectorError."""
        import pymysql

        connection = self.connect()
        try:
            with connection.cursor() as cursor:
                yield cursor
        except (pymysql.MySQLError, OSError) as error:
            raise self.explain(error) from None
        finally:
            connection._force_close()  # noqa: SLF001 - `close` would raise on a dead connection

    def explain(self, error: BaseException) -> ConnectorError:
        """A driver's error in our words, without any secret in it."""
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        secrets = (self.password,) if self.password else ()
        text = redact(str(error.args[-1]) if error.args else str(error), secrets)
        if code in _WRONG_USER:
            return ConnectorError(
                "SM4102",
                f"{self.place} does not let user '{self.user}' in: wrong user or password",
                hint="check the user in the url and password = secret('NAME')",
            )
        if code in _DENIED:
            return ConnectorError(
                "SM4105", f"user '{self.user}' may not do this: {text}", hint=_GRANT
            )
        if "cryptography" in text:
            return ConnectorError(
                "SM4102",
                f"{self.place} wants the password encrypted, and the connection is not",
                hint="write tls = 'required', or pip install cryptography",
            )
        if code == TLS_FAILED or "certificate" in text.lower():
            return ConnectorError(
                "SM4113",
                f"no encrypted connection to {self.place}: {text}",
                hint="tls = 'required' takes any certificate; tls = 'verified' with"
                " tls_ca = 'FILE' takes those that the file signs; the host must be its name",
            )
        if code in _CHANGED:
            return ConnectorError(
                "SM4104", f"the table has changed: {text}", hint="run the cell again"
            )
        if code in (0, 2002, 2003, 2005, 2006, 2013, 2014, 1053, 1040, 1203):
            return ConnectorError(
                "SM4101",
                f"{self.place} does not answer: {text}",
                hint="is the server running, and are host and port of the url right?",
                transient=True,
            )
        return ConnectorError("SM4110", f"{self.place} says: {text} ({code})", transient=True)


_GRANT = "GRANT REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.* TO the user"


@dataclass(frozen=True)
class Facts:
    """What the server says about itself."""

    variables: dict[str, str]
    version: str

    @property
    def flavour(self) -> Literal["mariadb", "mysql"]:
        return "mariadb" if "mariadb" in self.version.lower() else "mysql"

    @property
    def has_mysql_gtids(self) -> bool:
        return self.variables.get("gtid_mode", "").upper() == "ON"


_VARIABLES = (
    "log_bin", "binlog_format", "binlog_row_image", "binlog_row_metadata", "server_id",
    "gtid_mode", "binlog_row_value_options", "binlog_transaction_compression",
)  # fmt: skip


def facts_of(cursor: Any) -> Facts:
    names = ", ".join(["%s"] * len(_VARIABLES))
    cursor.execute(f"SHOW GLOBAL VARIABLES WHERE Variable_name IN ({names})", _VARIABLES)
    variables = {str(name).lower(): str(value) for name, value in cursor.fetchall()}
    cursor.execute("SELECT VERSION()")
    return Facts(variables, str(cursor.fetchone()[0]))


def not_ready(facts: Facts) -> ConnectorError | None:
    """What stands in the way of reading the log, with the statements that mend it, or None."""
    have = facts.variables
    problems: list[str] = []
    mend: list[str] = []
    restart: list[str] = []
    if have.get("log_bin", "OFF").upper() not in ("ON", "1"):
        problems.append("log_bin is OFF")
        restart.append("log_bin = bin")
    if have.get("server_id", "0") == "0":
        problems.append("server_id is 0")
        restart.append("server_id = 1")
    wanted = {"binlog_format": "ROW", "binlog_row_image": "FULL", "binlog_row_metadata": "FULL"}
    for name, value in wanted.items():
        # MySQL 9 and later may drop binlog_format: rows are all there is.
        if name == "binlog_format" and name not in have:
            continue
        if have.get(name, "not there").upper() != value:
            problems.append(f"{name} is {have.get(name, 'not there')}")
            mend.append(f"SET GLOBAL {name} = '{value}';")
    if have.get("binlog_row_value_options", ""):
        problems.append(f"binlog_row_value_options is {have['binlog_row_value_options']}")
        mend.append("SET GLOBAL binlog_row_value_options = '';")
    if have.get("binlog_transaction_compression", "OFF").upper() in ("ON", "1"):
        problems.append("binlog_transaction_compression is ON")
        mend.append("SET GLOBAL binlog_transaction_compression = OFF;")
    if not problems:
        return None
    steps = []
    if restart:
        lines = " ".join(["[mysqld]", *restart])
        steps.append(f"put into the server's configuration and restart it: {lines}")
    if mend:
        steps.append(
            f"run as an administrator: {' '.join(mend)} (open sessions keep the old value)"
        )
    return ConnectorError(
        "SM4104",
        f"the server does not log what is needed: {', '.join(problems)}",
        hint="; ".join(steps),
    )


def check_grants(cursor: Any, address: Address, facts: Facts) -> None:
    """Raises ConnectorError SM4105 if a right that is needed is not among the user's grants."""
    cursor.execute("SHOW GRANTS FOR CURRENT_USER")
    grants = [str(row[0]).upper() for row in cursor.fetchall()]
    everywhere = " ".join(g for g in grants if " ON *.*" in g)
    if "ALL PRIVILEGES" in everywhere or any(_is_role(g) for g in grants):
        return
    missing = []
    if not re.search(r"REPLICATION SLAVE\b(?! ADMIN)", everywhere):
        missing.append("REPLICATION SLAVE")
    if facts.flavour == "mysql" and not re.search(r"REPLICATION CLIENT|SUPER", everywhere):
        missing.append("REPLICATION CLIENT")
    if missing:
        listed = ", ".join(missing)
        raise ConnectorError(
            "SM4105",
            f"user '{address.user}' of {address.place} lacks the right: {listed}",
            hint=f"run as an administrator: GRANT {listed} ON *.* TO '{address.user}'@'%';",
        )


def _is_role(grant: str) -> bool:
    """'GRANT role TO user': what the role may do is not listed here, so nothing is claimed."""
    return " ON " not in grant


def check_select(cursor: Any, address: Address, tables: Sequence[Table]) -> None:
    """Raises ConnectorError SM4105 if a table cannot be read."""
    import pymysql

    for table in tables:
        try:
            cursor.execute(f"SELECT 1 FROM {quoted(table)} LIMIT 0")
        except pymysql.MySQLError as error:
            if error.args and error.args[0] not in _DENIED:
                raise
            raise ConnectorError(
                "SM4105",
                f"user '{address.user}' of {address.place} may not read {table.path}",
                hint="run as an administrator:"
                f" GRANT SELECT ON {quoted(table)} TO '{address.user}'@'%';",
            ) from None


def quoted(table: Table) -> str:
    return f"{quote(table.database)}.{quote(table.name)}"


def quote(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def charsets_of(cursor: Any, facts: Facts) -> dict[int, str]:
    """Character set by collation number, which is what table maps hold."""
    import pymysql

    sources = ["information_schema.collations"]
    if facts.flavour == "mariadb":
        # Numbers of the newer (uca1400) collations stand only here, from 10.10 on.
        sources.append("information_schema.collation_character_set_applicability")
    found: dict[int, str] = {}
    for source in sources:
        try:
            cursor.execute(f"SELECT id, character_set_name FROM {source} WHERE id IS NOT NULL")
        except pymysql.err.OperationalError:
            continue  # an older server: the column `id` is not there
        found.update({int(row[0]): str(row[1]) for row in cursor.fetchall()})
    found[63] = charsets.BINARY
    return found
