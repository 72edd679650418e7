"""What hosts without widgets show: the rows at the moment of display, as text and as plain HTML."""

from __future__ import annotations

import html
from typing import Any

import pyarrow as pa

from stream_magic.views.words import MINUS, count, number, sql_type

SHOWN = 20
_CELL = "padding:4px 10px;border-bottom:1px solid rgba(128,128,128,.25);white-space:nowrap"


def text_table(name: str, rows: pa.Table, total: int, shown: int = SHOWN) -> str:
    """A table for terminals: heads, rows, and how many there are."""
    rows = rows.slice(0, shown)
    columns = [
        [head, *(_text(v, is_id=_is_id(head)) for v in rows.column(i).to_pylist())]
        for i, head in enumerate(rows.column_names)
    ]
    numeric = [_is_number(f.type) for f in rows.schema]
    widths = [min(40, max(map(len, c))) for c in columns]
    lines = [f"{name}: {_footer(rows.num_rows, total)}"]
    for cells in zip(*columns, strict=True):
        parts = [
            _clip(c, w).rjust(w) if right else _clip(c, w).ljust(w)
            for c, w, right in zip(cells, widths, numeric, strict=True)
        ]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def html_table(name: str, rows: pa.Table, total: int, shown: int = SHOWN) -> str:
    """A table without scripts and without theme, for nbviewer and GitHub."""
    rows = rows.slice(0, shown)
    sides = ["right" if _is_number(f.type) else "left" for f in rows.schema]
    heads = "".join(
        f'<th style="{_CELL};text-align:{side}">{html.escape(f.name)}<br>'
        f'<small style="font-weight:400">{html.escape(sql_type(f.type))}</small></th>'
        for f, side in zip(rows.schema, sides, strict=True)
    )
    columns = [
        [_text(v, is_id=_is_id(n)) for v in rows.column(i).to_pylist()]
        for i, n in enumerate(rows.column_names)
    ]
    body = "".join(f"<tr>{_html_cells(cells, sides)}</tr>" for cells in zip(*columns, strict=True))
    caption = f"<b>{html.escape(name)}</b> {_footer(rows.num_rows, total)}"
    return (
        f'<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
        f'<caption style="text-align:left">{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    )


def _html_cells(cells: tuple[str, ...], sides: list[str]) -> str:
    return "".join(
        f'<td style="{_CELL};text-align:{side}">{html.escape(_clip(c, 80))}</td>'
        for c, side in zip(cells, sides, strict=True)
    )


def _footer(shown: int, total: int) -> str:
    return "no rows yet" if not total else f"{number(shown)} of {count(total, 'row')} shown"


def _is_number(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))


def _is_id(name: str) -> bool:
    return name.lower() == "id" or name.lower().endswith("_id")


def _text(value: Any, *, is_id: bool) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return (str(value) if is_id else f"{value:,}").replace("-", MINUS)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _clip(text: str, width: int) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= width else line[: width - 1] + "\u2026"
