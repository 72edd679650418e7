"""Rows that could not be handled: collected during an epoch, kept in `errors.NAME`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from stream_magic.core.change import SEQ, visible
from stream_magic.language.catalog import ERRORS_SCHEMA

NO_RESULT = "SM5007"


@dataclass(frozen=True)
class RowError:
    """One row of `errors.NAME` before its epoch and time are known."""

    code: str
    reason: str
    raw: bytes
    position: str = ""
    seq: int = -1  # arrival number of the row, if it has one


@dataclass
class RowErrors:
    """Errors of one node in one epoch.

    Attributes:
        origins: the node's input deltas: what a failed row looked like is read from there by its number.
    """

    origins: Sequence[pa.Table] = ()
    rows: list[RowError] = field(default_factory=list)

    def add(self, seqs: Sequence[int], code: str, reason: str) -> None:
        """Records the input rows with these arrival numbers."""
        for seq, raw in zip(seqs, self._raw(seqs), strict=True):
            self.rows.append(RowError(code, reason, raw, seq=seq))

    def add_rows(
        self, rows: pa.Table, code: str, reason: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """Records these rows; `labels` gives columns the names that users know."""
        shown = visible(rows)
        names = [(labels or {}).get(n, n) for n in shown.column_names]
        seqs = rows.column(SEQ).to_pylist() if SEQ in rows.column_names else [-1] * rows.num_rows
        for seq, raw in zip(seqs, as_texts(shown.rename_columns(names)), strict=True):
            self.rows.append(RowError(code, reason, raw, seq=seq))

    def _raw(self, seqs: Sequence[int]) -> list[bytes]:
        """The first input row with each of these numbers, as JSON."""
        found = [b""] * len(seqs)
        wanted = np.asarray(seqs, np.int64)
        for origin in self.origins:
            if not origin.num_rows:
                continue
            numbers = origin.column(SEQ).to_numpy()
            order = np.argsort(numbers, kind="stable")
            at = np.minimum(np.searchsorted(numbers, wanted, sorter=order), len(numbers) - 1)
            hits = np.flatnonzero(numbers[order[at]] == wanted)
            texts = as_texts(visible(origin.take(pa.array(order[at[hits]]))))
            for hit, text in zip(hits, texts, strict=True):
                found[hit] = found[hit] or text
        return found


def no_result(reason: str) -> str:
    """What is said of a group: its rows are kept, and the result may come back."""
    return f"{reason}: there is no result for these rows until it can be computed"


def errors_table(rows: Sequence[RowError], epoch: int, now_us: int) -> pa.Table:
    """The delta of `errors.NAME`."""
    return pa.table(
        {
            "epoch": pa.array([epoch] * len(rows), pa.int64()),
            "at": pa.array([now_us] * len(rows), pa.timestamp("us")),
            "code": pa.array([r.code for r in rows], pa.string()),
            "reason": pa.array([r.reason for r in rows], pa.string()),
            "position": pa.array([r.position for r in rows], pa.string()),
            "raw": pa.array([r.raw for r in rows], pa.binary()),
        },
        schema=ERRORS_SCHEMA,
    )


def as_texts(rows: pa.Table) -> list[bytes]:
    """Each row as JSON; a time that Python cannot hold is given as its number."""
    try:
        return [_as_json(row) for row in rows.to_pylist()]
    except (OverflowError, ValueError):
        columns = [
            c.cast(pa.int64()) if pa.types.is_temporal(c.type) else c.cast(pa.string(), safe=False)
            for c in rows.columns
        ]
        return [_as_json(row) for row in pa.table(columns, rows.column_names).to_pylist()]


def _as_json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, default=_plain, ensure_ascii=False).encode()


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
