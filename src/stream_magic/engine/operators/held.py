"""Kept rows of a stream that are soon forgotten: Arrow tables in memory, which DuckDB reads as they are.

Windows close so soon that to write their rows into a table of DuckDB's, and to delete them from it, costs more
than the join that reads them (decision 0013).
"""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.change import SEQ
from stream_magic.engine.operators.bag import TAKEN, Change
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.state import ArrowInput, Database, StateSize, in_chunks
from stream_magic.language.binder import quote

_PART_ROWS = 16_384  # DuckDB reads each part by itself: smaller ones are put together


class Held:
    """Rows that are only added, with these columns and `_sm_seq`. What is done to them is undone with the epoch.

    Attributes:
        rows: reads the rows that there are.
        delta: reads the change of this epoch.
    """

    is_changelog = False

    def __init__(
        self, database: Database, input_schema: pa.Schema, columns: Sequence[str], types: Sequence[str]
    ) -> None:  # fmt: skip
        self._database = database
        schema = pa.schema([input_schema.field(n) for n in (*columns, SEQ)])
        self._number = number = database.number()
        self._new, self._kept = ArrowInput(schema), ArrowInput(schema)
        database.register(f"_in{number}", self._new)
        database.register(f"_kept{number}", self._kept)
        names = [quote(c) for c in columns]
        typed = [f"CAST({c} AS {t}) AS {c}" for c, t in zip(names, types, strict=True)]
        shown = ", ".join([*typed, SEQ])
        self.delta = f"(SELECT {shown} FROM _in{number})"
        self.rows = f"(SELECT {shown} FROM _kept{number})"

    def change(self, delta: pa.Table, turn: Turn) -> Change:
        """What a delta does: its rows are added."""
        del turn
        rows = in_chunks(delta.select(self._new.table.schema.names))
        return Change(rows, rows, TAKEN.empty_table())

    def apply(self, change: Change) -> None:
        """Does it; `delta` then reads the change."""
        self._keep(_joined(self._kept.table, change.added))
        self.show(change)

    def show(self, change: Change | None) -> None:
        """Makes `delta` read this change; None is no change."""
        self._new.table = self._new.table.slice(0, 0) if change is None else change.rows

    def delete(self, condition: str) -> int:
        """Forgets rows; how many there were."""
        asked = f"SELECT coalesce({condition}, false) AS is_gone FROM {self.rows}"
        is_gone = self._database.arrow(asked).column("is_gone")
        left = self._kept.table.filter(pc.invert(is_gone))
        gone = self._kept.table.num_rows - left.num_rows
        if gone:
            self._keep(left)
        return int(gone)

    def count(self) -> int:
        return int(self._kept.table.num_rows)

    def size(self) -> StateSize:
        return StateSize(self.count(), self._kept.table.nbytes)

    def close(self) -> None:
        self._database.unregister(f"_in{self._number}")
        self._database.unregister(f"_kept{self._number}")

    def _keep(self, rows: pa.Table) -> None:
        before, self._kept.table = self._kept.table, rows

        def undo() -> None:
            self._kept.table = before

        self._database.on_rollback(undo)


def _joined(kept: pa.Table, new: pa.Table) -> pa.Table:
    """Both. Of the last parts those are put together that are small, each as large as the one after it."""
    parts = [*kept.to_batches(), *new.to_batches()]
    while len(parts) > 1 and parts[-2].num_rows <= min(2 * parts[-1].num_rows, _PART_ROWS):
        parts[-2:] = [pa.concat_batches(parts[-2:])]
    return pa.Table.from_batches(parts, kept.schema)
