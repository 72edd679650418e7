"""GROUP BY over sessions: partial states (or rows) are kept by session, and move when sessions are merged."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from stream_magic.core.change import SEQ, is_hidden
from stream_magic.engine.operators.aggregate import renamed_input
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.output import at_close, numbered
from stream_magic.engine.operators.results import Results
from stream_magic.engine.sessions.intake import (
    MOVED,
    SPANS,
    SessionIntake,
    moved_table,
    spans_table,
)
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.planner.nodes import SESSION, WINDOW_END, SessionGroup

_IDS = pa.schema([("id", pa.int64())])


class SessionGroupOperator(Operator):
    """One result for each session and key: its changes, or once, when the session closes."""

    def __init__(
        self, plan: SessionGroup, schema: pa.Schema, intake: SessionIntake, database: Database
    ) -> None:
        self.schema = plan.schema
        self._plan, self._intake, self._database = plan, intake, database
        if plan.group.emit == "close":
            self.lag_us = plan.sessions.lateness_us
        self._number = number = database.number()
        self._inputs = {
            "new": ArrowInput(schema), "now": ArrowInput(SPANS), "moved": ArrowInput(MOVED), "ids": ArrowInput(_IDS),
        }  # fmt: skip
        for name, table in self._inputs.items():
            database.register(f"_{name}{number}", table)
        self._prepare()
        self._results = self._make_results() if plan.group.emit == "changes" else None

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        merge, told = self._intake.merge, self._intake.told
        out = self.schema.empty_table()
        self._show(new=deltas[0], now=spans_table(merge.now), moved=moved_table(merge, has_grown=False))  # fmt: skip
        if self._inputs["moved"].table.num_rows:
            self._execute("move")
        if deltas[0].num_rows:
            self._execute("add")
        if self._results is not None and len(merge.now.key):
            ids = np.union1d(merge.before.key, merge.now.key)
            self._show(ids=pa.table([pa.array(ids)], schema=_IDS))
            self._fold()
            out = numbered(self._results.update(), turn.last_seq, self.schema)
        if len(told.key):
            self._show(now=spans_table(told))
            if self._results is None:
                closed = self._database.arrow(f"EXECUTE closed{self._number}")
                out = at_close(closed, turn, self._plan.sessions.lateness_us, self.schema)
            else:
                self._results.delete(f"{SESSION} IN (SELECT id FROM _now{self._number})")
            self._execute("forget")
        return out

    def state_size(self) -> StateSize:
        kept = [self._database.size(f"k{self._number}")]
        return StateSize.total(kept if self._results is None else [*kept, self._results.size()])

    @property
    def can_retell(self) -> bool:
        return self._results is not None and self._results.is_whole

    def retell(self, turn: Turn) -> pa.Table:
        rows = self._results.all() if self._results is not None else self.schema.empty_table()
        return numbered(rows, turn.last_seq, self.schema)

    def close(self) -> None:
        if self._results is not None:
            self._results.close()
        for name in self._statements:
            self._database.execute(f"DEALLOCATE {name}{self._number}")
        self._database.execute(f"DROP TABLE k{self._number}")
        self._database.execute(f"DROP TABLE f{self._number}")
        for name in self._inputs:
            self._database.unregister(f"_{name}{self._number}")

    def _show(self, **tables: pa.Table) -> None:
        for name, table in tables.items():
            self._inputs[name].table = table

    def _execute(self, statement: str) -> None:
        self._database.execute(f"EXECUTE {statement}{self._number}")

    def _fold(self) -> None:
        """The states of a session that got rows become one again."""
        if self._plan.group.is_mergeable:
            for statement in ("fold", "forget", "put", "clear"):
                self._execute(statement)

    # --- statements ------------------------------------------------------------------------------

    def _prepare(self) -> None:
        n, group = self._number, self._plan.group
        bounds = self._plan.sessions.bounds
        self._keys = [k for k in group.keys if k not in (bounds.start, bounds.end)]
        self._states = [f"s{i}" for i in range(len(group.calls))]
        source = renamed_input(group.input_sql, f"_new{n}")
        self._parts = ", ".join([SESSION, *self._keys])
        if group.is_mergeable:
            states = [f"{c.state_sql} AS {s}" for c, s in zip(group.calls, self._states, strict=True)]  # fmt: skip
            kept = (
                f"SELECT {', '.join([self._parts, *states])} FROM {source} GROUP BY {self._parts}"
            )
        else:
            names = [c for c in group.input_columns if not is_hidden(c)]
            kept = f"SELECT {', '.join([*names, SEQ, SESSION])} FROM {source}"
        for table in (f"k{n}", f"f{n}"):
            self._database.execute(f"CREATE TABLE {table} AS {kept} LIMIT 0")
        folded = ", ".join([self._parts, *(f"combine_aggr({s}) AS {s}" for s in self._states)])
        touched = f"WHERE {SESSION} IN (SELECT id FROM _now{n})"
        self._statements = {
            "add": f"INSERT INTO k{n} {kept}",
            "move": f"UPDATE k{n} SET {SESSION} = m.becomes FROM _moved{n} AS m WHERE k{n}.{SESSION} = m.id",
            "forget": f"DELETE FROM k{n} {touched}",
        }
        if group.emit == "close":
            self._statements["closed"] = self._closed_sql()
        elif group.is_mergeable:
            self._statements |= {
                "fold": f"INSERT INTO f{n} SELECT {folded} FROM k{n} {touched} GROUP BY {self._parts}",
                "put": f"INSERT INTO k{n} FROM f{n}",
                "clear": f"DELETE FROM f{n}",
            }
        for name, text in self._statements.items():
            self._database.execute(f"PREPARE {name}{n} AS {text}")

    def _calls(self) -> list[str]:
        group = self._plan.group
        if group.is_mergeable:
            pairs = zip(group.calls, self._states, strict=True)
            return [f"finalize(combine_aggr({s})) AS {c.name}" for c, s in pairs]
        return [f"{c.sql} AS {c.name}" for c in group.calls]

    def _with_bounds(self) -> str:
        """What is kept of the sessions in `_now`, with their bounds."""
        n, bounds = self._number, self._plan.sessions.bounds
        return f"(SELECT r.*, {bounds.sql('s')}, s.last AS _sm_last FROM k{n} AS r JOIN _now{n} AS s ON r.{SESSION} = s.id)"

    def _closed_sql(self) -> str:
        keys = ", ".join(self._plan.group.keys)
        end = f"max(_sm_last) + {self._plan.sessions.bounds.gap_us} AS {WINDOW_END}"
        items = ", ".join([keys, *self._calls(), end])
        return f"SELECT {items} FROM {self._with_bounds()} GROUP BY {keys} ORDER BY {WINDOW_END}"

    def _make_results(self) -> Results:
        group = self._plan.group
        keys = [SESSION, *group.keys]
        shown = [n for n in self.schema.names if not is_hidden(n)]
        kinds = dict(zip(shown, group.types, strict=True)) | {SESSION: "BIGINT"}
        columns = [*keys, *(c.name for c in group.calls)]
        by = ", ".join(keys)
        return Results(
            self._database, f"SELECT {', '.join([by, *self._calls()])} FROM {self._with_bounds()} GROUP BY {by}",
            columns, [kinds[c] for c in columns], keys=[SESSION], shown=shown,
            touched=f"(SELECT id AS {SESSION} FROM _ids{self._number})",
        )  # fmt: skip
