"""Rows as lines: sorted by x, split by colour, broken at gaps, thinned to what a screen shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
POINTS = 2000  # of a mark at most: more than pixels, and bqplot redraws them all
_BINS = POINTS // 3  # lowest, highest and a break for each
COLOURS = 8
_REGULAR = 0.6  # of the steps are the smallest one: then a longer one is a gap
_PAUSE = 10  # times the usual step is a gap where steps differ


@dataclass(frozen=True)
class Line:
    """One series as it is drawn: NaN in y breaks the line."""

    name: str
    x: Floats
    y: Floats
    rows: int
    is_other: bool = False


class Palette:
    """Gives names their colours in the order in which they were first seen, and keeps them."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, name: str) -> int:
        """0 to 7, or 8 for those that came too late."""
        if name not in self._places and len(self._places) < COLOURS:
            self._places[name] = len(self._places)
        return self._places.get(name, COLOURS)


def numbers(column: pa.ChunkedArray) -> Floats:
    """A column as doubles, times as milliseconds; NULL is NaN."""
    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        micros = column.cast(pa.timestamp("us", getattr(kind, "tz", None)), safe=False)
        return numbers(micros.cast(pa.int64())) / 1000.0
    doubles = column.cast(pa.float64(), safe=False)
    return np.asarray(doubles.to_numpy(zero_copy_only=False), dtype=np.float64)


def lines(
    rows: pa.Table, x: str, y: str, color: str | None, palette: Palette, last: float | None
) -> list[Line]:
    """The series of a table, in the order of their colours.

    Args:
        rows: newest last or in any order.
        x: column of the horizontal axis.
        y: column of the vertical axis.
        color: column whose values are the series.
        palette: remembers the colours.
        last: keep only x within this distance of the newest.
    """
    xs, ys = numbers(rows.column(x)), numbers(rows.column(y))
    keep = ~np.isnan(xs)
    if last is not None and keep.any():
        keep &= xs >= np.nanmax(xs) - last
    names, codes = _codes(rows, color, y)
    gap = _gap(xs[keep])
    members: dict[int, list[int]] = {}
    for code in codes[keep][np.sort(np.unique(codes[keep], return_index=True)[1])].tolist():
        members.setdefault(palette.place(names[code]), []).append(code)
    found = []
    for place, wanted in sorted(members.items()):
        mask = keep & np.isin(codes, wanted)
        sx, sy = xs[mask], ys[mask]
        if place == COLOURS:
            sx, sy = _summed(sx, sy)
        is_other = place == COLOURS
        name = f"other, sum of {len(wanted)}" if is_other else names[wanted[0]]
        found.append(Line(name, *_draw(sx, sy, gap), int(mask.sum()), is_other))
    return found


def _codes(rows: pa.Table, color: str | None, y: str) -> tuple[list[str], npt.NDArray[Any]]:
    if color is None:
        return [y], np.zeros(rows.num_rows, dtype=np.int64)
    encoded = pc.dictionary_encode(rows.column(color), null_encoding="encode").combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = pa.concat_arrays(encoded.chunks)
    names = ["NULL" if v is None else str(v) for v in encoded.dictionary.to_pylist()]
    return names, np.asarray(encoded.indices.to_numpy(zero_copy_only=False))


def _gap(xs: Floats) -> float:
    """A step longer than this is a gap in the input."""
    steps = np.diff(np.unique(xs))
    if len(steps) < 2:
        return np.inf
    least = float(steps.min())
    regular = float(np.mean(steps < least * 1.01)) >= _REGULAR
    return least * 1.01 if regular else float(np.median(steps)) * _PAUSE


def _summed(xs: Floats, ys: Floats) -> tuple[Floats, Floats]:
    places, inverse = np.unique(xs, return_inverse=True)
    sums = np.bincount(inverse, weights=np.nan_to_num(ys), minlength=len(places))
    return places, sums.astype(np.float64)


def _draw(xs: Floats, ys: Floats, gap: float) -> tuple[Floats, Floats]:
    order = np.argsort(xs, kind="stable")
    xs, ys = xs[order], ys[order]
    known = np.isfinite(ys)
    breaks = np.diff(xs, prepend=xs[:1]) > gap
    breaks |= np.concatenate([[False], ~known[:-1]]) if len(known) else breaks
    section = np.cumsum(breaks, dtype=np.int64)[known]
    xs, ys = xs[known], ys[known]
    if len(xs) > POINTS:
        kept = _extremes(xs, ys)
        xs, ys, section = xs[kept], ys[kept], section[kept]
    return _broken(xs, ys, section, gap)


def _extremes(xs: Floats, ys: Floats) -> npt.NDArray[np.int64]:
    """Places of the lowest and the highest point of every bin of x."""
    span = xs[-1] - xs[0] or 1.0
    bins = np.minimum(((xs - xs[0]) / span * _BINS).astype(np.int64), _BINS - 1)
    by_height = np.lexsort((ys, bins))
    edges = np.flatnonzero(np.diff(bins[by_height]))
    lowest = by_height[np.concatenate([[0], edges + 1])]
    highest = by_height[np.concatenate([edges, [len(by_height) - 1]])]
    return np.unique(np.concatenate([lowest, highest]))


def _broken(
    xs: Floats, ys: Floats, section: npt.NDArray[np.int64], gap: float
) -> tuple[Floats, Floats]:
    """Puts a NaN between sections; a point alone becomes a short dash, for a line of one point is nothing."""
    cuts = np.flatnonzero(np.diff(section)) + 1
    out_x: list[Floats] = []
    out_y: list[Floats] = []
    for part_x, part_y in zip(np.split(xs, cuts), np.split(ys, cuts), strict=True):
        if out_x:
            out_x.append(part_x[:1])
            out_y.append(np.array([np.nan]))
        is_alone = len(part_x) == 1 and np.isfinite(gap)
        out_x.append(part_x[0] + np.array([-0.15, 0.15]) * gap if is_alone else part_x)
        out_y.append(np.repeat(part_y, 2) if is_alone else part_y)
    return np.concatenate(out_x), np.concatenate(out_y)
