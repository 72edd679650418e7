"""Collects rows of many events into one Arrow table.

Row images, old and new alike, go into one set of column lists for each layout (a table as its table
map describes it); a row only remembers which image is its `before` and which its `after`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from stream_magic.connectors.mysql_cdc import events
from stream_magic.connectors.mysql_cdc.decode import compile_reader
from stream_magic.connectors.mysql_cdc.events import Rows, TableMap
from stream_magic.connectors.mysql_cdc.tables import Table, fit
from stream_magic.connectors.mysql_cdc.values import Bad, to_arrow
from stream_magic.contracts.source import BadRow

MAX_BATCH_BYTES = 32 << 20  # of raw rows, however many rows a batch may have
SOURCE_FIELDS = pa.struct(
    {
        "database": pa.string(),
        "table": pa.string(),
        "file": pa.string(),
        "pos": pa.int64(),
        "gtid": pa.string(),
        "transaction": pa.string(),
        "row": pa.int64(),
    }
)


def change_schema(fields: Sequence[pa.Field]) -> pa.Schema:
    """The columns of the source, around the columns of its tables."""
    row = pa.struct(list(fields))
    return pa.schema(
        {
            "op": pa.string(),
            "before": row,
            "after": row,
            "ts": pa.timestamp("us"),
            "source": SOURCE_FIELDS,
        }
    )


@dataclass(frozen=True)
class Origin:
    """Where rows of one event come from."""

    ts_us: int
    file: str
    pos: int
    gtid: str | None
    transaction: str

    def __str__(self) -> str:
        return f"{self.file}:{self.pos}"


@dataclass(frozen=True)
class Run:
    """Neighbouring rows of one event.

    Attributes:
        op: of all of them.
        rows: how many.
        image: number of their first image in the layout's lists.
        order: number of the first row in the batch.
        number: of the first row in its transaction, from 1.
        origin: of the event.
        present: which columns the images hold.
        data: the event's images, and `at`, where these begin in it.
    """

    op: str
    rows: int
    image: int
    order: int
    number: int
    origin: Origin
    present: int
    data: bytes
    at: int

    @property
    def images_per_row(self) -> int:
        return 2 if self.op == events.UPDATE else 1


class Layout:
    """One table as one table map describes it, with the rows of this batch.

    Raises ValueError if the map holds a type that is not known.
    """

    def __init__(self, table: Table, table_map: TableMap) -> None:
        self.table = table
        self.map = table_map
        by_name = {c.name: i for i, c in enumerate(table_map.columns)}
        self.declared = {c.name: c for c in table.columns}
        self.places = {n: by_name[n] for n in self.declared if n in by_name}
        self.added = [n for n in by_name if n not in self.declared and n not in table.ignored]
        self.needed = sum(1 << i for i in self.places.values())
        self.lists: dict[int, list[Any]] = {i: [] for i in self.places.values()}
        self.runs: list[Run] = []
        self._images = 0
        self._readers: dict[int, Any] = {}
        self._walkers: dict[int, Any] = {}

    def read(self, present: int, op: str, data: bytes, at: int, most: int) -> tuple[int, int, int]:
        """Decodes at most `most` rows: (first image, offset behind them, rows read)."""
        reader = self._readers.get(present)
        if reader is None:
            reader = compile_reader(self.map.columns, present, self.lists)
            self._readers[present] = reader
        each = 2 if op == events.UPDATE else 1
        first = self._images
        try:
            at, images = reader(data, at, len(data), most * each)
        except Exception:
            for values in self.lists.values():
                del values[first:]
            raise
        self._images += images
        return first, at, images // each

    def walk(self, presents: tuple[int, ...], data: bytes, at: int, most: int) -> tuple[int, int]:
        """Passes over at most `most` rows: (offset behind them, rows)."""
        rows = 0
        while rows < most and at < len(data):
            for present in presents:
                if present not in self._walkers:
                    self._walkers[present] = compile_reader(self.map.columns, present, {})
                at, _ = self._walkers[present](data, at, len(data), 1)
            rows += 1
        return at, rows

    def clear(self) -> None:
        """Forgets the rows; the compiled readers stay."""
        for values in self.lists.values():
            values.clear()
        self.runs.clear()
        self._images = 0

    def images(self, fields: Sequence[pa.Field]) -> tuple[pa.StructArray, Bad]:
        """All images as a struct of the source's columns, and the images that do not fit."""
        arrays: list[pa.Array] = []
        bad: Bad = {}
        for want in fields:
            place = self.places.get(want.name)
            if place is None:
                arrays.append(pa.nulls(self._images, want.type))
                continue
            values, wrong = to_arrow(self.lists[place], self.map.columns[place])
            values, unfit = fit(values, self.declared[want.name])
            arrays.append(values)
            for i, reason in {**unfit, **wrong}.items():
                bad.setdefault(i, f"{self.table.path}, column '{want.name}': {reason}")
        return pa.StructArray.from_arrays(arrays, fields=list(fields)), bad


@dataclass
class Batch:
    """What `Collector.take` gives: rows and errors, in the order of the log."""

    rows: pa.Table
    errors: list[BadRow]


