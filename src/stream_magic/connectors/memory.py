"""Rows from the notebook and back: `app.push` feeds the source, the target keeps what it is given.

The source hands out rows in the order in which they were pushed, also across partitions, and
keeps them until their epoch has committed; so a reader that failed can go back to any open position.
"""

from __future__ import annotations

import threading
import uuid
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from stream_magic.contracts.options import Options, SourceOptions, option
from stream_magic.contracts.source import EndOfSource, Source, SourceBatch, SourceContext
from stream_magic.contracts.target import Guarantee, Mode, Target, TargetContext
from stream_magic.core.arrivals import numbers_from
from stream_magic.core.change import WEIGHT, WEIGHT_FIELD
from stream_magic.core.epoch import Mark, Position
from stream_magic.core.values import coerce, shown, type_name
from stream_magic.errors import ConfigError, DataError


@dataclass(frozen=True, kw_only=True)
class MemoryOptions(SourceOptions):
    partitions: int = option("Partitions that rows can be pushed into.", default=1, example="4")
    changelog: bool = option(
        "Rows are pushed with weights, +1 to add and -1 to take away.",
        default=False,
        example="true",
    )
    queue_rows: int = option(
        "Rows that may wait unread before push blocks.", default=1_000_000, example="100000"
    )

    def __post_init__(self) -> None:
        for name in ("partitions", "queue_rows"):
            if getattr(self, name) < 1:
                raise ConfigError("SM7101", f"option {name} must be at least 1")


@dataclass(frozen=True)
class _Piece:
    """Rows of one push; `start` is the number of its first row in this source, `arrival` in the app."""

    start: int
    arrival: int
    rows: pa.Table
    partition: int


