"""What a relation keeps: the last rows of a stream, the current result of a changelog.

Both are written only when an epoch has committed, and hold immutable Arrow tables: a reader takes
references and is never in the way.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import SEQ, WEIGHT, WEIGHT_FIELD, is_hidden, visible

RETAINED_ROWS = 100_000
RETAINED_BYTES = 64_000_000
_PART_ROWS = 4_096
_WAITING_ROWS = 500_000  # of a changelog: netting them costs as much as the GROUP BY that gave them


class RelationLog(Protocol):
    """What was kept of a relation."""

    schema: pa.Schema

    def append(self, delta: pa.Table) -> None:
        """Adds a committed delta."""

    def history(self) -> pa.Table:
        """What a new reader gets first, with the engine's columns."""

    def rows(self, limit: int | None = None) -> pa.Table:
        """The visible rows, newest last; the last `limit` of them."""

    @property
    def total(self) -> int:
        """Rows that came (a stream), or that there are (a result)."""

    @property
    def is_cut(self) -> bool:
        """True if older rows were let go."""


class StreamLog:
    """The last rows of an append-only relation; all of them without limits."""

    def __init__(
        self,
        schema: pa.Schema,
        max_rows: int | None = RETAINED_ROWS,
        max_bytes: int | None = RETAINED_BYTES,
    ) -> None:
        self.schema = schema
        self._max_rows, self._max_bytes = max_rows, max_bytes
        self._parts: deque[pa.Table] = deque()
        self._rows = self._bytes = 0
        self._total = 0
        self._is_cut = False

    def append(self, delta: pa.Table) -> None:
        self._parts.append(delta)
        self._rows += delta.num_rows
        self._bytes += delta.nbytes
        self._total += delta.num_rows
        self._merge_small()
        while self._is_over() and self._parts:
            self._shorten()

    def history(self) -> pa.Table:
        return pa.concat_tables([self.schema.empty_table(), *self._parts])

    def rows(self, limit: int | None = None) -> pa.Table:
        if limit is None:
            return visible(self.history())
        taken: list[pa.Table] = []
        missing = limit
        for part in reversed(list(self._parts)):
            if missing <= 0:
                break
            taken.insert(0, part.slice(max(0, part.num_rows - missing)))
            missing -= part.num_rows
        return visible(pa.concat_tables([self.schema.empty_table(), *taken]))

    @property
    def total(self) -> int:
        return self._total

    @property
    def is_cut(self) -> bool:
        return self._is_cut

    @property
    def dropped(self) -> int:
        """Rows that were let go, the oldest ones."""
        return self._total - self._rows

    def _merge_small(self) -> None:
        """Many epochs of a few rows become few parts."""
        parts = self._parts
        while _are_small(parts):
            last, before = parts.pop(), parts.pop()
            self._bytes -= last.nbytes + before.nbytes
            parts.append(pa.concat_tables([before, last]).combine_chunks())
            self._bytes += parts[-1].nbytes

    def _is_over(self) -> bool:
        over_rows = self._max_rows is not None and self._rows > self._max_rows
        return over_rows or (self._max_bytes is not None and self._bytes > self._max_bytes)

    def _shorten(self) -> None:
        """Lets go of the oldest part, or of as much of it as is too much."""
        first = self._parts.popleft()
        self._is_cut = True
        self._rows -= first.num_rows
        self._bytes -= first.nbytes
        if self._max_rows is not None and self._rows < self._max_rows:
            room = self._max_rows - self._rows
            share = first.nbytes * room // max(first.num_rows, 1)
            if self._max_bytes is None or self._bytes + share <= self._max_bytes:
                rest = first.slice(max(0, first.num_rows - room))
                self._parts.appendleft(rest)
                self._rows += rest.num_rows
                self._bytes += share


