from __future__ import annotations

import numpy as np
import pyarrow as pa

from stream_magic.views.series import POINTS, Palette, lines


def rows(**columns: list[object]) -> pa.Table:
    return pa.table(columns)


def test_points_are_sorted_by_x() -> None:
    (line,) = lines(rows(x=[3, 1, 2], y=[30, 10, 20]), "x", "y", None, Palette(), None)
    assert (line.x.tolist(), line.y.tolist()) == ([1, 2, 3], [10, 20, 30])


def test_a_missing_window_breaks_the_line() -> None:
    (line,) = lines(rows(x=[0, 10, 20, 40, 50], y=[1, 2, 3, 4, 5]), "x", "y", None, Palette(), None)
    assert np.isnan(line.y).tolist() == [False, False, False, True, False, False]


def test_null_breaks_the_line() -> None:
    (line,) = lines(rows(x=[0, 1, 2, 3], y=[1, 2, None, 4]), "x", "y", None, Palette(), None)
    assert np.isnan(line.y).sum() == 1
    assert line.y[~np.isnan(line.y)].tolist() == [1, 2, 4, 4]


def test_steps_that_differ_break_only_at_a_long_pause() -> None:
    x = [0, 3, 4, 9, 11, 12, 16, 500, 503]
    (line,) = lines(rows(x=x, y=x), "x", "y", None, Palette(), None)
    assert np.isnan(line.y).sum() == 1


def test_colours_keep_their_order_when_a_series_goes_and_comes() -> None:
    palette = Palette()
    first = lines(rows(x=[1, 1], y=[1, 1], c=["b", "a"]), "x", "y", "c", palette, None)
    again = lines(rows(x=[1, 1, 1], y=[1, 1, 1], c=["z", "a", None]), "x", "y", "c", palette, None)
    assert [line.name for line in first] == ["b", "a"]
    assert [line.name for line in again] == ["a", "z", "NULL"]
    assert palette.place("b") == 0


def test_from_the_ninth_series_on_values_are_summed() -> None:
    names = [f"s{i}" for i in range(12)]
    found = lines(rows(x=[1] * 12, y=[1.0] * 12, c=names), "x", "y", "c", Palette(), None)
    assert len(found) == 9
    assert (found[-1].name, found[-1].is_other) == ("other, sum of 4", True)
    assert found[-1].y.tolist() == [4.0]


def test_many_points_are_thinned_and_the_extremes_stay() -> None:
    y = np.sin(np.arange(100_000) / 50)
    y[54_321], y[12_345] = 9.0, -9.0
    table = pa.table({"x": np.arange(100_000), "y": y})
    (line,) = lines(table, "x", "y", None, Palette(), None)
    assert len(line.y) <= POINTS
    assert (np.nanmin(line.y), np.nanmax(line.y)) == (-9.0, 9.0)
    assert line.rows == 100_000


def test_last_keeps_what_is_near_the_newest() -> None:
    (line,) = lines(rows(x=[0, 50, 90, 100], y=[1, 2, 3, 4]), "x", "y", None, Palette(), 20)
    assert line.x.tolist() == [90, 100]


def test_no_rows_are_no_lines() -> None:
    empty = pa.table({"x": pa.array([], pa.int64()), "y": pa.array([], pa.int64())})
    assert lines(empty, "x", "y", None, Palette(), None) == []
