"""Python functions in SQL: what one is, how it is called over columns, and the book of all that are known."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_DAYS_A_MONTH = 30  # as DuckDB turns an INTERVAL into a timedelta


class Applied(NamedTuple):
    """What a function gave: a value for each row, and why there is none, by the row's place."""

    values: pa.Array
    failures: dict[int, str]


@dataclass(frozen=True)
class Parameter:
    """One argument.

    Attributes:
        name: in Python.
        type: DuckDB's; of an aggregate the type of one value, not of the list.
        takes_null: it wants NULLs, as None; else a NULL is not handed to the function.
    """

    name: str
    type: str
    takes_null: bool = False


@dataclass(frozen=True, eq=False)
class Function:
    """A Python function that SQL may call.

    Attributes:
        name: in SQL, lower case.
        python: is called with one row's values; with Arrow arrays if it is vectorized.
        parameters: in the order of the arguments.
        returns: DuckDB type of the result.
        arrow: the same as Arrow carries it.
        is_vectorized: takes whole columns (an aggregate: a whole group) as Arrow arrays.
        is_aggregate: takes for each argument the list of a group's values.
        is_deterministic: the same arguments always give the same result.
        source: its text when it was defined, if that is known.
    """

    name: str
    python: Callable[..., Any]
    parameters: tuple[Parameter, ...]
    returns: str
    arrow: pa.DataType
    is_vectorized: bool = False
    is_aggregate: bool = False
    is_deterministic: bool = False
    source: str | None = None

    @property
    def takes(self) -> tuple[str, ...]:
        """DuckDB types of what it is handed for one row: of an aggregate lists."""
        brackets = "[]" if self.is_aggregate else ""
        return tuple(f"{p.type}{brackets}" for p in self.parameters)

    def is_same(self, other: Function) -> bool:
        """They say the same: a cell that runs again defines nothing new."""
        if self._facts() != other._facts():
            return False
        is_same_text = self.source is not None and self.source == other.source
        return self.python is other.python or (
            is_same_text and _bound(self.python) == _bound(other.python)
        )

    def apply(
        self, columns: Sequence[pa.Array], rows: int, wanted: pa.Array | None = None
    ) -> Applied:  # fmt: skip
        """Calls it for each row that is wanted, and has no NULL where it takes none; NULL for the others.

        Args:
            columns: the arguments.
            rows: how many rows there are.
            wanted: true for rows whose result is asked for; all without it.
        """
        places = self._places(columns, rows, wanted)
        given = list(columns) if len(places) == rows else [c.take(places) for c in columns]
        by_batch = self.is_vectorized and not self.is_aggregate
        made = self._by_batch(given) if by_batch else self._by_row(given, len(places))
        at = places.to_numpy()
        failures = {int(at[i]): f"{self.name}: {why}" for i, why in made.failures.items()}
        if len(places) == rows:
            return Applied(made.values, failures)
        back = np.full(rows, -1, np.int64)
        back[at] = np.arange(len(at))
        return Applied(made.values.take(pa.array(back, mask=back < 0)), failures)

    def _facts(self) -> tuple[object, ...]:
        kinds = (self.is_vectorized, self.is_aggregate, self.is_deterministic)
        return (self.name, self.parameters, self.returns, *kinds)

    def _places(self, columns: Sequence[pa.Array], rows: int, wanted: pa.Array | None) -> pa.Array:
        is_asked: npt.NDArray[np.bool_] = np.ones(rows, bool)
        if wanted is not None:
            is_asked &= np.asarray(wanted.fill_null(False))
        for column, parameter in zip(columns, self.parameters, strict=True):
            if (self.is_aggregate or not parameter.takes_null) and column.null_count:
                is_asked &= np.asarray(column.is_valid())
        return pa.array(np.flatnonzero(is_asked), pa.int64())

    # --- row by row ------------------------------------------------------------------------------

    def _by_row(self, columns: Sequence[pa.Array], rows: int) -> Applied:
        failures: dict[int, str] = {}
        given = [self._values(c, failures) for c in columns]
        results: list[Any] = [None] * rows
        for i in range(rows):
            if i not in failures:
                try:
                    results[i] = self.python(*(values[i] for values in given))
                except Exception as e:  # noqa: BLE001  # whatever it raises, it is this row's error
                    failures[i] = _reason(e)
        return self._as_arrow(results, failures)

    def _values(self, column: pa.Array, failures: dict[int, str]) -> list[Any]:
        """A column's values in Python; those that Python cannot hold fail."""
        if self.is_vectorized:
            return [s.values for s in column]
        values: list[Any]
        try:
            values = column.to_pylist(maps_as_pydicts="strict")
        except (OverflowError, ValueError):
            values = [_value(column, i, failures) for i in range(len(column))]
        if pa.types.is_interval(column.type):
            values = [None if v is None else _timedelta(v) for v in values]
        return values

    def _as_arrow(self, results: list[Any], failures: dict[int, str]) -> Applied:
        if pa.types.is_map(self.arrow):
            results = [list(r.items()) if isinstance(r, dict) else r for r in results]
        try:
            return Applied(pa.array(results, self.arrow), failures)
        except (pa.ArrowException, OverflowError, TypeError, ValueError):
            pass
        values = []
        for i, result in enumerate(results):
            try:
                values.append(pa.array([result], self.arrow))
            except (pa.ArrowException, OverflowError, TypeError, ValueError):
                failures[i] = f"it gave {result!r}, which is no {self.returns}"
                values.append(pa.nulls(1, self.arrow))
        return Applied(pa.concat_arrays(values), failures)

    # --- batch by batch --------------------------------------------------------------------------

    def _by_batch(self, columns: Sequence[pa.Array]) -> Applied:
        """All rows at once; around rows that fail, halves of them."""
        rows = len(columns[0])
        if rows == 0:
            return Applied(pa.nulls(0, self.arrow), {})
        try:
            return Applied(self._whole(columns, rows), {})
        except Exception as e:  # noqa: BLE001  # whatever it raises, it is the error of some rows
            if rows == 1:
                return Applied(pa.nulls(1, self.arrow), {0: _reason(e)})
        half = rows // 2
        first = self._by_batch([c.slice(0, half) for c in columns])
        second = self._by_batch([c.slice(half) for c in columns])
        failures = first.failures | {half + i: why for i, why in second.failures.items()}
        return Applied(pa.concat_arrays([first.values, second.values]), failures)

    def _whole(self, columns: Sequence[pa.Array], rows: int) -> pa.Array:
        result = self.python(*columns)
        if isinstance(result, pa.ChunkedArray):
            result = result.combine_chunks()
        if not isinstance(result, pa.Array):
            result = pa.array(result)
        if len(result) != rows:
            raise ValueError(f"it gave {len(result)} values for {rows} rows")
        return result if result.type == self.arrow else pc.cast(result, self.arrow)