class ResultLog:
    """The current result of a changelog: a Z-set, netted when it is read."""

    is_cut = False

    def __init__(
        self,
        schema: pa.Schema,
        connect: Callable[[], duckdb.DuckDBPyConnection] = duckdb.connect,
    ) -> None:
        self.schema = schema
        self._connect = connect
        self._netted_schema = pa.schema(
            [f for f in schema if not is_hidden(f.name) or f.name == WEIGHT]
        )
        self._netted = self._netted_schema.empty_table()
        self._waiting: list[pa.Table] = []
        self._waiting_rows = 0
        self._last_seq = 0
        self._lock = threading.Lock()
        self._con: duckdb.DuckDBPyConnection | None = None

    def append(self, delta: pa.Table) -> None:
        if delta.num_rows == 0:
            return
        with self._lock:
            self._last_seq = max(self._last_seq, pc.max(delta.column(SEQ)).as_py() or 0)
            self._waiting.append(delta.select(self._netted_schema.names))
            self._waiting_rows += delta.num_rows
            while _are_small(self._waiting):
                last, before = self._waiting.pop(), self._waiting.pop()
                self._waiting.append(pa.concat_tables([before, last]).combine_chunks())
            if self._waiting_rows > 2 * self._netted.num_rows + _WAITING_ROWS:
                self._net()

    def changes(self) -> pa.Table:
        """The net rows with their weights, also negative ones."""
        with self._lock:
            self._net()
            return self._as_stream(self._netted)

    def history(self) -> pa.Table:
        return self._as_stream(self._current())

    def _as_stream(self, rows: pa.Table) -> pa.Table:
        columns = []
        for f in self.schema:
            if f.name in rows.column_names:
                columns.append(rows.column(f.name))
            else:
                value = pa.scalar(self._last_seq if f.name == SEQ else None, f.type)
                columns.append(pa.chunked_array([pa.repeat(value, rows.num_rows)]))
        return pa.table(columns, schema=self.schema)

    def rows(self, limit: int | None = None) -> pa.Table:
        rows = visible(self._current())
        return rows if limit is None else rows.slice(max(0, rows.num_rows - limit))

    @property
    def total(self) -> int:
        return int(self._current().num_rows)

    def _current(self) -> pa.Table:
        """Every row as often as its weights say, each with weight 1."""
        with self._lock:
            self._net()
            rows = self._netted
        weights = rows.column(WEIGHT)
        if rows.num_rows == 0 or (pc.min(weights).as_py() == 1 and pc.max(weights).as_py() == 1):
            return rows
        counts = pc.max_element_wise(weights, pa.scalar(0, pa.int64())).to_numpy()
        rows = rows.take(pa.array(range(rows.num_rows), pa.int64()).to_numpy().repeat(counts))
        ones = pa.chunked_array([pa.repeat(pa.scalar(1, pa.int64()), rows.num_rows)])
        return rows.set_column(rows.column_names.index(WEIGHT), rows.schema.field(WEIGHT), ones)

    def _net(self) -> None:
        if not self._waiting:
            return
        if self._con is None:
            self._con = self._connect()
        joined = pa.concat_tables([self._netted, *self._waiting])
        columns = ", ".join(
            '"' + n.replace('"', '""') + '"' for n in self._netted_schema.names if n != WEIGHT
        )
        self._con.register("_log", joined)
        grouped = self._con.sql(
            f"SELECT {columns}, sum({WEIGHT})::BIGINT AS {WEIGHT} FROM _log GROUP BY {columns} HAVING sum({WEIGHT}) <> 0"
        ).to_arrow_table()
        self._con.unregister("_log")
        self._netted = grouped.cast(self._netted_schema)
        self._waiting, self._waiting_rows = [], 0


def _are_small(parts: Sequence[pa.Table]) -> bool:
    """The last two are to be one: each part costs some kB beside its rows."""
    return len(parts) > 1 and parts[-2].num_rows <= min(2 * parts[-1].num_rows, _PART_ROWS)


def changes_between(old: pa.Table, new: pa.Table, schema: pa.Schema) -> pa.Table:
    """The changelog that leads from the result `old` to the result `new` (both with weights)."""
    log = ResultLog(schema)
    log.append(new)
    weights = pc.negate(old.column(WEIGHT))
    log.append(old.set_column(old.column_names.index(WEIGHT), WEIGHT_FIELD, weights))
    return log.changes()
