"""Follows the log: transactions, table maps, statements; fills batches and knows the position."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from stream_magic.connectors.mysql_cdc import events
from stream_magic.connectors.mysql_cdc.events import Rows
from stream_magic.connectors.mysql_cdc.position import LogPosition
from stream_magic.connectors.mysql_cdc.rows import MAX_BATCH_BYTES, Batch, Collector, Layout, Origin
from stream_magic.connectors.mysql_cdc.tables import Table, harmful_statement
from stream_magic.connectors.mysql_cdc.wire import RawEvent
from stream_magic.errors import ConnectorError

MAX_LAYOUTS = 1000
BUSY_S = 0.5  # reading on while events come; a log full of other tables must not hold rows back
_NO_ROW = (struct.error, ValueError, IndexError, KeyError, OverflowError)


class Events(Protocol):
    """Where events come from: `ReplicaStream`, or a list in a test."""

    def next(self, timeout_s: float) -> RawEvent | None: ...


@dataclass
class _Pending:
    """Rows of an event that did not fit into the last batch."""

    rows: Rows
    layout: Layout
    origin: Origin
    at: int


class LogReader:
    """Rows of some tables, from a position on.

    Args:
        stream: the events.
        position: after which they begin; items that it counts as used are left out.
        tables: to read; events of others are passed over.
        fields: columns of all tables.
        charset_of: name of the character set of a collation's number.
    """

    def __init__(
        self,
        stream: Events,
        position: LogPosition,
        tables: Sequence[Table],
        fields: Sequence[pa.Field],
        charset_of: Callable[[int], str],
    ) -> None:
        self.notes: list[str] = []
        """What a user should know: columns that are not read."""
        self._stream = stream
        self._committed = position
        self._tables = {t.key: t for t in tables}
        self._charset_of = charset_of
        self._collector = Collector(fields)
        self._layouts: dict[bytes, Layout | str | None] = {}
        self._current: dict[int, Layout | str | None] = {}
        self._pending: _Pending | None = None
        self._file = position.file
        self._gtid: str | None = None
        self._has_unknown_gtid = False
        self._transaction = ""
        self._is_open = False
        self._number = 0
        self._skip = position.used

    @property
    def position(self) -> LogPosition:
        """Behind everything that was read."""
        used = max(self._number, self._skip)
        return replace(self._committed, used=used)

    def read(self, max_rows: int, timeout_s: float) -> Batch:
        """At most `max_rows` rows and about 32 MB; waits only for the first of them."""
        now = time.monotonic()
        deadline, latest = now + timeout_s, now + max(timeout_s, BUSY_S)
        batch = self._collector
        if self._pending is not None:
            self._read_rows(self._pending, max_rows)
        while batch.rows < max_rows and batch.size < MAX_BATCH_BYTES:
            now = time.monotonic()
            has_some = bool(batch.rows or batch.errors)
            event = self._stream.next(0.0 if has_some else max(0.0, deadline - now))
            if event is None:
                break
            self._handle(event, max_rows)
            if now > latest:
                break
        return batch.take()

    def _handle(self, event: RawEvent, max_rows: int) -> None:
        kind = event.type
        if kind in events.ROWS:
            self._rows(event, max_rows)
        elif kind == events.TABLE_MAP:
            self._table_map(event)
        elif kind == events.MARIADB_GTID:
            gtid, is_single = events.parse_mariadb_gtid(event.body, event.server_id)
            self._begin(event, gtid, is_open=not is_single)
        elif kind == events.GTID:
            self._begin(event, events.parse_mysql_gtid(event.body), is_open=False)
        elif kind in (events.ANONYMOUS_GTID, events.GTID_TAGGED):
            self._begin(event, None, is_open=False)
            self._has_unknown_gtid = kind == events.GTID_TAGGED
        elif kind in (events.XID, events.XA_PREPARE):
            self._commit(event)
        elif kind in (events.QUERY, events.QUERY_COMPRESSED):
            self._query(event)
        elif kind == events.ROTATE:
            self._rotate(event)
        elif kind in (events.PARTIAL_UPDATE, events.INCIDENT):
            self._lost_rows(event)
        elif kind == events.FORMAT_DESCRIPTION or kind in events.IGNORED:
            pass
        elif not event.flags & events.IGNORABLE_FLAG:
            raise ConnectorError(
                "SM4109",
                f"the log holds an event of type {kind}, which cannot be read, at {self._file}:{event.end}",
                hint="SET GLOBAL binlog_transaction_compression = OFF (MySQL), then create the"
                " source again with snapshot = 'initial'",
            )

    def _begin(self, event: RawEvent, gtid: str | None, *, is_open: bool) -> None:
        self._gtid = gtid
        self._has_unknown_gtid = False
        self._transaction = gtid or f"{self._file}:{event.end - event.size}"
        self._is_open = is_open
        self._number = 0

    def _commit(self, event: RawEvent) -> None:
        committed = self._committed.after(self._file, event.end, self._gtid)
        if self._has_unknown_gtid:
            # A set that lacks this one would bring it again: go on by file and offset.
            committed = replace(committed, gtid=None)
        self._committed = committed
        self._gtid = None
        self._has_unknown_gtid = False
        self._is_open = False
        self._transaction = ""
        self._number = 0
        self._skip = 0

    def _rotate(self, event: RawEvent) -> None:
        self._file, offset = events.parse_rotate(event.body)
        self._current.clear()
        is_made_up = event.end == 0 or event.flags & events.ARTIFICIAL_FLAG
        if not is_made_up and not self._number:
            self._committed = replace(self._committed, file=self._file, pos=offset)

    def _query(self, event: RawEvent) -> None:
        query = events.parse_query(event.body, is_compressed=event.type == events.QUERY_COMPRESSED)
        text = query.text.strip()
        word = text[:9].upper()
        if word == "BEGIN" or word.startswith("XA START"):
            if not self._transaction:
                self._begin(event, None, is_open=True)
            self._is_open = True
            return
        if text.upper() in ("COMMIT", "ROLLBACK"):
            self._commit(event)
            return
        reason = harmful_statement(text, query.database, list(self._tables.values()))
        if reason is not None:
            self._item_failed(text.encode(), reason, self._origin(event))
        if not self._is_open:
            self._commit(event)

    def _table_map(self, event: RawEvent) -> None:
        table_id = events.table_id_of(event.body)
        layout = self._layouts.get(event.body[6:])
        if layout is None and event.body[6:] not in self._layouts:
            layout = self._new_layout(event.body)
            if len(self._layouts) > MAX_LAYOUTS:
                self._layouts.clear()
            self._layouts[event.body[6:]] = layout
        self._current[table_id] = layout

    def _new_layout(self, body: bytes) -> Layout | str | None:
        """A layout; None for a table that is not read; a text if its rows cannot be read."""
        found = events.parse_table_map(
            body, self._charset_of, is_mariadb=self._committed.flavour == "mariadb"
        )
        table = self._tables.get((found.database, found.table))
        if table is None:
            return None
        if not found.has_names:
            return (
                f"{table.path} was logged without the names of its columns:"
                " SET GLOBAL binlog_row_metadata = 'FULL'"
            )
        layout = Layout(table, found)
        if layout.added:
            self._note_added(layout)
        return layout

    def _note_added(self, layout: Layout) -> None:
        names = ", ".join(layout.added)
        note = f"{layout.table.path} has columns that are not read: {names}; run the cell again"
        if note not in self.notes:
            self.notes.append(note)
            # Not counted in the position: it is said once in each life of the source.
            self._collector.add_error(b"", note, f"{self._file}:{self._committed.pos}")

    def _rows(self, event: RawEvent, max_rows: int) -> None:
        layout = self._current.get(events.table_id_of(event.body))
        if layout is None:
            return
        origin = self._origin(event)
        if isinstance(layout, str):
            self._item_failed(event.body, layout, origin)
            return
        try:
            rows = events.parse_rows(event.type, event.body)
        except _NO_ROW as error:
            self._item_failed(event.body, _unreadable(layout, error), origin)
            return
        missing = layout.needed & ~(rows.present & rows.present_after)
        if missing or rows.present != rows.present_after:
            self._incomplete(rows, layout, origin)
        else:
            self._read_rows(_Pending(rows, layout, origin, 0), max_rows)

    def _read_rows(self, pending: _Pending, max_rows: int) -> None:
        """As many rows of the event as the batch takes; the rest waits."""
        self._pending = None
        rows, layout, at = pending.rows, pending.layout, pending.at
        presents = (rows.present,) * (2 if rows.op == events.UPDATE else 1)
        try:
            if self._number < self._skip:
                at, passed = layout.walk(presents, rows.images, at, self._skip - self._number)
                self._number += passed
            if at < len(rows.images):
                most = max(1, max_rows - self._collector.rows)
                at, count = self._collector.add(
                    layout, rows, at, most, self._number + 1, pending.origin
                )
                self._number += count
        except _NO_ROW as error:
            self._item_failed(rows.images[at:], _unreadable(layout, error), pending.origin)
            return
        if at < len(rows.images):
            self._pending = _Pending(rows, layout, pending.origin, at)

    def _incomplete(self, rows: Rows, layout: Layout, origin: Origin) -> None:
        """A session with another binlog_row_image: what is not there must not look like NULL."""
        reason = (
            f"{layout.table.path}: the row was logged without all of its columns; in that"
            " session: SET SESSION binlog_row_image = 'FULL'"
        )
        update = rows.op == events.UPDATE
        presents = (rows.present, rows.present_after) if update else (rows.present,)
        at = 0
        try:
            while at < len(rows.images):
                start = at
                at, _ = layout.walk(presents, rows.images, at, 1)
                self._item_failed(rows.images[start:at], reason, origin)
        except _NO_ROW as error:
            self._item_failed(rows.images[at:], _unreadable(layout, error), origin)

    def _lost_rows(self, event: RawEvent) -> None:
        if event.type == events.INCIDENT:
            reason = "the server says that changes may be missing in its log (an incident event)"
            self._item_failed(event.body, reason, self._origin(event))
            return
        layout = self._current.get(events.table_id_of(event.body))
        if layout is not None:
            reason = (
                "the update was logged as a part of a JSON document only:"
                " SET GLOBAL binlog_row_value_options = ''"
            )
            self._item_failed(event.body, reason, self._origin(event))

    def _item_failed(self, raw: bytes, reason: str, origin: Origin) -> None:
        """An entry for `errors.NAME`, counted in the transaction like a row."""
        self._number += 1
        if self._number > self._skip:
            self._collector.add_error(raw, reason, str(origin))

    def _origin(self, event: RawEvent) -> Origin:
        return Origin(
            event.timestamp * 1_000_000,
            self._file,
            event.end - event.size,
            self._gtid,
            self._transaction,
        )


def _unreadable(layout: Layout, error: BaseException) -> str:
    return f"rows of {layout.table.path} cannot be read: {error}"
