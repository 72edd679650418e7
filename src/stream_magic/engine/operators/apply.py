"""Python functions at work: once for each row, in the thread that runs the epoch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from stream_magic.core.change import SEQ, WEIGHT
from stream_magic.engine.operators.base import Operator, Turn
from stream_magic.engine.state import StateSize
from stream_magic.planner.nodes import ROW, Apply


class ApplyOperator(Operator):
    """Calls functions over columns; a row for which one fails becomes an error, the others go on."""

    is_stateless = True

    def __init__(self, plan: Apply) -> None:
        self.schema = plan.schema
        self._plan = plan

    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        (delta,) = deltas
        columns = {n: delta.column(n).combine_chunks() for n in delta.column_names}
        failures: dict[int, str] = {}
        for call in self._plan.calls:
            wanted = columns[call.when] if call.when else None
            given = [columns[a] for a in call.arguments]
            applied = call.function.apply(given, delta.num_rows, wanted)
            columns[call.name] = applied.values
            failures |= {i: why for i, why in applied.failures.items() if i not in failures}
        out = pa.table([columns[n] for n in self.schema.names], schema=self.schema)
        return self._without(out, failures, delta, turn) if failures else out

    def state_size(self) -> StateSize:
        return StateSize()

    def _without(
        self, out: pa.Table, failures: dict[int, str], delta: pa.Table, turn: Turn
    ) -> pa.Table:
        is_good = np.ones(out.num_rows, bool)
        is_good[list(failures)] = False
        for at in sorted(failures):
            self._note(delta.slice(at, 1), failures[at], turn)
        return out.filter(pa.array(is_good))

    def _note(self, row: pa.Table, reason: str, turn: Turn) -> None:
        """What is taken back now was an error when it came."""
        if WEIGHT in row.column_names and row.column(WEIGHT)[0].as_py() < 0:
            return
        if self._plan.is_over_rows and ROW not in row.column_names:
            turn.errors.add(row.column(SEQ).to_pylist(), "SM5006", reason)
        else:
            turn.errors.add_rows(row, "SM5006", reason, self._plan.labels)
