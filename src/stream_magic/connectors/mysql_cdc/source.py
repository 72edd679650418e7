"""The source: options, schema, checks, and the way from snapshot to log."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from datetime import timedelta
from typing import ClassVar, Literal, cast

import pyarrow as pa

from stream_magic.connectors.mysql_cdc import charsets, server
from stream_magic.connectors.mysql_cdc.log import LogReader
from stream_magic.connectors.mysql_cdc.position import LogPosition
from stream_magic.connectors.mysql_cdc.rows import Batch, change_schema
from stream_magic.connectors.mysql_cdc.snapshot import Snapshot, check_engines
from stream_magic.connectors.mysql_cdc.tables import (
    Table,
    declared_tables,
    find_tables,
    union_fields,
)
from stream_magic.connectors.mysql_cdc.wire import ReplicaStream
from stream_magic.contracts.options import Options, SourceOptions, option
from stream_magic.contracts.source import Source, SourceBatch, SourceContext
from stream_magic.core.epoch import Position
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.security.secrets import Secret

# Far above the ids that people give their replicas by hand.
SERVER_IDS = range(3_000_000_000, 4_000_000_000)
POSITION_EVERY_S = 5.0


@dataclass(frozen=True, kw_only=True)
class MysqlCdcOptions(SourceOptions):
    """Options of `mysql-cdc`."""

    url: str = option(
        "The server, and a database for tables without one.",
        example="'mysql://shop@127.0.0.1:3306'",
    )
    tables: tuple[str, ...] = option(
        "Tables to read, by DATABASE.TABLE; * stands for any text.",
        example="'shop.orders, shop.order_*'",
    )
    password: Secret | None = option(
        "The user's password.", default=None, example="secret('SHOP_DB')"
    )
    snapshot: Literal["initial", "never"] = option(
        "initial: first the rows that are there, then their changes; never: changes from now on.",
        default="initial",
    )
    server_id: int | None = option(
        "The number that we show as a replica; by default a random one from 3000000000 to"
        " 3999999999. Every replica of a server needs its own.",
        default=None,
        example="4711",
    )
    heartbeat: timedelta = option(
        "A server without changes says this often that it is there; after four that did not come"
        " the connection counts as lost.",
        default=timedelta(seconds=5),
        example="'5 seconds'",
    )
    tls: server.Tls = option(
        "preferred: encrypted if the server can; required: or fail; verified: and its certificate"
        " must be right; off.",
        default="preferred",
    )
    tls_ca: str | None = option(
        "File with the certificates that sign the server's.", default=None, example="'ca.pem'"
    )

    def __post_init__(self) -> None:
        if not self.tables:
            raise ConfigError(
                "SM7042", "tables names no table", hint="write tables = 'shop.orders'"
            )
        if self.server_id is not None and not 0 < self.server_id < 2**32:
            raise ConfigError("SM7043", "server_id must be from 1 to 4294967295")
        if self.heartbeat < timedelta(milliseconds=100):
            raise ConfigError("SM7044", "heartbeat must be 100 ms or more")


class MysqlCdcSource(Source):
    """Rows of tables and then every change of them, once and in the order of the log.

    The position stands between two transactions and counts the rows used of the next, so that
    resuming after any batch gives each row once. While the initial snapshot is being read there is
    no position: if it is interrupted, it begins again from the start. The columns stay those of the
    first `open`, whatever becomes of the tables.
    """

    options_type: ClassVar[type[SourceOptions]] = MysqlCdcOptions
    begins_whole: ClassVar[bool] = True

    def __init__(self, options: Options, context: SourceContext) -> None:
        super().__init__(options, context)
        self._options = cast(MysqlCdcOptions, options)
        given = self._options
        self._address = server.Address.parse(given.url, given.password, given.tls, given.tls_ca)
        self._server_id = given.server_id or random.SystemRandom().choice(SERVER_IDS)
        self._tables: list[Table] = []
        self._fields: list[pa.Field] = []
        self._snapshot: Snapshot | None = None
        self._stream: ReplicaStream | None = None
        self._log: LogReader | None = None
        self._told: LogPosition | None = None
        self._told_at = 0.0
        self._set_detail()

    def schema(self) -> pa.Schema:
        with self._address.session() as cursor:
            return change_schema(union_fields(self._find(cursor)))

    def check(self) -> None:
        with self._address.session() as cursor:
            self._ready(cursor)

    def open(self, position: Position | None) -> None:
        self.close()
        with self._address.session() as cursor:
            if self._tables:
                facts = self._logging(cursor)
            else:
                facts, tables = self._ready(cursor)
                self._tables = declared_tables(tables, self._declared_fields())
                self._fields = self._declared_fields() or union_fields(tables)
            collations = server.charsets_of(cursor, facts)
        self._charset_of = lambda number: collations.get(number, charsets.BINARY)
        if position is not None:
            self._follow(LogPosition.from_json(position))
            return
        wanted = self._tables if self._options.snapshot == "initial" else []
        self._snapshot = Snapshot(self._address, facts, wanted, self._fields)

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        if self._snapshot is not None:
            return self._read_snapshot(self._snapshot, max_rows)
        if self._log is None:
            raise ConnectorError("SM4107", "the source is not open", transient=True)
        batch = self._log.read(max_rows, timeout_s)
        if self._log.notes:
            self._set_detail()
        return self._deliver(batch, self._log.position)

    def close(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
        if self._stream is not None:
            self._stream.close()
        self._snapshot = self._stream = self._log = None
        self._told = None

    def _find(self, cursor: object) -> list[Table]:
        return find_tables(cursor, self._options.tables, self._address.database)

    def _ready(self, cursor: object) -> tuple[server.Facts, list[Table]]:
        """The server's facts and the tables.

        Raises:
            ConnectorError: with what to do about it.
        """
        facts = self._logging(cursor)
        tables = self._find(cursor)
        server.check_grants(cursor, self._address, facts)
        server.check_select(cursor, self._address, tables)
        if self._options.snapshot == "initial":
            check_engines(tables)
        union_fields(tables)
        return facts, tables

    def _logging(self, cursor: object) -> server.Facts:
        facts = server.facts_of(cursor)
        problem = server.not_ready(facts)
        if problem is not None:
            raise problem
        return facts

    def _declared_fields(self) -> list[pa.Field]:
        """Columns of the tables as the statement declares them in `after` or `before`, or none."""
        declared = self.context.columns
        for name in ("after", "before"):
            if declared is not None and name in declared.names:
                type_ = declared.field(name).type
                if pa.types.is_struct(type_):
                    return list(type_)
        return []

    def _read_snapshot(self, snapshot: Snapshot, max_rows: int) -> SourceBatch | None:
        batch = snapshot.read(max_rows)
        if batch is not None:
            return SourceBatch(self._as_declared(batch.rows), None, errors=batch.errors)
        # The end is a batch of its own, without rows: from here on there is a position.
        snapshot.close()
        self._snapshot = None
        self._follow(snapshot.position)
        empty = change_schema(self._fields).empty_table()
        return SourceBatch(self._as_declared(empty), snapshot.position.to_json())

    def _follow(self, position: LogPosition) -> None:
        import pymysql

        connection = self._address.connect()
        try:
            self._stream = ReplicaStream(
                connection,
                position,
                self._server_id,
                self._options.heartbeat.total_seconds(),
            )
        except (pymysql.MySQLError, OSError) as error:
            connection._force_close()  # noqa: SLF001 - `close` would raise on a dead connection
            raise self._address.explain(error) from None
        self._log = LogReader(self._stream, position, self._tables, self._fields, self._charset_of)
        self._told, self._told_at = position, time.monotonic()

    def _deliver(self, batch: Batch, position: LogPosition) -> SourceBatch | None:
        """A batch without rows still tells now and then how far other tables' changes have gone."""
        if not batch.rows.num_rows and not batch.errors:
            is_news = position != self._told
            if not is_news or time.monotonic() - self._told_at < POSITION_EVERY_S:
                return None
        self._told, self._told_at = position, time.monotonic()
        rows = self._as_declared(batch.rows)
        return SourceBatch(rows, position.to_json(), errors=batch.errors)

    def _as_declared(self, rows: pa.Table) -> pa.Table:
        """Only the columns that the statement declares, if it declares any."""
        declared = self.context.columns
        if declared is None:
            return rows
        try:
            return rows.select(declared.names).cast(declared)
        except (KeyError, ValueError, pa.ArrowException) as error:
            raise ConnectorError(
                "SM4112",
                f"the declared columns do not fit the tables: {error}",
                hint="leave the columns out: they are taken from the tables' definitions",
            ) from None

    def _set_detail(self) -> None:
        notes = self._log.notes if self._log is not None else []
        self.detail = "; ".join([f"mysql-cdc, {', '.join(self._options.tables)}", *notes])