class MemorySource(Source):
    """Rows pushed by the program that owns the app. Safe to push from any thread."""

    options_type = MemoryOptions
    is_local: ClassVar[bool] = True
    can_resume: ClassVar[bool] = False  # the rows are gone with the process
    options: MemoryOptions

    def __init__(self, options: MemoryOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        if context.columns is None:
            raise ConfigError(
                "SM7102",
                f"the memory source {context.name} has no columns",
                hint=f"declare columns: CREATE SOURCE {context.name} (id BIGINT, name VARCHAR) "
                "WITH (connector = 'memory')",
            )
        self.is_changelog = options.changelog
        self.detail = "memory, changelog" if options.changelog else "memory"
        self._columns = context.columns
        self._life = str(uuid.uuid4())
        self._changed = threading.Condition()
        self._kept: deque[_Piece] = deque()
        self._pushed = 0
        self._read = 0
        self._ended_at: int | None = None  # the app's next arrival number when `end` was called

    @property
    def partitions(self) -> Sequence[int]:
        return range(self.options.partitions)

    def schema(self) -> pa.Schema:
        return self._columns

    def push(self, rows: Any, weights: Sequence[int] | None = None, partition: int = 0) -> None:
        """Takes rows: an Arrow table or batch, a DataFrame, or a list of dicts.

        Raises:
            DataError: a value does not fit its column, or a name is no column; nothing is taken.
            ConfigError: the partition or the weights do not fit the source.
        """
        self._check_partition(partition)
        table = _to_table(rows, self._columns, self.context.name)
        if self.is_changelog:
            table = table.append_column(WEIGHT_FIELD, self._weights(weights, table.num_rows))
        elif weights is not None:
            raise ConfigError(
                "SM7103",
                f"the source {self.context.name} takes no weights",
                hint="declare it WITH (connector = 'memory', changelog = true)",
            )
        with self._changed:
            if self._ended_at is not None:
                raise ConfigError("SM7104", f"the source {self.context.name} has ended")
            if table.num_rows:
                with self.context.arrivals.entering(table.num_rows) as first:
                    self._kept.append(_Piece(self._pushed, first, table, partition))
                self._pushed += table.num_rows
                self._changed.notify_all()

    def end(self) -> None:
        """No more rows come: when all are read, the source is at its end."""
        with self._changed:
            if self._ended_at is None:
                self._ended_at = self.context.arrivals.next
            self.is_bounded = True
            self._changed.notify_all()

    @property
    def pending_rows(self) -> int:
        """Rows pushed and not yet read."""
        with self._changed:
            return self._pushed - self._read

    def wait_for_room(self, timeout_s: float) -> bool:
        """True as soon as fewer than `queue_rows` rows wait; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(
                lambda: self._pushed - self._read < self.options.queue_rows, timeout_s
            )

    def open(self, position: Position | None) -> None:
        with self._changed:
            first = self._kept[0].start if self._kept else self._pushed
            self._read = first
            if position is not None and position.get("life") == self._life:
                self._read = max(first, int(str(position["rows"])))

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._ended_at is not None or self._read < self._pushed, timeout_s
            )
            if self._read == self._pushed:
                if self._ended_at is not None:
                    raise EndOfSource(self._ended_at)
                return None
            batch = self._next(max_rows)
            self._changed.notify_all()
            return batch

    def _next(self, max_rows: int) -> SourceBatch:
        tables, counts, partitions, numbers, wanted = [], [], [], [], max_rows
        for piece in self._kept:
            skip = self._read - piece.start
            if skip >= piece.rows.num_rows:
                continue
            part = piece.rows.slice(skip, wanted)
            tables.append(part)
            counts.append(part.num_rows)
            partitions.append(piece.partition)
            numbers.append(numbers_from(piece.arrival + skip, part.num_rows))
            self._read += part.num_rows
            wanted -= part.num_rows
            if wanted == 0:
                break
        of_rows = np.repeat(np.array(partitions, np.int32), counts) if any(partitions) else None
        return SourceBatch(
            pa.concat_tables(tables),
            {"life": self._life, "rows": self._read},
            of_rows,
            numbers=numbers[0] if len(numbers) == 1 else np.concatenate(numbers),
        )

    def committed(self, position: Position) -> None:
        if position.get("life") != self._life:
            return
        done = int(str(position["rows"]))
        with self._changed:
            while self._kept and self._kept[0].start + self._kept[0].rows.num_rows <= done:
                self._kept.popleft()

    def lag_rows(self) -> int | None:
        return self.pending_rows

    def close(self) -> None:
        """Keeps what was pushed: the source may be opened again."""

    def _check_partition(self, partition: int) -> None:
        if not 0 <= partition < self.options.partitions:
            raise ConfigError(
                "SM7105",
                f"the source {self.context.name} has no partition {partition}",
                hint=f"its partitions are 0 to {self.options.partitions - 1}; "
                "declare more with the option partitions",
            )

    def _weights(self, weights: Sequence[int] | None, rows: int) -> pa.Array:
        given = [1] * rows if weights is None else list(weights)
        if len(given) != rows:
            raise ConfigError("SM7106", f"{rows} rows were pushed with {len(given)} weights")
        try:
            whole = [int(w) for w in given]
        except (TypeError, ValueError):
            whole = []
        if whole != given or 0 in whole:
            raise ConfigError(
                "SM7107", "a weight is a whole number: 1 to add a row, -1 to take it away"
            )
        return pa.array(whole, pa.int64())


def _to_table(rows: Any, schema: pa.Schema, source: str) -> pa.Table:
    if isinstance(rows, pa.RecordBatch):
        rows = pa.Table.from_batches([rows])
    if isinstance(rows, dict):
        rows = [rows]
    if isinstance(rows, list | tuple):
        return _from_dicts(rows, schema, source)
    if not isinstance(rows, pa.Table):
        rows = _from_frame(rows, source)
    rows = rows.rename_columns(_columns(rows.column_names, schema, source))
    columns = [
        _cast(rows.column(f.name), f, source)
        if f.name in rows.column_names
        else pa.chunked_array([pa.nulls(rows.num_rows, f.type)])
        for f in schema
    ]
    return pa.table(columns, schema=schema)


def _from_frame(rows: Any, source: str) -> pa.Table:
    try:
        if type(rows).__module__.split(".")[0] == "pandas":
            return pa.Table.from_pandas(rows, preserve_index=False)
        return pa.table(rows)
    except (pa.ArrowException, TypeError, ValueError) as e:
        raise DataError(
            "SM5101",
            f"the rows pushed into {source} cannot be read: {e}",
            hint="push an Arrow table, a DataFrame or a list of dicts",
        ) from None


def _columns(names: Iterable[Any], schema: pa.Schema, source: str) -> list[str]:
    """The column that each name means, compared without case as in SQL."""
    known = {n.lower(): str(n) for n in schema.names}
    means: dict[str, Any] = {}
    for name in names:
        column = known.get(str(name).lower())
        if column is None:
            raise DataError(
                "SM5102",
                f"{source} has no column '{name}'",
                hint=f"its columns are: {', '.join(schema.names)}",
            )
        if column in means:
            raise DataError(
                "SM5103",
                f"the rows pushed into {source} have column '{column}' twice",
                hint=f"leave out '{means[column]}' or '{name}'"
                if name != means[column]
                else "leave one of them out",
            )
        means[column] = name
    return list(means)


def _from_dicts(rows: Sequence[Any], schema: pa.Schema, source: str) -> pa.Table:
    names = set(schema.names)
    found = []
    for row in rows:
        if not isinstance(row, dict):
            raise DataError(
                "SM5101",
                f"a row pushed into {source} is a {type(row).__name__}, not a dict",
                hint="push an Arrow table, a DataFrame or a list of dicts",
            )
        is_exact = row.keys() <= names
        found.append(
            row if is_exact else dict(zip(_columns(row, schema, source), row.values(), strict=True))
        )
    return pa.table(
        [_from_values([row.get(f.name) for row in found], f, source) for f in schema],
        schema=schema,
    )


def _from_values(values: list[Any], field: pa.Field, source: str) -> pa.Array:
    coerced = []
    for value in values:
        try:
            coerced.append(coerce(value, field.type))
        except ValueError:
            raise _misfit(value, field, source) from None
    try:
        return pa.array(coerced, field.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        for value in coerced:
            try:
                pa.array([value], field.type)
            except (pa.ArrowException, TypeError, ValueError, OverflowError):
                raise _misfit(value, field, source) from None
        raise


def _cast(column: pa.ChunkedArray, field: pa.Field, source: str) -> pa.ChunkedArray:
    """Arrow's safe cast; where it would round (decimals) or fails, value by value."""
    if column.type == field.type:
        return column
    rounds = pa.types.is_floating(column.type) and pa.types.is_decimal(field.type)
    narrows = pa.types.is_floating(column.type) and pa.types.is_floating(field.type)
    from_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if not (rounds or narrows or from_text or pa.types.is_nested(field.type)):
        try:
            return column.cast(field.type)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass  # the value at fault is found below
    return pa.chunked_array([_from_values(column.to_pylist(), field, source)])


def _misfit(value: object, field: pa.Field, source: str) -> DataError:
    is_column = isinstance(value, list) and not pa.types.is_nested(field.type)
    return DataError(
        "SM5104",
        f"{shown(value)} does not fit column '{field.name}' {type_name(field.type)} of {source}",
        hint="a dict is one row: give columns as pa.table({...}) or pandas.DataFrame({...}); nothing of this push was taken"
        if is_column
        else "nothing of this push was taken",
    )


class MemoryTarget(Target):
    """Keeps the rows it is given, in order, for tests and small results: `rows()`."""

    options_type = Options
    modes: ClassVar[frozenset[Mode]] = frozenset({"append", "upsert", "changelog"})
    detail = "memory"

    def __init__(self, options: Options, context: TargetContext) -> None:
        super().__init__(options, context)
        self.address = f"memory://{context.name}"
        self._lock = threading.Lock()
        self._tables: list[pa.Table] = []
        self._mark: Mark | None = None
        fields = list(context.schema)
        if context.mode != "append" and WEIGHT not in context.schema.names:
            fields.append(WEIGHT_FIELD)
        self._schema = pa.schema(fields)

    @property
    def guarantee(self) -> Guarantee:
        """Exactly once while the process lives."""
        return "exactly_once"

    def open(self) -> None:
        """Nothing to connect to."""

    def last_mark(self) -> Mark | None:
        return self._mark

    def write(self, mark: Mark, rows: pa.Table) -> None:
        with self._lock:
            self._tables.append(rows)
            self._mark = mark

    def rows(self) -> pa.Table:
        """Everything written so far; with `_weight` unless the mode is append."""
        with self._lock:
            if not self._tables:
                return self._schema.empty_table()
            return pa.concat_tables(self._tables)

    def close(self) -> None:
        """Keeps the rows."""
