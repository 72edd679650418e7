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


@dataclass(frozen=True)
class RowError:
    """One row of `errors.NAME` before its epoch and time are known."""

    code: str
    reason: str
    raw: bytes
    position: str = ""


@dataclass
class RowErrors:
    """Errors of one node in one epoch.

    Attributes:
        origin: the node's input delta: what a failed row looked like is read from there by its number.
    """

    origin: pa.Table | None = None
    rows: list[RowError] = field(default_factory=list)

    def add(self, seqs: Sequence[int], code: str, reason: str) -> None:
        """Records the input rows with these arrival numbers."""
        for raw in self._raw(seqs):
            self.rows.append(RowError(code, reason, raw))

    def add_rows(
        self, rows: pa.Table, code: str, reason: str, labels: Mapping[str, str] | None = None
    ) -> None:
        """Records these rows; `labels` gives columns the names that users know."""
        shown = visible(rows)
        names = [(labels or {}).get(n, n) for n in shown.column_names]
        for row in shown.rename_columns(names).to_pylist():
            self.rows.append(RowError(code, reason, _as_json(row)))

    def _raw(self, seqs: Sequence[int]) -> list[bytes]:
        if self.origin is None or SEQ not in self.origin.column_names:
            return [b""] * len(seqs)
        numbers = self.origin.column(SEQ).to_numpy()
        at = np.minimum(np.searchsorted(numbers, np.asarray(seqs)), max(len(numbers) - 1, 0))
        rows = visible(self.origin.take(pa.array(at))).to_pylist()
        return [_as_json(row) for row in rows]


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


def _as_json(row: dict[str, Any]) -> bytes:
    return json.dumps(row, default=_plain, ensure_ascii=False).encode()


def _plain(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
