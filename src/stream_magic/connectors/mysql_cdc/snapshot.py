"""The rows that are there when the source begins, and the place in the log where they end.

MariaDB tells the place of a consistent snapshot without any lock. MySQL does not: there, as Debezium
documents it, a global read lock is held for the instant between opening the snapshot and reading
the log's end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from stream_magic.connectors.mysql_cdc.position import LogPosition, parse_mysql_gtids
from stream_magic.connectors.mysql_cdc.rows import (
    MAX_BATCH_BYTES,
    SOURCE_FIELDS,
    Batch,
    change_schema,
)
from stream_magic.connectors.mysql_cdc.server import Address, Facts, quote, quoted
from stream_magic.connectors.mysql_cdc.tables import Column, Table
from stream_magic.connectors.mysql_cdc.text import from_text
from stream_magic.contracts.source import BadRow
from stream_magic.errors import ConnectorError

SNAPSHOT = "r"
# The engine may take its time between two reads; the server must not give up meanwhile.
PATIENCE_S = 86_400
READ_TIMEOUT_S = 600


class Snapshot:
    """Streams the tables' rows as of one place in the log, `position`.

    Args:
        address: of the server.
        facts: about it.
        tables: to read; none gives just the position.
        fields: columns of all tables.
    """

    def __init__(
        self, address: Address, facts: Facts, tables: Sequence[Table], fields: Sequence[pa.Field]
    ) -> None:
        import pymysql
        from pymysql.converters import encoders
        from pymysql.cursors import SSCursor

        self._address = address
        self._tables = tables
        self._fields = fields
        # Encoders only: values come as texts, which Arrow parses by the column.
        self._connection = address.connect(
            conv=encoders, cursorclass=SSCursor, read_timeout=READ_TIMEOUT_S
        )
        try:
            with self._connection.cursor() as cursor:
                cursor.execute(f"SET SESSION net_write_timeout = {PATIENCE_S}")
                self.position = begin(cursor, facts)
                cursor.execute("SELECT UNIX_TIMESTAMP()")
                self._ts_us = int(cursor.fetchall()[0][0]) * 1_000_000
        except (pymysql.MySQLError, OSError) as error:
            self.close()
            raise address.explain(error) from None
        self._chunks = self._stream()
        self._most = 1

    def read(self, max_rows: int) -> Batch | None:
        """The next rows; None at the end."""
        import pymysql

        self._most = max_rows
        try:
            return next(self._chunks, None)
        except (pymysql.MySQLError, OSError) as error:
            raise self._address.explain(error) from None

    def close(self) -> None:
        """May be called twice."""
        result = self._connection._result  # noqa: SLF001 - or it would read the rest when collected
        if result is not None:
            result.unbuffered_active = False
            self._connection._result = None  # noqa: SLF001 - and so would its cursor
        self._connection._force_close()  # noqa: SLF001 - `close` would read the rest of the rows

    def _stream(self) -> Iterator[Batch]:
        for table in self._tables:
            columns = ", ".join(_selected(c) for c in table.columns)
            cursor = self._connection.cursor()
            cursor.execute(f"SELECT {columns} FROM {quoted(table)}")
            while rows := _fetch(cursor, self._most):
                yield self._batch(table, rows)

    def _batch(self, table: Table, rows: Sequence[Sequence[Any]]) -> Batch:
        by_name: dict[str, pa.Array] = {}
        bad: dict[int, str] = {}
        for column, values in zip(table.columns, zip(*rows, strict=True), strict=True):
            by_name[column.name], wrong = from_text(values, column)
            for i, reason in wrong.items():
                bad.setdefault(i, f"{table.path}, column '{column.name}': {reason}")
        count = len(rows)
        arrays = [by_name.get(f.name, pa.nulls(count, f.type)) for f in self._fields]
        after = pa.StructArray.from_arrays(arrays, fields=list(self._fields))
        schema = change_schema(self._fields)
        result = pa.table(
            [
                pa.repeat(pa.scalar(SNAPSHOT, pa.string()), count),
                pa.nulls(count, after.type),
                after,
                pa.repeat(pa.scalar(self._ts_us, pa.timestamp("us")), count),
                pa.repeat(pa.scalar(self._source(table), SOURCE_FIELDS), count),
            ],
            schema=schema,
        )
        if not bad:
            return Batch(result, [])
        errors = [
            BadRow(repr(rows[i]).encode(), reason, f"snapshot of {table.path}")
            for i, reason in sorted(bad.items())
        ]
        return Batch(result.filter(pa.array([i not in bad for i in range(count)])), errors)

    def _source(self, table: Table) -> dict[str, Any]:
        return {
            "database": table.database,
            "table": table.name,
            "file": self.position.file,
            "pos": self.position.pos,
            "gtid": self.position.gtid,
            "transaction": None,
            "row": None,
        }


def _fetch(cursor: Any, most: int) -> list[Sequence[Any]]:
    """The next rows, at most `most` and about 32 MB."""
    rows: list[Sequence[Any]] = []
    size = 0
    while len(rows) < most and size < MAX_BATCH_BYTES:
        row = cursor.fetchone()
        if row is None:
            break
        rows.append(row)
        size += sum(map(len, filter(None, row)))
    return rows


def _selected(column: Column) -> str:
    """A FLOAT is shown with six digits only, unless it is made a DOUBLE first."""
    name = quote(column.name)
    return f"CAST({name} AS DOUBLE)" if column.kind == "float" else name


def check_engines(tables: Sequence[Table]) -> None:
    """Raises ConnectorError SM4111 for tables whose rows no transaction can freeze."""
    wrong = [t for t in tables if not t.is_transactional]
    if wrong:
        statements = " ".join(f"ALTER TABLE {quoted(t)} ENGINE = InnoDB;" for t in wrong)
        raise ConnectorError(
            "SM4111",
            f"no consistent snapshot of {', '.join(t.path for t in wrong)}: the engine has no"
            " transactions",
            hint=f"run {statements} or write snapshot = 'never'",
        )


def begin(cursor: Any, facts: Facts) -> LogPosition:
    """Opens a snapshot on the cursor's connection and says which place in the log it shows."""
    cursor.execute("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    if facts.flavour == "mariadb":
        return _begin_mariadb(cursor)
    return _begin_mysql(cursor, facts)


def _begin_mariadb(cursor: Any) -> LogPosition:
    cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
    cursor.execute("SHOW STATUS LIKE 'binlog_snapshot_%'")
    status = {str(row[0]).lower(): str(row[1]) for row in cursor.fetchall()}
    file, pos = status["binlog_snapshot_file"], int(status["binlog_snapshot_position"])
    cursor.execute("SELECT BINLOG_GTID_POS(%s, %s)", (file, pos))
    gtid = cursor.fetchall()[0][0]
    return LogPosition("mariadb", file, pos, None if gtid is None else str(gtid))


def _begin_mysql(cursor: Any, facts: Facts) -> LogPosition:
    import pymysql

    cursor.execute("FLUSH TABLES WITH READ LOCK")
    try:
        cursor.execute("START TRANSACTION WITH CONSISTENT SNAPSHOT")
        try:
            cursor.execute("SHOW BINARY LOG STATUS")
        except pymysql.err.ProgrammingError:  # before 8.2 it had another name
            cursor.execute("SHOW MASTER STATUS")
        row = cursor.fetchall()[0]
    finally:
        cursor.execute("UNLOCK TABLES")
    gtid = str(row[4]).replace("\n", "") if facts.has_mysql_gtids else None
    if gtid is not None:
        try:
            parse_mysql_gtids(gtid)
        except ValueError:  # a set with tags: file and offset serve as well
            gtid = None
    return LogPosition("mysql", str(row[0]), int(row[1]), gtid)
