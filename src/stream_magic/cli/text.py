"""Tables as text for a terminal."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa

_WIDEST = 28


def table_text(rows: pa.Table, limit: int = 10) -> str:
    """The first rows, aligned: numbers right, words left."""
    names = rows.column_names
    cells = [[_cell(v) for v in row.values()] for row in rows.slice(0, limit).to_pylist()]
    return grid(names, cells, [_is_number(f.type) for f in rows.schema])


def grid(names: list[str], cells: list[list[str]], is_right: list[bool]) -> str:
    """Names and cells in columns."""
    widths = [max([len(n), *(len(row[i]) for row in cells)]) for i, n in enumerate(names)]
    lines = [_line(names, widths, is_right), "  ".join("─" * w for w in widths)]
    return "\n".join([*lines, *(_line(row, widths, is_right) for row in cells)])


def status_text(status: dict[str, dict[str, Any]]) -> str:
    """Every node with its figures."""
    names = ["node", "kind", "state", "rows in", "rows out", "rows/s", "lag", "errors"]
    cells = [
        [name, s["kind"], s["state"], f"{s['rows_in']:,}", f"{s['rows_out']:,}", f"{s['rows_per_s']:,.1f}",
         "" if s["lag_s"] is None else f"{s['lag_s']:.1f} s", f"{s['errors']:,}"]
        for name, s in status.items()
    ]  # fmt: skip
    text = grid(names, cells, [False, False, False, True, True, True, True, True])
    notes = [
        f"{name}: {s['message'].splitlines()[0]}" for name, s in status.items() if s["message"]
    ]
    return "\n".join([text, *notes])


def _line(cells: list[str], widths: list[int], is_right: list[bool]) -> str:
    return "  ".join(
        c.rjust(w) if r else c.ljust(w) for c, w, r in zip(cells, widths, is_right, strict=True)
    ).rstrip()


def _is_number(t: pa.DataType) -> bool:
    return bool(pa.types.is_integer(t) or pa.types.is_floating(t) or pa.types.is_decimal(t))


def _cell(value: object) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool | datetime | date | Decimal):
        text = str(value)
    elif isinstance(value, int):
        text = f"{value:,}"
    else:
        text = f"{value:,.2f}" if isinstance(value, float) else str(value)
    return text if len(text) <= _WIDEST else text[: _WIDEST - 1] + "…"
