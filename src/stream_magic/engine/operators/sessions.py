"""SESSION over a watermarked time: rows get the sessions that they are in."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from stream_magic.core.change import LATE_BY, SEQ, WEIGHT
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.sessions.intake import (
    MOVED,
    SPANS,
    SessionIntake,
    moved_table,
    spans_table,
)
from stream_magic.engine.state import ArrowInput, Database, StateSize
from stream_magic.language.binder import quote
from stream_magic.planner.nodes import SESSION, Sessions


class SessionOperator(Operator):
    """Gives each row once, with the number of its session. What becomes of sessions is in `intake`."""

    def __init__(self, plan: Sessions, schema: pa.Schema, database: Database) -> None:
        self.schema = plan.schema
        self.intake = SessionIntake(plan, schema, database)

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        return self.intake.take(deltas[0], turn).select(self.schema.names)

    def state_size(self) -> StateSize:
        return self.intake.state_size()

    def close(self) -> None:
        self.intake.close()


class SessionRowsOperator(Operator):
    """Gives rows with the bounds of their sessions, which it keeps until the session closes.

    They are taken back when the session grows; or all are given once, when it closes.
    """

    def __init__(self, plan: Sessions, schema: pa.Schema, database: Database) -> None:
        self.schema = plan.schema
        self._intake = SessionIntake(plan, schema, database)
        self._waits = plan.gives == "closed"
        self._database = database
        self._number = number = database.number()
        fields = [schema.field(c) for c in (*plan.columns, SEQ)]
        self._new = ArrowInput(pa.schema([*fields, pa.field(SESSION, pa.int64())]))
        self._now, self._moved = ArrowInput(SPANS), ArrowInput(MOVED)
        self._inputs = {"new": self._new, "now": self._now, "moved": self._moved}
        for name, table in self._inputs.items():
            database.register(f"_{name}{number}", table)
        self._statements = self._prepare(plan)

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        rows = self._intake.take(deltas[0], turn)
        merge, told = self._intake.merge, self._intake.told
        self._new.table = rows.select(self._new.table.schema.names)
        self._now.table = spans_table(merge.now)
        self._moved.table = moved_table(merge, has_grown=not self._waits)
        out = self.schema.empty_table()
        if rows.num_rows:
            if not self._waits:
                out = self._rows("changes")
            if self._moved.table.num_rows:
                self._execute("move")
            self._execute("keep")
        if len(told.key):
            self._now.table = spans_table(told)
            if self._waits:
                out = self._rows("closed")
            self._execute("forget")
        return out

    def state_size(self) -> StateSize:
        kept = self._database.size(f"k{self._number}")
        return StateSize(kept.rows, kept.bytes + self._intake.state_size().bytes)

    def close(self) -> None:
        self._intake.close()
        for name in self._statements:
            self._database.execute(f"DEALLOCATE {name}{self._number}")
        self._database.execute(f"DROP TABLE k{self._number}")
        for name in self._inputs:
            self._database.unregister(f"_{name}{self._number}")

    def _execute(self, statement: str) -> None:
        self._database.execute(f"EXECUTE {statement}{self._number}")

    def _rows(self, statement: str) -> pa.Table:
        rows = self._database.arrow(f"EXECUTE {statement}{self._number}")
        return rows.select(self.schema.names).cast(self.schema)

    def _prepare(self, plan: Sessions) -> dict[str, str]:
        n, bounds = self._number, plan.bounds
        kinds = dict(zip(map(quote, plan.columns), plan.types, strict=True))
        kinds |= {SEQ: "BIGINT", SESSION: "BIGINT"}
        declared = ", ".join(f"{c} {t}" for c, t in kinds.items())
        self._database.execute(f"CREATE TABLE k{n} ({declared})")
        new = ", ".join(f"CAST({c} AS {t}) AS {c}" for c, t in kinds.items())
        shown = ", ".join(f"r.{c}" for c in kinds if c != SESSION)

        def given(weight: int, session: str, rows: str) -> str:
            return (
                f"SELECT {shown}, {bounds.sql(session)}, {weight}::BIGINT AS {WEIGHT} FROM {rows}"
            )

        moved = f"k{n} AS r JOIN _moved{n} AS m ON r.{SESSION} = m.id"
        parts = [
            given(-1, "m", moved),
            given(1, "s", f"{moved} JOIN _now{n} AS s ON m.becomes = s.id"),
            given(1, "s", f"(SELECT {new} FROM _new{n}) AS r JOIN _now{n} AS s ON r.{SESSION} = s.id"),
        ]  # fmt: skip
        statements = {
            "keep": f"INSERT INTO k{n} SELECT {new} FROM _new{n}",
            "move": f"UPDATE k{n} SET {SESSION} = m.becomes FROM _moved{n} AS m WHERE k{n}.{SESSION} = m.id",
            "forget": f"DELETE FROM k{n} WHERE {SESSION} IN (SELECT id FROM _now{n})",
            "changes": " UNION ALL ".join(parts),
            "closed": f"SELECT {shown}, {bounds.sql('s')}, NULL::BIGINT AS {LATE_BY} "
            f"FROM k{n} AS r JOIN _now{n} AS s ON r.{SESSION} = s.id ORDER BY r.{SEQ}",
        }
        for name, sql in statements.items():
            self._database.execute(f"PREPARE {name}{n} AS {sql}")
        return statements
