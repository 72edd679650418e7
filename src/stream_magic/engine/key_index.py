"""Where the rows of a cache are, by key: found for a whole batch at once, at the cost of the batch.

Whole numbers that lie close together are counted off from the lowest. Other keys become 64-bit codes,
sorted, with a directory of their top bits that says where to begin to look; a code may lie, so the
real keys are compared too, unless codes and keys are one to one.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Sequence

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.keys import key_family

Places = npt.NDArray[np.int32]
_Codes = npt.NDArray[np.uint64]
_Keys = Sequence[pa.ChunkedArray]

_DENSE = 4  # places for each key: four bytes each, a coded key takes 20
_ODD = np.uint64(0x9E3779B97F4A7C15)  # 2**64 over the golden ratio
_HALF = np.uint64(32)
_STEPS = 8  # along a bucket of half a key; what is not found by then is found by halving
_local = threading.local()


class KeyIndex(ABC):
    """The rows of one load, a row a key. NULL is no key. `make_index` makes one."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows = rows

    @abstractmethod
    def find(self, keys: _Keys) -> Places:
        """For each row of `keys` (a column for each of the key's) the number of the row with that key, or -1."""


class DenseIndex(KeyIndex):
    """The place of each number between the lowest and the highest."""

    def __init__(self, rows: pa.Table, numbers: npt.NDArray[np.int64], at: Places) -> None:
        super().__init__(rows)
        self._low, self._high = int(numbers.min()), int(numbers.max())
        self._at = np.full(self._high - self._low + 1, -1, np.int32)
        self._at[numbers - self._low] = at

    @staticmethod
    def suits(numbers: npt.NDArray[np.int64]) -> bool:
        if not len(numbers):
            return False
        return int(numbers.max()) - int(numbers.min()) < _DENSE * len(numbers)

    def find(self, keys: _Keys) -> Places:
        numbers = _numbers(keys[0])
        is_out = (numbers < self._low) | (numbers > self._high) | _has_null(keys)
        if is_out.any():
            numbers = np.where(is_out, self._low, numbers)
        found: Places = self._at[numbers - self._low]
        found[is_out] = -1
        return found


class CodedIndex(KeyIndex):
    """Codes, sorted, and the row of each."""

    def __init__(self, rows: pa.Table, key: Sequence[str], codes: _Codes, at: Places) -> None:
        """`codes` are sorted, and no two are the same."""
        super().__init__(rows)
        self._key = key
        bits = len(codes).bit_length() + 1
        self._shift = np.uint64(64 - bits)
        buckets = np.bincount((codes >> self._shift).astype(np.int64), minlength=1 << bits)
        self._starts = np.concatenate(([0], np.cumsum(buckets)[:-1])).astype(np.int32)
        # One more, that no search goes beyond and that is no row.
        self._codes = np.append(codes, np.uint64(2**64 - 1))
        self._at = np.append(at, np.int32(-1))

    def find(self, keys: _Keys) -> Places:
        codes = _codes(keys)
        place = self._place(codes)
        found = self._at[place]
        found[(self._codes[place] != codes) | _has_null(keys)] = -1
        return found if _are_one_to_one(keys) else self._confirmed(found, keys)

    def _place(self, codes: _Codes) -> Places:
        """Of the first code that is not smaller."""
        place = self._starts[(codes >> self._shift).astype(np.int64)]
        left = np.flatnonzero(self._codes[place] < codes)
        for _ in range(_STEPS):
            if not left.size:
                return place
            place[left] += 1
            left = left[self._codes[place[left]] < codes[left]]
        place[left] = np.searchsorted(self._codes, codes[left])
        return place

    def _confirmed(self, found: Places, keys: _Keys) -> Places:
        """Without the keys that only have the code of another."""
        there = pa.array(found, mask=found < 0)
        for name, column in zip(self._key, keys, strict=True):
            own = self.rows.column(name).take(there).cast(column.type)
            found[~np.asarray(pc.equal(own, column).fill_null(False))] = -1
        return found


def make_index(rows: pa.Table, key: Sequence[str]) -> KeyIndex | None:
    """None if keys of these types cannot be compared here, or two of them share a code."""
    keys = [rows.column(k) for k in key]
    if any(key_family(k.type) is None for k in keys) or len(rows) >= 2**31 - 1:
        return None
    at = np.flatnonzero(~_has_null(keys)).astype(np.int32)
    if _are_one_to_one(keys):
        numbers = _numbers(keys[0])[at]
        if DenseIndex.suits(numbers):
            return DenseIndex(rows, numbers, at)
    codes = _codes(keys)[at]
    order = np.argsort(codes)
    codes = codes[order]
    if (codes[1:] == codes[:-1]).any():
        return None
    return CodedIndex(rows, key, codes, at[order])


def _has_null(keys: _Keys) -> npt.NDArray[np.bool_]:
    is_null = np.zeros(len(keys[0]), bool)
    for column in keys:
        if column.null_count:
            is_null |= np.asarray(column.is_null())
    return is_null


def _are_one_to_one(keys: _Keys) -> bool:
    """The code of one number is made by steps that can be taken back."""
    return len(keys) == 1 and key_family(keys[0].type) != "text"


def _codes(keys: _Keys) -> _Codes:
    codes = np.zeros(len(keys[0]), np.uint64)
    for column in keys:
        is_text = key_family(column.type) == "text"
        codes ^= _text_codes(column) if is_text else _numbers(column).view(np.uint64)
        codes ^= codes >> _HALF
        codes *= _ODD
    return codes


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Anything for NULL."""
    if pa.types.is_date32(column.type):
        column = column.cast(pa.int32())
    return np.asarray(column.cast(pa.int64()).fill_null(0).to_numpy())


def _text_codes(column: pa.ChunkedArray) -> _Codes:
    """DuckDB's own hash: NumPy has none for texts."""
    if not hasattr(_local, "connection"):
        _local.connection = duckdb.connect(config={"threads": 1})
    texts = _local.connection.from_arrow(pa.table({"t": column}))
    hashes = texts.project("hash(t)").to_arrow_table().column(0)
    return np.asarray(hashes.to_numpy(), np.uint64)