class Functions:
    """All Python functions of a process by name. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_name: dict[str, Function] = {}
        self.version = 0
        """Grows with every change."""

    def __iter__(self) -> Iterator[Function]:
        with self._lock:
            return iter(list(self._by_name.values()))

    def get(self, name: str) -> Function | None:
        return self._by_name.get(name.lower())

    def put(self, name: str, function: Function | None) -> None:
        """Makes it the function of that name; None is none any more."""
        with self._lock:
            self._by_name.pop(name.lower(), None)
            if function is not None:
                self._by_name[name.lower()] = function
            self.version += 1


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _value(column: pa.Array, at: int, failures: dict[int, str]) -> Any:
    try:
        return column[at].as_py()
    except (OverflowError, ValueError) as e:
        failures[at] = _reason(e)
        return None


def _timedelta(value: Any) -> timedelta:
    days = value.months * _DAYS_A_MONTH + value.days
    return timedelta(days=days, microseconds=value.nanoseconds // 1000)


def source_of(python: Callable[..., Any]) -> str | None:
    """A function's text, or None: what was made by `exec` has none."""
    try:
        return inspect.getsource(python)
    except (OSError, TypeError):
        return None


def _bound(python: Callable[..., Any]) -> tuple[object, ...]:
    """What a function carries beside its text: values of the functions around it, by identity."""
    cells = getattr(python, "__closure__", None) or ()
    return tuple(id(c.cell_contents) for c in cells)
