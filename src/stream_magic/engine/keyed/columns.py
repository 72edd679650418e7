"""Values by slot: whole numbers, floats, 128-bit sums. NULL is what no row has given a value to yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

How = Literal["sum", "min", "max"]
Slots = npt.NDArray[np.int64]
_Numbers = npt.NDArray[Any]

_FIRST = 1_024
_SMALL_DECIMAL = 18  # digits that fit 64 bits
_WORD = np.longdouble(2) ** 64


class Values(NamedTuple):
    """Some values: the words that they are made of, and which are not NULL."""

    words: tuple[_Numbers, ...]
    valid: npt.NDArray[np.bool_]

    def differ(self, others: Values) -> npt.NDArray[np.bool_]:
        """IS DISTINCT FROM, one by one."""
        is_other: npt.NDArray[np.bool_] = np.zeros(len(self.valid), bool)
        for a, b in zip(self.words, others.words, strict=True):
            is_other |= (a != b) & ~((a != a) & (b != b))  # noqa: PLR0124  # NaN is NaN
        return np.where(self.valid & others.valid, is_other, self.valid != others.valid)

    def at(self, places: npt.NDArray[np.int64]) -> Values:
        return Values(tuple(w[places] for w in self.words), self.valid[places])

    def then(self, more: Values) -> Values:
        """One behind the other."""
        words = zip(self.words, more.words, strict=True)
        return Values(
            tuple(np.concatenate(w) for w in words), np.concatenate([self.valid, more.valid])
        )


class Kind(ABC):
    """How values of one Arrow type are stored and combined."""

    dtypes: tuple[npt.DTypeLike, ...]

    @abstractmethod
    def read(self, column: pa.ChunkedArray) -> Values: ...

    @abstractmethod
    def combine(self, old: Values, new: Values) -> tuple[_Numbers, ...]:
        """The words of both together, where neither is NULL."""

    def fit(self, values: Values) -> npt.NDArray[np.bool_]:
        """Which of them can be written."""
        return np.ones(len(values.valid), bool)

    @abstractmethod
    def write(self, values: Values, kind: pa.DataType) -> pa.Array: ...

    @abstractmethod
    def floats(self, values: Values) -> npt.NDArray[np.float64]: ...


class Number(Kind):
    """What fits one machine word."""

    def __init__(self, kind: pa.DataType, how: How) -> None:
        self._dtype = np.dtype(_plain(kind).to_pandas_dtype())
        self.dtypes = (self._dtype,)
        is_float = pa.types.is_floating(kind)
        # NaN is the greatest: the minimum passes over it.
        self._combine = {"sum": np.add, "min": np.fmin if is_float else np.minimum, "max": np.maximum}[how]  # fmt: skip

    def read(self, column: pa.ChunkedArray) -> Values:
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        valid = _valid(array)
        if pa.types.is_decimal(array.type):
            return Values((_decimal_words(array)[:, 0].view(np.int64),), valid)
        array = array.view(_plain(array.type))
        if array.null_count:
            array = array.fill_null(0)
        return Values((array.to_numpy(),), valid)

    def combine(self, old: Values, new: Values) -> tuple[_Numbers, ...]:
        with np.errstate(invalid="ignore", over="ignore"):
            return (self._combine(old.words[0], new.words[0]),)

    def write(self, values: Values, kind: pa.DataType) -> pa.Array:
        if pa.types.is_decimal(kind):
            low = values.words[0].astype(np.int64)
            return _decimals(low.view(np.uint64), low >> 63, values.valid, kind)
        mask = None if values.valid.all() else ~values.valid
        return pa.array(values.words[0], _plain(kind), mask=mask).view(kind)

    def floats(self, values: Values) -> npt.NDArray[np.float64]:
        return values.words[0].astype(np.float64)


class Wide(Kind):
    """Sums of 128 bits: a lower and an upper word, and one above them for what does not fit for a while."""

    dtypes = (np.uint64, np.uint64, np.int64)

    def read(self, column: pa.ChunkedArray) -> Values:
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        words = _decimal_words(array)
        low, high = words[:, 0], words[:, 1]
        return Values((low, high, _sign(high)), _valid(array))

    def combine(self, old: Values, new: Values) -> tuple[_Numbers, ...]:
        low = old.words[0] + new.words[0]
        both = old.words[1] + new.words[1]
        high = both + (low < old.words[0])
        return low, high, old.words[2] + new.words[2] + (both < old.words[1]) + (high < both)

    def fit(self, values: Values) -> npt.NDArray[np.bool_]:
        _, high, top = values.words
        return np.asarray(top == _sign(high))

    def write(self, values: Values, kind: pa.DataType) -> pa.Array:
        low, high, _ = values.words
        return _decimals(low, high, values.valid, kind)

    def floats(self, values: Values) -> npt.NDArray[np.float64]:
        low, high, _ = values.words
        total = high.view(np.int64).astype(np.longdouble) * _WORD + low.astype(np.longdouble)
        return total.astype(np.float64)


def kind_of(kind: pa.DataType, how: How) -> Kind | None:
    """None if values of this type cannot be combined here."""
    if pa.types.is_decimal128(kind):
        if how == "sum":
            return Wide()
        return Number(kind, how) if kind.precision <= _SMALL_DECIMAL else None
    is_number = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    is_time = pa.types.is_date32(kind) or pa.types.is_timestamp(kind)
    return Number(kind, how) if is_number or (is_time and how != "sum") else None


class ValueColumn:
    """One value for each slot."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self._words = [np.zeros(_FIRST, d) for d in kind.dtypes]
        self._valid = np.zeros(_FIRST, bool)

    @property
    def nbytes(self) -> int:
        return int(self._valid.nbytes + sum(w.nbytes for w in self._words))

    def make_room(self, size: int) -> None:
        """For slots up to this number."""
        if size > len(self._valid):
            more = max(size, 2 * len(self._valid)) - len(self._valid)
            self._words = [np.concatenate([w, np.zeros(more, w.dtype)]) for w in self._words]
            self._valid = np.concatenate([self._valid, np.zeros(more, bool)])

    def at(self, slots: Slots) -> Values:
        return Values(tuple(w[slots] for w in self._words), self._valid[slots])

    def put(self, slots: Slots, values: Values) -> None:
        for own, given in zip(self._words, values.words, strict=True):
            own[slots] = given
        self._valid[slots] = values.valid

    def merge(self, old: Values, new: Values) -> Values:
        """Old values with what came."""
        words = self.kind.combine(old, new)
        if not (old.valid.all() and new.valid.all()):
            both, is_new = old.valid & new.valid, new.valid
            words = tuple(
                np.where(both, w, np.where(is_new, n, o))
                for w, n, o in zip(words, new.words, old.words, strict=True)
            )
        return Values(words, old.valid | new.valid)

    def keep(self, kept: npt.NDArray[np.bool_]) -> None:
        """Only these slots."""
        size = max(_FIRST, int(kept.sum()))
        n = len(kept)
        values = Values(tuple(w[:n][kept] for w in self._words), self._valid[:n][kept])
        self._words = [np.zeros(size, w.dtype) for w in self._words]
        self._valid = np.zeros(size, bool)
        self.put(np.arange(len(values.valid)), values)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The numbers that times are made of; whole numbers for decimals."""
    if pa.types.is_date32(kind):
        return pa.int32()
    return pa.int64() if pa.types.is_timestamp(kind) or pa.types.is_decimal(kind) else kind


def _valid(array: pa.Array) -> npt.NDArray[np.bool_]:
    if not array.null_count:
        return np.ones(len(array), bool)
    return np.asarray(array.is_valid())


def _decimal_words(array: pa.Array) -> npt.NDArray[np.uint64]:
    """Lower and upper words of decimals; 0 for NULL."""
    if not len(array):
        return np.empty((0, 2), np.uint64)
    words = np.frombuffer(array.buffers()[1], np.uint64).reshape(-1, 2)
    words = words[array.offset : array.offset + len(array)]
    return words if not array.null_count else np.where(_valid(array)[:, None], words, 0)


def _sign(high: _Numbers) -> _Numbers:
    """The word above this one: nothing, or all ones."""
    return high.view(np.int64) >> 63


def _decimals(
    low: _Numbers, high: _Numbers, valid: npt.NDArray[np.bool_], kind: pa.DataType
) -> pa.Array:
    words = np.empty((len(valid), 2), np.uint64)
    words[:, 0], words[:, 1] = low, high.view(np.uint64)
    is_valid = None if valid.all() else pa.array(valid).buffers()[1]
    return pa.Array.from_buffers(kind, len(valid), [is_valid, pa.py_buffer(words)])
