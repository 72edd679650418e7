"""GROUP BY where partials cannot be merged: the rows are kept and touched groups computed again.

This is so over changelogs (a minimum may be taken back), for DISTINCT, and for aggregates that go
by arrival. It costs the size of the touched groups.
"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stream_magic.core.change import LATE_BY, SEQ, SEQ_FIELD, WEIGHT
from stream_magic.engine.operators.aggregate import GroupTables
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.late import closed_until, without_late
from stream_magic.engine.state import Database
from stream_magic.planner.nodes import WINDOW_END, Aggregate

_COMPACT_ROWS = (
    100_000  # a changelog's kept rows are netted when they have grown by this and doubled
)


class RecomputeOperator(Operator):
    """Keeps the rows of open groups, and of each group the result that was given last."""

    def __init__(self, plan: Aggregate, input_schema: pa.Schema, database: Database) -> None:
        self._plan = plan
        self._t = t = GroupTables(plan, input_schema, database)
        self._rows, self._results, self._fresh = f"r{t.number}", f"o{t.number}", f"f{t.number}"
        self._kept = [c for c in plan.input_columns if c != LATE_BY]
        self._is_netted = plan.is_input_changelog
        columns = ", ".join(self._kept)
        calls = ", ".join(f"{c.sql} AS {c.name}" for c in plan.calls)
        self._items = ", ".join(p for p in (t.key_list, calls) if p)
        database.execute(f"CREATE TABLE {self._rows} AS SELECT {columns} FROM {t.source} LIMIT 0")
        database.execute(
            f"CREATE TABLE {self._results} AS SELECT {self._items} FROM {self._rows} {t.group_by} LIMIT 0"
        )
        database.execute(f"CREATE TABLE {self._fresh} AS FROM {self._results}")
        database.execute(
            f"PREPARE p{t.number} AS INSERT INTO {self._rows} SELECT {columns} FROM {t.source}"
        )
        self._size = self._compacted_size = 0
        self._arrived = 0
        self.schema = plan.schema

    def run(self, delta: pa.Table, turn: Turn) -> pa.Table:
        t = self._t
        has_lateness = self._plan.is_windowed and LATE_BY in delta.column_names
        rows = without_late(delta, self._plan.lateness_us, turn) if has_lateness else delta
        if rows.num_rows:
            rows = self._in_sequence(rows)
            t.input.table = rows
            t.database.execute(f"EXECUTE p{t.number}")
            self._size += rows.num_rows
        out = self._close(turn) if self._plan.emit == "close" else self._change(rows, turn)
        if self._plan.is_windowed and self._plan.emit == "changes":
            self._forget(turn)
        if self._is_netted and self._size > 2 * self._compacted_size + _COMPACT_ROWS:
            self._compact()
        return out

    def initial(self, turn: Turn) -> pa.Table | None:
        if self._t.keys:
            return None
        return self._change(self._t.input.table, turn, even_without_rows=True)

    def close(self) -> None:
        self._t.database.execute(f"DEALLOCATE p{self._t.number}")
        self._t.close(self._rows, self._results, self._fresh)

    def _in_sequence(self, rows: pa.Table) -> pa.Table:
        """Each row a number of its own: rows made from one by UNNEST came with the same."""
        first, self._arrived = self._arrived, self._arrived + rows.num_rows
        numbers = pa.array(np.arange(first, self._arrived, dtype=np.int64))
        return rows.set_column(rows.column_names.index(SEQ), SEQ_FIELD, numbers)

    def _change(self, rows: pa.Table, turn: Turn, *, even_without_rows: bool = False) -> pa.Table:
        """Old and new results of the touched groups."""
        t = self._t
        if not rows.num_rows and not even_without_rows:
            return self.schema.empty_table()
        touched = f"(SELECT DISTINCT {t.key_list} FROM {t.source})" if t.keys else "(SELECT 1)"
        new = f"SELECT {self._items} FROM {self._current(touched)} {t.group_by}"
        t.database.execute(f"INSERT INTO {self._fresh} {new}")
        shown = ", ".join(t.names)
        changes = t.database.arrow(
            f"SELECT {shown}, -1::BIGINT AS {WEIGHT} FROM (SELECT * FROM {self._touched_results(touched)} "
            f"EXCEPT ALL FROM {self._fresh}) "
            f"UNION ALL SELECT {shown}, 1::BIGINT AS {WEIGHT} FROM (FROM {self._fresh} "
            f"EXCEPT ALL SELECT * FROM {self._touched_results(touched)})"
        )
        where = (
            f"WHERE EXISTS (SELECT 1 FROM {touched} AS x WHERE {t.equal('o', 'x')})"
            if t.keys
            else ""
        )
        t.database.execute(f"DELETE FROM {self._results} AS o {where}")
        t.database.execute(f"INSERT INTO {self._results} FROM {self._fresh}")
        t.database.execute(f"DELETE FROM {self._fresh}")
        return t.numbered(changes, turn.last_seq, self.schema)

    def _close(self, turn: Turn) -> pa.Table:
        until = closed_until(turn.watermark_us, self._plan.lateness_us)
        if until is None:
            return self.schema.empty_table()
        t = self._t
        shown = ", ".join(t.names)
        closed = f"(SELECT * FROM {self._rows} WHERE {WINDOW_END} <= {until})"
        source = self._net(closed) if self._is_netted else closed
        out = t.database.arrow(
            f"SELECT {shown} FROM (SELECT {self._items} FROM {source} {t.group_by} ORDER BY {WINDOW_END})"
        )
        if out.num_rows:
            self._drop_until(self._rows, until)
        return t.numbered(out, turn.last_seq, self.schema)

    def _forget(self, turn: Turn) -> None:
        until = closed_until(turn.watermark_us, self._plan.lateness_us)
        if until is not None:
            self._drop_until(self._rows, until)
            self._drop_until(self._results, until)

    def _drop_until(self, table: str, until: int) -> None:
        self._t.database.execute(f"DELETE FROM {table} WHERE {WINDOW_END} <= {until}")

    def _current(self, touched: str) -> str:
        """The rows of the touched groups as they are now."""
        t = self._t
        rows = (
            f"(SELECT r.* FROM {self._rows} AS r SEMI JOIN {touched} AS x ON {t.equal('r', 'x')})"
            if t.keys
            else self._rows
        )
        return self._net(rows) if self._is_netted else rows

    def _touched_results(self, touched: str) -> str:
        t = self._t
        if not t.keys:
            return self._results
        return f"(SELECT o.* FROM {self._results} AS o SEMI JOIN {touched} AS x ON {t.equal('o', 'x')})"

    def _net(self, rows: str) -> str:
        """A Z-set as plain rows: each as often as its weights say."""
        columns = ", ".join(c for c in self._kept if c not in (SEQ, WEIGHT))
        net = f"SELECT {columns}, sum({WEIGHT}) AS n FROM {rows} GROUP BY ALL HAVING sum({WEIGHT}) > 0"
        return f"(SELECT {columns} FROM (SELECT {columns}, unnest(range(n::BIGINT)) FROM ({net})))"

    def _compact(self) -> None:
        t = self._t
        columns = [c for c in self._kept if c not in (SEQ, WEIGHT)]
        items = ", ".join(
            f"max({SEQ})" if c == SEQ else f"sum({WEIGHT})::BIGINT" if c == WEIGHT else c
            for c in self._kept
        )
        t.database.execute(
            f"CREATE OR REPLACE TEMP TABLE n{t.number} AS SELECT {items} FROM {self._rows} "
            f"GROUP BY {', '.join(columns)} HAVING sum({WEIGHT}) <> 0"
        )
        t.database.execute(f"DELETE FROM {self._rows}")
        t.database.execute(f"INSERT INTO {self._rows} FROM n{t.number}")
        self._size = self._compacted_size = t.database.arrow(
            f"SELECT count(*) AS n FROM n{t.number}"
        )["n"][0].as_py()
        t.database.execute(f"DROP TABLE n{t.number}")
