"""Rows into CSV lines, by one SQL expression for each column."""

from __future__ import annotations

import re
import threading

import duckdb
import pyarrow as pa

from stream_magic.core.values import is_binary, is_nested
from stream_magic.formats.csv.records import Dialect

_local = threading.local()


def encode_header(names: list[str], dialect: Dialect) -> bytes:
    """The line that names the columns, without its end."""
    quote = dialect.quote
    special = re.compile(_special(dialect))
    fields = [
        f"{quote}{n.replace(quote, quote * 2)}{quote}" if special.search(n) or not n else n
        for n in names
    ]
    return dialect.delimiter.join(fields).encode()


def encode_lines(rows: pa.Table, dialect: Dialect) -> pa.Array:
    """One line for each row, without its end."""
    if rows.num_columns == 0 or rows.num_rows == 0:
        return pa.array([""] * rows.num_rows, pa.string())
    if not hasattr(_local, "connection"):
        _local.connection = duckdb.connect(config={"threads": 1})
    fields = [_field(f"c{i}", f.type, dialect) for i, f in enumerate(rows.schema)]
    between = f", {_literal(dialect.delimiter)}, "
    # Plain names, because DuckDB does not tell columns apart by case.
    lines = rows.rename_columns([f"c{i}" for i in range(rows.num_columns)])
    query = f"SELECT concat({between.join(fields)}) AS line FROM lines"
    encoded = _local.connection.from_arrow(lines).query("lines", query).to_arrow_table().column(0)
    return encoded.combine_chunks()


def _field(value: str, kind: pa.DataType, dialect: Dialect) -> str:
    """SQL for one field: the null text for NULL, in quotes what would be read as something else."""
    text = _text(value, kind)
    quote = _literal(dialect.quote)
    quoted = f"{quote} || replace({text}, {quote}, {_literal(dialect.quote * 2)}) || {quote}"
    special = f"regexp_matches({text}, {_literal(_special(dialect))})"
    null = _literal(dialect.null)
    return (
        f"CASE WHEN {value} IS NULL THEN {null} "
        f"WHEN {text} IN ('', {null}) OR {special} THEN {quoted} ELSE {text} END"
    )


def _text(value: str, kind: pa.DataType) -> str:
    if is_nested(kind):
        return f"CAST(to_json({value}) AS VARCHAR)"
    if is_binary(kind):
        return f"to_base64({value})"
    if pa.types.is_timestamp(kind) and kind.tz:
        return f"(CAST(make_timestamp(epoch_us({value})) AS VARCHAR) || 'Z')"
    return f"CAST({value} AS VARCHAR)"


def _special(dialect: Dialect) -> str:
    """What makes quotes necessary; blanks at the ends too, because spreadsheets cut them."""
    marks = "".join(f"\\x{ord(c):02x}" for c in (dialect.delimiter, dialect.quote))
    return rf"[{marks}\r\n]|^\s|\s$"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
