"""The rows a view shows, read at one epoch and put in the order of reading."""

from __future__ import annotations

import pyarrow as pa

from stream_magic.contracts.feed import Feed, FeedStatus, Snapshot


def read(feed: Feed, limit: int) -> tuple[Snapshot, FeedStatus]:
    """Snapshot and figures of one epoch, if the app leaves time between two; else the newest of both."""
    for _ in range(3):
        snapshot, status = feed.snapshot(limit), feed.status()
        if snapshot.epoch == status.epoch:
            break
    return snapshot, status


class Order:
    """Keeps the rows of a keyed feed in their place.

    Windows, that is keys with a time, stand newest first. Other keys keep the place in which
    they were first seen, so that a row in reading does not jump.
    """

    def __init__(self, key: tuple[str, ...]) -> None:
        self._key = key
        self._place: dict[tuple[object, ...], int] = {}
        self._next = 0

    def arrange(self, rows: pa.Table) -> pa.Table:
        """The same rows in order."""
        key = [k for k in self._key if k in rows.column_names]
        if not key or rows.num_rows < 2:
            return rows
        times = [k for k in key if pa.types.is_temporal(rows.schema.field(k).type)]
        if times:
            rest = [
                k
                for k in key
                if k not in times and not pa.types.is_nested(rows.schema.field(k).type)
            ]
            by = [(k, "descending") for k in times] + [(k, "ascending") for k in rest]
            return rows.sort_by(by)
        return self._in_place(rows, key)

    def _in_place(self, rows: pa.Table, key: list[str]) -> pa.Table:
        columns = [rows.column(k).to_pylist() for k in key]
        names = [tuple(map(repr, values)) for values in zip(*columns, strict=True)]
        places: dict[tuple[object, ...], int] = {}
        for name in names:
            place = self._place.get(name)
            if place is None:
                place, self._next = self._next, self._next + 1
            places[name] = place
        self._place = places  # of the rows of this snapshot only: memory stays bounded
        order = sorted(range(len(names)), key=lambda i: places[names[i]])
        return rows.take(pa.array(order, pa.int64()))
