"""Tables and queries of MySQL and MariaDB.

The types are those of the connector `mysql-cdc`, so that a key of a change joins with a key of the
cache; here they come from the description of the result (a test holds that both agree).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from stream_magic.caches.database.cache import Reader
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.security.redact import redact
from stream_magic.security.secrets import Secret

CONNECT_TIMEOUT_S, SCHEMA_TIMEOUT_S, LOAD_TIMEOUT_S = 5, 10, 600
CHUNK_ROWS = 50_000
_UNSIGNED, _ENUM, _SET = 32, 256, 2048
_BINARY_CHARSET = 63
_FLOAT, _DECIMALS, _BIT, _TIME = 4, (0, 246), 16, 11
_DATES = (7, 10, 12, 14)
_INTEGERS = {
    1: (pa.int8(), pa.uint8()), 2: (pa.int16(), pa.uint16()), 9: (pa.int32(), pa.uint32()),
    3: (pa.int32(), pa.uint32()), 8: (pa.int64(), pa.uint64()),
}  # fmt: skip
_PLAIN = {
    4: pa.float32(), 5: pa.float64(), 6: pa.string(), 7: pa.timestamp("us"), 10: pa.date32(),
    11: pa.duration("us"), 12: pa.timestamp("us"), 13: pa.int16(), 14: pa.date32(),
    245: pa.string(), 255: pa.binary(),
}  # fmt: skip
_TIME_TEXT = re.compile(r"(-?)(\d+):(\d\d):(\d\d)(?:\.(\d{1,6}))?")
_WRONG_USER = frozenset({1044, 1045, 1698, 1862, 2061})
_NO_ANSWER = frozenset({0, 2002, 2003, 2005, 2006, 2013, 2014, 1040, 1053, 1203})


def arrow_type(field: Any) -> pa.DataType:
    """The type of a result's column, from its description in the protocol."""
    code = field.type_code
    if code in _INTEGERS:
        return _INTEGERS[code][bool(field.flags & _UNSIGNED)]
    if code in _DECIMALS:
        # The length counts a sign and a point as well.
        digits = field.length - (field.scale > 0) - (not field.flags & _UNSIGNED)
        return pa.decimal128(digits, field.scale) if digits <= 38 else pa.string()
    if code == _BIT:
        return pa.bool_() if field.length == 1 else pa.uint64()
    if code in _PLAIN:
        return _PLAIN[code]
    is_bytes = field.charsetnr == _BINARY_CHARSET and not field.flags & (_ENUM | _SET)
    return pa.binary() if is_bytes else pa.string()


def from_text(values: Sequence[Any], code: int, type_: pa.DataType) -> pa.Array:
    """Values as the text protocol has them; zero dates are NULL."""
    if code in _DATES:
        values = [None if v is None or "-00" in v else v for v in values]
    elif code == _TIME:
        return pa.array([None if v is None else _time_us(v) for v in values], type_)
    elif code == _BIT:
        numbers = [None if v is None else int.from_bytes(v, "big") for v in values]
        return pa.array(numbers, pa.uint64()).cast(type_)
    if pa.types.is_binary(type_):
        return pa.array(values, type_)
    texts = pa.array(values, pa.string())
    return texts.cast(pa.float64()).cast(type_) if pa.types.is_float32(type_) else texts.cast(type_)


def _time_us(text: str) -> int:
    found = _TIME_TEXT.fullmatch(text)
    if found is None:
        raise ValueError(f"'{text}' is not a time")
    sign, hours, minutes, seconds, fraction = found.groups()
    us = (int(hours) * 3600 + int(minutes) * 60 + int(seconds)) * 1_000_000
    us += int((fraction or "").ljust(6, "0"))
    return -us if sign else us


