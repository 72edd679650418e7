"""Rows into JSON texts, exact, by one SQL expression for each column.

Numbers are written with all their digits (also DECIMAL and integers beyond 2^53), times as ISO 8601,
blobs as base64, and what JSON has no number for as the texts "NaN", "Infinity" and "-Infinity".
"""

from __future__ import annotations

import threading

import duckdb
import msgspec
import pyarrow as pa

from stream_magic.core.values import is_binary, is_list, is_text

_local = threading.local()


def encode_lines(rows: pa.Table) -> pa.Array:
    """One JSON object for each row, as a string array."""
    if rows.num_columns == 0 or rows.num_rows == 0:
        return pa.array(["{}"] * rows.num_rows, pa.string())
    if not hasattr(_local, "connection"):
        _local.connection = duckdb.connect(config={"threads": 1})
    # Plain names, because DuckDB does not tell columns apart by case.
    messages = rows.rename_columns([f"c{i}" for i in range(rows.num_columns)])
    members = [
        f"{_literal(_key(f.name, first=i == 0))}, {_json(f'c{i}', f.type, 0)}"
        for i, f in enumerate(rows.schema)
    ]
    query = f"SELECT concat('{{', {', '.join(members)}, '}}') AS j FROM messages"
    relation = _local.connection.from_arrow(messages).query("messages", query)
    encoded: pa.ChunkedArray = relation.to_arrow_table().column(0)
    return encoded.combine_chunks()


def _key(name: str, *, first: bool) -> str:
    return ("" if first else ",") + msgspec.json.encode(name).decode() + ":"


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _json(value: str, kind: pa.DataType, depth: int) -> str:
    """SQL for the JSON text of the expression `value`."""
    return f"coalesce({_not_null(value, kind, depth)}, 'null')"


def _not_null(value: str, kind: pa.DataType, depth: int) -> str:
    """SQL for the JSON text of `value`, NULL where it is NULL."""
    if is_text(kind):
        return f"CAST(to_json(CAST({value} AS VARCHAR)) AS VARCHAR)"
    if pa.types.is_floating(kind):
        return (
            f"CASE WHEN isfinite({value}) THEN CAST({value} AS VARCHAR) "
            f"WHEN isnan({value}) THEN '\"NaN\"' "
            f"WHEN {value} > 0 THEN '\"Infinity\"' "
            f"WHEN {value} < 0 THEN '\"-Infinity\"' END"
        )
    if pa.types.is_timestamp(kind):
        return _timestamp(value, kind)
    if is_binary(kind):
        return f"'\"' || to_base64({value}) || '\"'"
    if pa.types.is_date(kind) or pa.types.is_time(kind) or pa.types.is_interval(kind):
        return f"'\"' || CAST({value} AS VARCHAR) || '\"'"
    if pa.types.is_struct(kind):
        return _struct(value, kind, depth)
    if is_list(kind):
        item = f"x{depth}"
        inner = _json(item, kind.value_type, depth + 1)
        items = f"list_transform({value}, lambda {item}: {inner})"
        return f"'[' || array_to_string({items}, ',') || ']'"
    if pa.types.is_map(kind):
        return _map(value, kind, depth)
    return f"CAST({value} AS VARCHAR)"


def _timestamp(value: str, kind: pa.DataType) -> str:
    if kind.tz:
        return f"strftime(make_timestamp(epoch_us({value})), '\"%Y-%m-%dT%H:%M:%S.%fZ\"')"
    if kind.unit == "ns":  # strftime writes %n beyond its text (DuckDB 2.0.0)
        return f"'\"' || replace(CAST({value} AS VARCHAR), ' ', 'T') || '\"'"
    digits = {"s": "", "ms": ".%g", "us": ".%f"}[kind.unit]
    # Cast, because strftime would take seconds and milliseconds as TIMESTAMP_NS, which ends in 2262.
    return f"strftime(CAST({value} AS TIMESTAMP), '\"%Y-%m-%dT%H:%M:%S{digits}\"')"


def _struct(value: str, kind: pa.DataType, depth: int) -> str:
    members = [
        f"{_literal(_key(f.name, first=i == 0))}, "
        f"{_json(f'struct_extract_at({value}, {i + 1})', f.type, depth)}"
        for i, f in enumerate(kind)
    ]
    return f"CASE WHEN {value} IS NOT NULL THEN concat('{{', {', '.join(members)}, '}}') END"


def _map(value: str, kind: pa.DataType, depth: int) -> str:
    item = f"x{depth}"
    key = f"CAST(to_json(CAST({item}.key AS VARCHAR)) AS VARCHAR)"
    inner = _json(f"{item}.value", kind.item_type, depth + 1)
    members = f"list_transform(map_entries({value}), lambda {item}: {key} || ':' || {inner})"
    return f"'{{' || array_to_string({members}, ',') || '}}'"
