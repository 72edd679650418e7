"""What cells show besides the live views: plain tables, sentences, notes; HTML in a notebook, text in a terminal."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

_WIDEST_TEXT, _WIDEST_HTML = 90, 160
_CELL = "padding:4px 10px;border-bottom:1px solid rgba(128,128,128,.25);text-align:{side};white-space:{space}"
_QUIET = "color:var(--jp-ui-font-color2,#696969)"
_TONES = {"error": "var(--jp-error-color1,#bb2222)", "warn": "var(--jp-warn-color0,#8f5600)"}


class Sentence:
    """A line of text as the result of a cell."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


class Notes:
    """Warnings below a cell's output."""

    def __init__(self, texts: Sequence[str]) -> None:
        self.texts = tuple(texts)

    def __repr__(self) -> str:
        return "\n".join(f"note: {t}" for t in self.texts)

    def _repr_html_(self) -> str:
        items = "".join(f"<div>{html.escape(t)}</div>" for t in self.texts)
        return f'<div style="font-size:12px;padding:4px 10px;border-left:3px solid {_TONES["warn"]}">{items}</div>'


@dataclass(frozen=True)
class Cell:
    """One figure or word of a grid."""

    text: str
    tone: str = ""  # 'error', 'warn', 'quiet'


class Grid:
    """A plain table.

    Attributes:
        title: above it.
        heads: of the columns.
        numeric: which columns stand right.
        rows: cells by row.
    """

    def __init__(
        self, title: str, heads: Sequence[str], numeric: Sequence[bool], rows: Sequence[Sequence[Cell]]
    ) -> None:  # fmt: skip
        self.title = title
        self.heads = tuple(heads)
        self.numeric = tuple(numeric)
        self.rows = rows

    def __repr__(self) -> str:
        lines = [list(self.heads), *([_clip(c.text, _WIDEST_TEXT) for c in r] for r in self.rows)]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.heads))]
        shown = [
            "  ".join(
                text.rjust(width) if right else text.ljust(width)
                for text, width, right in zip(line, widths, self.numeric, strict=True)
            ).rstrip()
            for line in lines
        ]
        return "\n".join([self.title, *shown])

    def _repr_html_(self) -> str:
        heads = "".join(
            f'<th style="{self._style(i)}">{html.escape(h)}</th>' for i, h in enumerate(self.heads)
        )
        body = "".join(f"<tr>{self._html_row(r)}</tr>" for r in self.rows)
        return (
            '<table style="border-collapse:collapse;font-variant-numeric:tabular-nums">'
            f'<caption style="text-align:left;{_QUIET}">{html.escape(self.title)}</caption>'
            f"<thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
        )

    def _html_row(self, row: Sequence[Cell]) -> str:
        return "".join(
            f'<td style="{self._style(i, cell)}">{html.escape(_clip(cell.text, _WIDEST_HTML))}</td>'
            for i, cell in enumerate(row)
        )

    def _style(self, column: int, cell: Cell | None = None) -> str:
        side = "right" if self.numeric[column] else "left"
        text = cell.text if cell is not None else ""
        style = _CELL.format(side=side, space="normal" if len(text) > _WIDEST_TEXT else "nowrap")
        if cell is not None and cell.tone:
            tone = _TONES.get(cell.tone)
            style += f";color:{tone};font-weight:600" if tone else f";{_QUIET}"
        return style


class Rows(Grid):
    """The rows of a query, as they were when it ran; `.arrow` has them all."""

    def __init__(self, rows: pa.Table, title: str = "", most: int = 100) -> None:
        self.arrow = rows
        total = rows.num_rows
        shown = rows.slice(0, most)
        how_many = f"{total:,} {'row' if total == 1 else 'rows'}"
        if total > most:
            how_many = f"first {most:,} of {how_many}"
        columns = [
            [_cell(v, name) for v in shown.column(i).to_pylist()]
            for i, name in enumerate(shown.column_names)
        ]
        super().__init__(
            f"{title}: {how_many}" if title else how_many,
            rows.column_names,
            [_is_number(f.type) for f in rows.schema],
            list(zip(*columns, strict=True)),
        )

    def df(self) -> Any:
        """The rows as a pandas DataFrame."""
        return self.arrow.to_pandas()


def show_result(result: Any) -> Any:
    """What `App.execute` returned, fit for a cell."""
    return Sentence(result) if isinstance(result, str) else Rows(result)


def _cell(value: Any, column: str) -> Cell:
    if value is None:
        return Cell("NULL", "quiet")
    if isinstance(value, bool):
        return Cell(str(value).lower())
    is_id = column.lower() == "id" or column.lower().endswith("_id")
    if isinstance(value, int) and not is_id:
        return Cell(f"{value:,}".replace("-", "−"))
    if isinstance(value, float):
        return Cell(f"{value:,.6g}".replace("-", "−"))
    if isinstance(value, bytes):
        return Cell(value.decode("utf-8", "backslashreplace"))
    return Cell(str(value))


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    t = pa.types
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))


def _clip(text: str, width: int) -> str:
    line = text.replace("\n", " ")
    return line if len(line) <= width else line[: width - 1] + "…"