class MysqlReader(Reader):
    """Runs the query in a read-only transaction, in UTC."""

    def __init__(
        self, url: str, table: str | None, query: str | None, password: Secret | None
    ) -> None:
        parts = urlsplit(url)
        try:
            self._port = parts.port or 3306
        except ValueError:
            raise ConfigError("SM7046", f"the port in '{redact(url)}' is no number") from None
        self._host = parts.hostname or "localhost"
        self._user = unquote(parts.username or "root")
        self._database = parts.path.strip("/") or None
        in_url = Secret(unquote(parts.password)) if parts.password else None
        self._password = password or in_url
        self._table = table
        self._query = (
            f"SELECT * FROM {_quoted_path(table)}" if table else (query or "").rstrip("; \n")
        )

    def schema(self) -> pa.Schema:
        with self._session(SCHEMA_TIMEOUT_S, self._database) as cursor:
            return _schema(self._describe(cursor))

    def load(self) -> pa.Table:
        with self._session(LOAD_TIMEOUT_S, self._database) as cursor:
            fields = self._describe(cursor)
            schema = _schema(fields)
            cursor.execute(self._exact(fields))
            chunks = [schema.empty_table()]
            while rows := cursor.fetchmany(CHUNK_ROWS):
                columns = zip(*rows, strict=True)
                arrays = [_column(*both) for both in zip(columns, fields, schema, strict=True)]
                chunks.append(pa.table(arrays, schema=schema))
        return pa.concat_tables(chunks)

    def _describe(self, cursor: Any) -> list[Any]:
        """The result's columns, without running the query."""
        cursor.execute(f"SELECT * FROM ({self._query}) AS q LIMIT 0")
        fields: list[Any] = cursor._result.fields  # noqa: SLF001 - `description` lacks the sign
        cursor.fetchall()
        return fields

    def _exact(self, fields: Sequence[Any]) -> str:
        """The query as it is, for its order counts; with FLOATs, one that makes DOUBLEs of them.

        A FLOAT is shown with six digits only.
        """
        if all(f.type_code != _FLOAT for f in fields):
            return self._query
        columns = []
        for f in fields:
            name = _quoted(f.name)
            columns.append(f"CAST({name} AS DOUBLE)" if f.type_code == _FLOAT else name)
        return f"SELECT {', '.join(columns)} FROM ({self._query}) AS q"

    @contextmanager
    def _session(self, timeout_s: float, database: str | None) -> Iterator[Any]:
        """A cursor in a transaction that only reads; driver errors come out as ConnectorError."""
        import pymysql
        from pymysql.converters import encoders
        from pymysql.cursors import SSCursor

        connection = None
        try:
            connection = pymysql.connect(
                host=self._host,
                port=self._port,
                user=self._user,
                password=self._password.reveal().encode() if self._password else b"",
                database=database,
                charset="utf8mb4",
                connect_timeout=CONNECT_TIMEOUT_S,
                read_timeout=timeout_s,
                program_name="stream_magic",
                init_command="SET time_zone = '+00:00'",
                conv=encoders,  # values come as texts, which Arrow parses
                cursorclass=SSCursor,
            )
            cursor = connection.cursor()
            cursor.execute("START TRANSACTION READ ONLY")
            yield cursor
        except (pymysql.MySQLError, OSError, RuntimeError) as error:
            raise self._explain(error) from None
        finally:
            if connection is not None:
                _drop(connection)

    def _explain(self, error: Exception) -> ConnectorError:
        code = error.args[0] if error.args and isinstance(error.args[0], int) else 0
        secrets = (self._password,) if self._password else ()
        text = redact(str(error.args[-1]) if error.args else str(error), secrets)
        place = f"{self._host}:{self._port}"
        if code in _WRONG_USER:
            return ConnectorError(
                "SM4202",
                f"{place} does not let user '{self._user}' in: wrong user, password or database",
                hint="check the url and password = secret('NAME')",
            )
        if "cryptography" in text:
            return ConnectorError(
                "SM4202",
                f"{place} wants the password encrypted",
                hint="pip install cryptography, or let the server offer TLS",
            )
        if code in _NO_ANSWER:
            return ConnectorError(
                "SM4201",
                f"{place} does not answer: {text}",
                hint="is the server running, and are host and port of the url right?",
                transient=True,
            )
        if code in (1146, 1046, 1049):
            return ConnectorError("SM4203", text, hint=self._close_table())
        return ConnectorError(
            "SM4204", f"the database refuses the query: {text} ({code})", hint=_hint_for(code)
        )

    def _close_table(self) -> str | None:
        """'did you mean', if the table was named by an option."""
        if self._table is None:
            return "name tables as DATABASE.TABLE, or put the database into the url"
        wanted = self._table if "." in self._table else f"{self._database}.{self._table}"
        try:
            with self._session(SCHEMA_TIMEOUT_S, None) as cursor:
                cursor.execute("SELECT table_schema, table_name FROM information_schema.tables")
                names = [f"{database}.{table}" for database, table in cursor.fetchall()]
        except ConnectorError:
            return None
        close = difflib.get_close_matches(wanted, names, n=1)
        return f"did you mean '{close[0]}'?" if close else None


def _hint_for(code: int) -> str | None:
    if code == 1060:
        return "give each column a name of its own: SELECT a.id AS a_id, b.id AS b_id ..."
    if code in (1142, 1143):
        return "run as an administrator: GRANT SELECT ON the table TO the user"
    return None


def _drop(connection: Any) -> None:
    """Closes without reading the rest of a result, which `close` would do."""
    result = connection._result  # noqa: SLF001
    if result is not None:
        result.unbuffered_active = False
        connection._result = None  # noqa: SLF001
    connection._force_close()  # noqa: SLF001


def _schema(fields: Sequence[Any]) -> pa.Schema:
    return pa.schema([pa.field(f.name, arrow_type(f)) for f in fields])


def _column(values: Sequence[Any], described: Any, field: pa.Field) -> pa.Array:
    try:
        return from_text(values, described.type_code, field.type)
    except (pa.ArrowInvalid, ValueError) as error:
        raise ConnectorError(
            "SM4206",
            f"column '{field.name}' holds a value that is no {field.type}: {error}",
            hint="leave the column out by query = 'SELECT ...', or mend the value",
        ) from None


def _quoted_path(path: str) -> str:
    """shop.orders -> `shop`.`orders`."""
    return ".".join(_quoted(part) for part in path.replace("`", "").split("."))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"
