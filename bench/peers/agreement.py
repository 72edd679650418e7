"""Whether an answer is the batch answer: the same rows in any order, floats within 1e-9."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class DisagreementError(Exception):
    """Another answer; the text says where."""


def check(given: pa.Table, expected: pa.Table) -> None:
    """Columns go by their place; times lose their zone and what is finer than a microsecond.

    Raises:
        DisagreementError: the rows differ.
    """
    if given.num_columns != expected.num_columns:
        raise DisagreementError(f"{given.num_columns} columns, not {expected.num_columns}")
    if given.num_rows != expected.num_rows:
        raise DisagreementError(f"{given.num_rows:,} rows, not {expected.num_rows:,}")
    ours, theirs = (_sorted(_plain(t, expected.schema)) for t in (given, expected))
    for name, a, b in zip(expected.column_names, ours.columns, theirs.columns, strict=True):
        same = _same(a, b)
        if not same.all():
            at = int(np.argmin(same))
            raise DisagreementError(f"column {name}: {a[at].as_py()!r}, not {b[at].as_py()!r}")


def _plain(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        c.cast(pa.timestamp("us", getattr(c.type, "tz", None)), safe=False).cast(f.type)
        if pa.types.is_timestamp(f.type)
        else c.cast(f.type)
        for c, f in zip(table.columns, schema, strict=True)
    ]
    return pa.table(columns, names=schema.names)


def _sorted(table: pa.Table) -> pa.Table:
    """By whole columns first: floats may differ in their last digits."""
    names = sorted(table.column_names, key=lambda n: pa.types.is_floating(table.schema.field(n).type))  # fmt: skip
    return table.sort_by([(n, "ascending") for n in names]).combine_chunks()


def _same(a: pa.ChunkedArray, b: pa.ChunkedArray) -> np.ndarray:
    if pa.types.is_floating(a.type):
        return np.isclose(a.to_numpy(), b.to_numpy(), rtol=1e-9, atol=0, equal_nan=True)
    equal = pc.fill_null(pc.equal(a, b), False)
    return pc.or_(equal, pc.and_(pc.is_null(a), pc.is_null(b))).to_numpy()
