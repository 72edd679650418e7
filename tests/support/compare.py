"""When two results say the same: names, Arrow types, and rows as a multiset."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pyarrow as pa


def canonical(value: Any) -> Any:
    """Hashable, and equal for what SQL calls the same row."""
    if isinstance(value, float):
        return "NaN" if math.isnan(value) else value + 0.0
    if isinstance(value, dict):
        return tuple((k, canonical(v)) for k, v in value.items())
    if isinstance(value, list | tuple):
        return tuple(canonical(v) for v in value)
    return value


def rows_of(table: pa.Table) -> list[Any]:
    """Canonical rows; columns by place, so that two of one name are both there."""
    columns = [[canonical(v) for v in column.to_pylist()] for column in table.columns]
    return list(zip(*columns, strict=True)) if columns else [()] * table.num_rows


def bag(table: pa.Table) -> Counter[Any]:
    return Counter(rows_of(table))


def same(actual: pa.Table, expected: pa.Table, about: str = "", scale: float = 1.0) -> None:
    """Names, Arrow types and rows as a multiset; floats within 1e-9 of `scale`."""
    assert shape(actual.schema) == shape(expected.schema), (
        f"{about}\ntable:  {shape(actual.schema)}\nDuckDB: {shape(expected.schema)}"
    )
    left, right = bag(actual), bag(expected)
    if left == right:
        return
    more, fewer = list((left - right).elements()), list((right - left).elements())
    assert len(more) == len(fewer), _difference(about, more, fewer)
    for a, b in zip(sorted(more, key=_by_value), sorted(fewer, key=_by_value), strict=True):
        assert _close(a, b, 1e-9 * scale), _difference(about, more, fewer)


def same_deltas(deltas: Sequence[pa.Table], table: pa.Table, about: str = "") -> None:
    """The sum of the deltas is the table, exactly."""
    total: Counter[Any] = Counter()
    for delta in deltas:
        weights = delta.column("_weight").to_pylist()
        for row, weight in zip(rows_of(delta.drop_columns(["_weight"])), weights, strict=True):
            total[row] += weight
    left = {k: v for k, v in total.items() if v}
    right = dict(bag(table))
    assert left == right, (
        f"{about}\nonly in the deltas: {dict(left.items() - right.items())}"
        f"\nonly in the table:  {dict(right.items() - left.items())}"
    )


def shape(schema: pa.Schema) -> list[tuple[str, str]]:
    return [(f.name, str(f.type)) for f in schema]


def _by_value(row: Any) -> str:
    return repr(_rounded(row))


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.5g}" if math.isfinite(value) else str(value)
    return tuple(_rounded(v) for v in value) if isinstance(value, tuple) else value


def _close(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return a == b or abs(a - b) <= max(tolerance, 1e-9 * max(abs(a), abs(b)))
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(_close(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return bool(a == b)


def _difference(about: str, more: list[Any], fewer: list[Any]) -> str:
    return f"{about}\nonly in the table: {more}\nonly in DuckDB:    {fewer}"