@dataclass
class Collector:
    """Rows of one batch, of all tables."""

    fields: Sequence[pa.Field]
    rows: int = 0
    size: int = 0
    errors: list[tuple[int, BadRow]] = field(default_factory=list)
    _layouts: dict[int, Layout] = field(default_factory=dict)

    def add(
        self, layout: Layout, rows: Rows, at: int, most: int, number: int, origin: Origin
    ) -> tuple[int, int]:
        """Decodes at most `most` rows of an event from `at` on: (offset behind them, rows read)."""
        image, end, count = layout.read(rows.present, rows.op, rows.images, at, most)
        layout.runs.append(
            Run(rows.op, count, image, self.rows, number, origin, rows.present, rows.images, at)
        )
        self._layouts[id(layout)] = layout
        self.rows += count
        self.size += end - at
        return end, count

    def add_error(self, raw: bytes, reason: str, origin: str) -> None:
        self.errors.append((self.rows, BadRow(raw, reason, origin)))

    def take(self) -> Batch:
        """The batch; the collector is empty afterwards."""
        parts, orders = [], []
        errors = self.errors
        for layout in self._layouts.values():
            table, order, bad = _assemble(layout, self.fields)
            parts.append(table)
            orders.append(order)
            errors.extend(bad)
            layout.clear()
        errors.sort(key=lambda e: e[0])
        rows = pa.concat_tables(parts) if parts else change_schema(self.fields).empty_table()
        if len(parts) > 1:
            rows = rows.take(np.argsort(np.concatenate(orders)))
        batch = Batch(rows, [e for _, e in errors])
        self.rows = self.size = 0
        self.errors = []
        self._layouts = {}
        return batch


def _assemble(
    layout: Layout, fields: Sequence[pa.Field]
) -> tuple[pa.Table, np.ndarray, list[tuple[int, BadRow]]]:
    """The rows of one layout, their places in the batch, and the rows that were left out."""
    before: list[int] = []
    after: list[int] = []
    order: list[int] = []
    numbers: list[int] = []
    ops: list[str] = []
    for run in layout.runs:
        first, n = run.image, run.rows
        if run.op == events.UPDATE:
            before.extend(range(first, first + 2 * n, 2))
            after.extend(range(first + 1, first + 2 * n, 2))
        else:
            images, none = range(first, first + n), [-1] * n
            before.extend(images if run.op == events.DELETE else none)
            after.extend(images if run.op == events.INSERT else none)
        order.extend(range(run.order, run.order + n))
        numbers.extend(range(run.number, run.number + n))
        ops.extend([run.op] * n)
    images_array, bad = layout.images(fields)
    run_of = np.repeat(np.arange(len(layout.runs)), [r.rows for r in layout.runs])
    table = pa.table(
        [
            pa.array(ops, pa.string()),
            _pick(images_array, before),
            _pick(images_array, after),
            pa.array([r.origin.ts_us for r in layout.runs], pa.timestamp("us")).take(run_of),
            _origins(layout, run_of, numbers),
        ],
        schema=change_schema(fields),
    )
    places = np.array(order, np.int64)
    if not bad:
        return table, places, []
    reasons = {
        row: bad[image]
        for images in (before, after)
        for row, image in enumerate(images)
        if image in bad
    }
    keep = np.ones(len(order), np.bool_)
    keep[list(reasons)] = False
    errors = [
        (order[i], _bad_row(layout, run_of[i], i, order, reasons[i])) for i in sorted(reasons)
    ]
    return table.filter(keep), places[keep], errors


def _pick(images: pa.StructArray, chosen: list[int]) -> pa.Array:
    """Images by number; -1 is NULL."""
    if len(chosen) == len(images) and chosen == list(range(len(images))):
        return images
    indices = np.array(chosen, np.int64)
    return images.take(pa.array(indices, mask=indices < 0))


def _origins(layout: Layout, run_of: np.ndarray, numbers: list[int]) -> pa.StructArray:
    origins = [r.origin for r in layout.runs]
    count = len(numbers)
    return pa.StructArray.from_arrays(
        [
            pa.repeat(pa.scalar(layout.table.database, pa.string()), count),
            pa.repeat(pa.scalar(layout.table.name, pa.string()), count),
            pa.array([o.file for o in origins], pa.string()).take(run_of),
            pa.array([o.pos for o in origins], pa.int64()).take(run_of),
            pa.array([o.gtid for o in origins], pa.string()).take(run_of),
            pa.array([o.transaction for o in origins], pa.string()).take(run_of),
            pa.array(numbers, pa.int64()),
        ],
        fields=list(SOURCE_FIELDS),
    )


def _bad_row(layout: Layout, run: int, row: int, order: list[int], reason: str) -> BadRow:
    """Finds the row's own bytes again, by passing over those before it."""
    found = layout.runs[int(run)]
    presents = (found.present,) * found.images_per_row
    start, _ = layout.walk(presents, found.data, found.at, order[row] - found.order)
    end, _ = layout.walk(presents, found.data, start, 1)
    return BadRow(found.data[start:end], reason, str(found.origin))
