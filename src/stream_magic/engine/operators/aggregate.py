"""GROUP BY over rows that are only added: partial states are merged by DuckDB.

DuckDB exports the state of nearly every aggregate (EXPORT_STATE) and combines two of them exactly;
so the state of a group is one row of a table, and an epoch costs the groups that it touches.
With EMIT ON WINDOW CLOSE the partials of each epoch are only appended, and combined at the close.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import WEIGHT
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.late import closed_until, without_late
from stream_magic.engine.operators.output import at_close, numbered
from stream_magic.engine.row_errors import NO_RESULT, RowError, as_texts, no_result
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.engine.values import VALUE_ERRORS, reason_of
from stream_magic.language.binder import INPUT
from stream_magic.planner.nodes import WINDOW_END, Aggregate

_FAILS = "_sm_fails"


class GroupTables:
    """Names and SQL pieces that the operators with partial states share."""

    def __init__(self, plan: Aggregate, input_schema: pa.Schema, database: Database) -> None:
        self.database = database
        self.number = database.number()
        self.input = ArrowInput(input_schema)
        self.input_name = f"_in{self.number}"
        database.register(self.input_name, self.input)
        self.source = renamed_input(plan.input_sql, self.input_name)
        self.keys = list(plan.keys)
        self.shown = [k for k in plan.keys if k != WINDOW_END]
        self.key_list = ", ".join(self.keys)
        self.group_by = f"GROUP BY {self.key_list}" if self.keys else ""

    def equal(self, left: str, right: str) -> str:
        """Keys are equal as GROUP BY sees them: NULL is a value."""
        return (
            " AND ".join(f"{left}.{k} IS NOT DISTINCT FROM {right}.{k}" for k in self.keys)
            or "true"
        )

    def close(self, *tables: str) -> None:
        for table in tables:
            self.database.execute(f"DROP TABLE IF EXISTS {table}")
        self.database.unregister(self.input_name)

    def tell(self, groups: pa.Table, labels: Sequence[str], reason: str, turn: Turn) -> None:
        """These groups give no row, because of this."""
        keys = groups.select(self.shown).rename_columns(list(labels))
        for raw in as_texts(keys) if labels else [b"{}"] * groups.num_rows:
            turn.errors.rows.append(RowError(NO_RESULT, no_result(reason), raw, seq=turn.last_seq))


class MergeOperator(Operator):
    """EMIT CHANGES: one row of states for each group; the old result is taken back, the new one given."""

    def __init__(self, plan: Aggregate, input_schema: pa.Schema, database: Database) -> None:
        self._plan = plan
        self._t = t = GroupTables(plan, input_schema, database)
        self._states = [f"s{i}" for i in range(len(plan.calls))]
        self._state, self._delta = f"g{t.number}", f"d{t.number}"
        partials = ", ".join(
            [
                *t.keys,
                *(f"{c.state_sql} AS {s}" for c, s in zip(plan.calls, self._states, strict=True)),
            ]
        )
        select = f"SELECT {partials} FROM {t.source} {t.group_by}"
        database.execute(f"CREATE TABLE {self._state} AS {select} LIMIT 0")
        database.execute(f"CREATE TABLE {self._delta} AS FROM {self._state}")
        database.execute(f"PREPARE p{t.number} AS INSERT INTO {self._delta} {select}")
        self._failure = ""  # why a result could not be computed once: since then each is tried
        self._changes = database.select(self._changes_sql())
        self._has_forgotten = False
        self.schema = plan.schema
        self.lag_us = plan.lateness_us

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        (rows,) = deltas
        if self._plan.is_windowed:
            rows = without_late(rows, self._plan.lateness_us, turn)
        out = self.schema.empty_table()
        if rows.num_rows or (turn.is_first and not self._t.keys):  # no input is one row, too
            out = self._merge(rows, turn)
        if self._plan.is_windowed and turn.has_moved:
            self._forget(turn)
        return out

    def take_care(self, error: BaseException | None) -> bool:
        if self._failure or not isinstance(error, VALUE_ERRORS):
            return False
        self._failure = reason_of(error)
        self._changes = self._t.database.select(self._changes_sql())
        return True

    def state_size(self) -> StateSize:
        return self._t.database.size(self._state)

    @property
    def can_retell(self) -> bool:
        return not self._has_forgotten and not self._failure

    def retell(self, turn: Turn) -> pa.Table:
        calls = zip(self._plan.calls, self._states, strict=True)
        items = [*self._t.shown, *(f"finalize({s}) AS {c.name}" for c, s in calls)]
        select = f"SELECT {', '.join([*items, f'1::BIGINT AS {WEIGHT}'])} FROM {self._state}"
        return numbered(self._t.database.arrow(select), turn.last_seq, self.schema)

    def close(self) -> None:
        number = self._t.number
        self._t.database.execute(f"DEALLOCATE p{number}")
        self._t.close(self._state, self._delta)

    def _merge(self, rows: pa.Table, turn: Turn) -> pa.Table:
        t = self._t
        t.input.table = rows
        t.database.execute(f"EXECUTE p{t.number}")
        changes = self._changes.run()
        combined = ", ".join(f"{s} = combine(g.{s}, d.{s})" for s in self._states)
        matched = f"WHEN MATCHED THEN UPDATE SET {combined} " if combined else ""
        columns = ", ".join(f"d.{c}" for c in [*t.keys, *self._states])
        t.database.execute(
            f"MERGE INTO {self._state} AS g USING {self._delta} AS d ON {t.equal('g', 'd')} "
            f"{matched}WHEN NOT MATCHED THEN INSERT VALUES ({columns})"
        )
        t.database.execute(f"DELETE FROM {self._delta}")
        if self._failure:
            fails = pc.equal(changes.column(WEIGHT), 0)
            t.tell(changes.filter(fails), self._plan.shown_keys, self._failure, turn)
            changes = changes.filter(pc.invert(fails))
        return numbered(changes, turn.last_seq, self.schema)

    def _changes_sql(self) -> str:
        """Old results with -1, new ones with +1, of groups whose result changed; with 0 those that begin to fail."""
        t, calls = self._t, list(zip(self._plan.calls, self._states, strict=True))
        changed = " OR ".join(
            ["NOT was_there", "NOT is_there", *(f"old_{s} IS DISTINCT FROM new_{s}" for _, s in calls)]
        )  # fmt: skip
        old = ", ".join([*t.shown, *(f"old_{s} AS {c.name}" for c, s in calls)])
        new = ", ".join([*t.shown, *(f"new_{s} AS {c.name}" for c, s in calls)])
        fails = f"UNION ALL SELECT {new}, 0::BIGINT AS {WEIGHT} FROM j WHERE begins_to_fail"
        return (
            f"WITH j AS MATERIALIZED ({self._compared_sql()}) "
            f"SELECT {old}, -1::BIGINT AS {WEIGHT} FROM j WHERE was_there AND ({changed}) "
            f"UNION ALL SELECT {new}, 1::BIGINT AS {WEIGHT} FROM j WHERE is_there AND ({changed}) "
            f"{fails if self._failure else ''}"
        )

    def _compared_sql(self) -> str:
        """Of the touched groups the old and the new results, and whether they were and are there."""
        t = self._t
        keys = [f"d.{k}" for k in t.keys]
        tables = (
            f"{self._delta} AS d LEFT JOIN (SELECT *, 1 AS present FROM {self._state}) AS g "
            f"ON {t.equal('d', 'g')}"
        )
        finals = [(s, f"finalize(g.{s})", f"finalize(combine(g.{s}, d.{s}))") for s in self._states]
        if not self._failure:
            pairs = [f"{old} AS old_{s}, {new} AS new_{s}" for s, old, new in finals]
            is_there = ["g.present IS NOT NULL AS was_there", "true AS is_there"]
            return f"SELECT {', '.join([*keys, *pairs, *is_there])} FROM {tables}"
        olds = ", ".join(f"{s} := {old}" for s, old, _ in finals)
        news = ", ".join(f"{s} := {new}" for s, _, new in finals)
        tried = ", ".join(
            [*keys, f"TRY(struct_pack({olds})) AS o", f"TRY(struct_pack({news})) AS n", "g.present"]
        )
        pairs = [f"o.{s} AS old_{s}, n.{s} AS new_{s}" for s in self._states]
        was_there = "present IS NOT NULL AND o IS NOT NULL"
        flags = [f"{was_there} AS was_there", "n IS NOT NULL AS is_there", f"n IS NULL AND (present IS NULL OR {was_there}) AS begins_to_fail"]  # fmt: skip
        return f"SELECT {', '.join([*t.keys, *pairs, *flags])} FROM (SELECT {tried} FROM {tables})"

    def _forget(self, turn: Turn) -> None:
        """Drops the state of closed windows; their rows stay in the result."""
        until = closed_until(turn.watermark_us, self._plan.lateness_us)
        if until is not None:
            gone = self._t.database.delete(self._state, f"{WINDOW_END} <= {until}")
            self._has_forgotten = self._has_forgotten or gone > 0


class WindowOperator(Operator):
    """EMIT ON WINDOW CLOSE: partials are appended, combined once when the watermark passes the window."""

    def __init__(self, plan: Aggregate, input_schema: pa.Schema, database: Database) -> None:
        self._plan = plan
        self._t = t = GroupTables(plan, input_schema, database)
        states = [(c, f"s{i}") for i, c in enumerate(plan.calls)]
        self._state = f"g{t.number}"
        partials = ", ".join([*t.keys, *(f"{c.state_sql} AS {s}" for c, s in states)])
        select = f"SELECT {partials} FROM {t.source} {t.group_by}"
        database.execute(f"CREATE TABLE {self._state} AS {select} LIMIT 0")
        database.execute(f"PREPARE p{t.number} AS INSERT INTO {self._state} {select}")
        self._calls, self._failure = states, ""
        self._has_closed = False
        self.schema = plan.schema
        self.lag_us = plan.lateness_us

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        t = self._t
        rows = without_late(deltas[0], self._plan.lateness_us, turn)
        if rows.num_rows:
            t.input.table = rows
            t.database.execute(f"EXECUTE p{t.number}")
        until = closed_until(turn.watermark_us, self._plan.lateness_us) if turn.has_moved else None
        if until is None:
            return self.schema.empty_table()
        out = t.database.arrow(self._closed_sql(until))
        if out.num_rows:
            self._has_closed = True
            t.database.execute(f"DELETE FROM {self._state} WHERE {WINDOW_END} <= {until}")
        if self._failure:
            fails = out.column(_FAILS)
            t.tell(out.filter(fails), self._plan.shown_keys, self._failure, turn)
            out = out.filter(pc.invert(fails))
        return at_close(out, turn, self._plan.lateness_us, self.schema)

    def take_care(self, error: BaseException | None) -> bool:
        if self._failure or not isinstance(error, VALUE_ERRORS):
            return False
        self._failure = reason_of(error)
        return True

    def state_size(self) -> StateSize:
        return self._t.database.size(self._state)

    @property
    def can_retell(self) -> bool:
        return not self._has_closed

    def retell(self, turn: Turn) -> pa.Table:
        del turn
        return self.schema.empty_table()

    def close(self) -> None:
        self._t.database.execute(f"DEALLOCATE p{self._t.number}")
        self._t.close(self._state)

    def _closed_sql(self, until: int) -> str:
        """The results of closed windows; once one could not be computed, whether it fails is said of each."""
        t = self._t
        closed = f"FROM {self._state} WHERE {WINDOW_END} <= {until} {t.group_by}"
        if not self._failure:
            items = [f"finalize(combine_aggr({s})) AS {c.name}" for c, s in self._calls]
            return (
                f"SELECT {', '.join([*t.shown, *items, WINDOW_END])} {closed} ORDER BY {WINDOW_END}"
            )
        whole = ", ".join([*t.keys, *(f"combine_aggr({s}) AS {s}" for _, s in self._calls)])
        tried = ", ".join(f"{s} := finalize({s})" for _, s in self._calls)
        results = (
            f"SELECT {t.key_list}, TRY(struct_pack({tried})) AS r FROM (SELECT {whole} {closed})"
        )
        items = [
            *t.shown,
            *(f"r.{s} AS {c.name}" for c, s in self._calls),
            WINDOW_END,
            f"r IS NULL AS {_FAILS}",
        ]
        return f"SELECT {', '.join(items)} FROM ({results}) ORDER BY {WINDOW_END}"


def renamed_input(input_sql: str, name: str) -> str:
    """The planner's text ends in `FROM _in)`."""
    head, _, tail = input_sql.rpartition(INPUT)
    return head + name + tail
