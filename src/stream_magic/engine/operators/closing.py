"""GROUP BY with EMIT ON WINDOW CLOSE: partial results wait in memory, and are put together once, at the close."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.operators.late import closed_until
from stream_magic.engine.operators.output import at_close
from stream_magic.engine.operators.partials import HASH, Partials
from stream_magic.engine.state import ArrowInput, Database, Select, StateSize
from stream_magic.planner.nodes import WINDOW_END, Aggregate

_WAITING = "_waiting"


@dataclass(frozen=True)
class _Part:
    """Partial results, and the end of the first window among them."""

    rows: pa.Table
    first: int


class ClosingOperator(Operator):
    """Keeps the partial results of windows that are open."""

    def __init__(self, plan: Aggregate, partials: Partials, database: Database) -> None:
        self._plan, self._partials, self._database = plan, partials, database
        self._parts: list[_Part] = []
        self._has_closed = False
        self._cursor = database.cursor()
        waiting = partials.schema.empty_table().drop_columns(HASH)
        self._waiting = ArrowInput(waiting.schema)
        self._cursor.register(_WAITING, self._waiting)
        self._closed = Select(self._cursor, self._sql())
        self.schema = plan.schema
        self.lag_us = plan.lateness_us

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        parts = self._parts
        self._database.on_rollback(lambda: self._put_back(parts))
        for groups in self._partials.of(deltas[0], turn):
            self._keep(groups.drop_columns(HASH))
        reached = closed_until(turn.watermark_us, self._plan.lateness_us)
        if not turn.has_moved or reached is None:
            return self.schema.empty_table()
        return self._close(reached, turn)

    @property
    def can_retell(self) -> bool:
        return not self._has_closed

    def retell(self, turn: Turn) -> pa.Table:
        del turn
        return self.schema.empty_table()

    def state_size(self) -> StateSize:
        return StateSize.total(StateSize(len(p.rows), p.rows.nbytes) for p in self._parts)

    def close(self) -> None:
        self._partials.close()
        self._cursor.close()

    def _put_back(self, parts: list[_Part]) -> None:
        self._parts = parts

    def _close(self, until: int, turn: Turn) -> pa.Table:
        """The results of the windows that end up to `until`; their parts are let go."""
        touched = [p.rows for p in self._parts if p.first <= until]
        if not touched:
            return self.schema.empty_table()
        rows = pa.concat_tables(touched)
        is_open = pc.greater(rows.column(WINDOW_END), until)
        self._parts = [p for p in self._parts if p.first > until]
        self._keep(rows.filter(is_open))
        self._waiting.table = rows.filter(pc.invert(is_open))
        out = self._closed.run()
        self._has_closed = True
        self._waiting.table = rows.slice(0, 0)
        return at_close(out, turn, self._plan.lateness_us, self.schema)

    def _keep(self, groups: pa.Table) -> None:
        if groups.num_rows:
            first = pc.min(groups.column(WINDOW_END)).as_py()
            self._parts = [*self._parts, _Part(groups, first)]

    def _sql(self) -> str:
        shown = [k for k in self._plan.keys if k != WINDOW_END]
        names = iter(self._partials.names)
        items = []
        for call in self._plan.calls:
            made = [f"{piece.how}({name})" for piece, name in zip(call.pieces, names, strict=False)]
            items.append(f"{made[0]}" if len(made) == 1 else f"{made[0]}::DOUBLE / {made[1]}")
        kinds = self._plan.types[len(shown) :]
        typed = [f"CAST({i} AS {t}) AS {c.name}" for i, t, c in zip(items, kinds, self._plan.calls, strict=True)]  # fmt: skip
        return (
            f"SELECT {', '.join([*shown, *typed, WINDOW_END])} FROM {_WAITING} "
            f"GROUP BY {', '.join(self._plan.keys)} ORDER BY {WINDOW_END}"
        )
