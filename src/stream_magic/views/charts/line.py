"""`--chart line`: one column over time or another number, a line for each value of a third."""

from __future__ import annotations

import difflib
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import bqplot
import ipywidgets
import numpy as np
import pyarrow as pa

from stream_magic.contracts.chart import Chart
from stream_magic.contracts.feed import Columns, Feed, FeedStatus
from stream_magic.contracts.options import Options, option
from stream_magic.core.change import visible_schema
from stream_magic.errors import ConfigError
from stream_magic.views.chart_frame import ChartFrame
from stream_magic.views.protocol import Message
from stream_magic.views.rows import read
from stream_magic.views.series import COLOURS, Line, Palette, lines
from stream_magic.views.ticks import number_ticks, time_ticks, time_words
from stream_magic.views.words import count, number, sql_type

ROWS = 20_000
_PROMINENT = 5  # lines at full strength; with more of them those behind are thinner


@dataclass(frozen=True, kw_only=True)
class LineOptions(Options):
    """Which columns a line chart draws."""

    x: str | None = option(
        "Column of the horizontal axis: a time or a number. The event time, if not given.",
        default=None,
        example="'window_end'",
    )
    y: str | None = option(
        "Column of the vertical axis: a number. The last one, if not given.",
        default=None,
        example="'revenue'",
    )
    color: str | None = option(
        "Column whose values are the lines; from the ninth on they are summed as 'other'.",
        default=None,
        example="'category'",
    )
    last: timedelta | None = option(
        "How much of the time axis to show.", default=None, example="'15 minutes'"
    )
    title: str | None = option("What stands above the lines.", default=None, example="'Revenue, €'")


@dataclass(frozen=True)
class _Roles:
    """The columns of a line chart."""

    x: str
    y: str
    color: str | None
    is_time: bool
    is_count: bool


class LineChart(Chart):
    """A live line chart; see `LineOptions`."""

    options_type = LineOptions

    def __init__(self, feed: Feed, options: Options) -> None:
        super().__init__(feed, options)
        given = options if isinstance(options, LineOptions) else LineOptions()
        roles = _roles(feed, given)
        self._x, self._y, self._color = roles.x, roles.y, roles.color
        self._is_time, self._is_count = roles.is_time, roles.is_count
        self._last = given.last
        self._title = given.title or (f"{self._y} by {self._color}" if self._color else self._y)
        self._palette = Palette()
        self._off: set[str] = set()
        self._is_paused = False
        self._lock = threading.Lock()  # the pump draws, a click in the legend too
        self._figure = _figure(is_time=self._is_time)
        self._frame = ChartFrame(feed, self._figure, self._act)

    @classmethod
    def check(cls, columns: Columns, options: Options) -> None:
        _roles(columns, options if isinstance(options, LineOptions) else LineOptions())

    def widget(self) -> Any:
        return self._frame

    def refresh(self) -> None:
        with self._lock:
            if self._is_paused:
                self._frame.show_status()
            else:
                self._draw()

    def fail(self, error: Exception) -> None:
        self._frame.show_error(error)

    def close(self) -> None:
        self._frame.close()

    def _act(self, action: str, message: Message) -> None:
        if action == "toggle":
            with self._lock:
                self._toggle(str(message.get("name")), alone=bool(message.get("alone")))
                self._draw()
            return
        self._is_paused = action == "pause"
        self.refresh()

    def _toggle(self, name: str, *, alone: bool) -> None:
        names = {entry["name"] for entry in self._frame.head.legend.get("entries", [])}
        if alone:
            others = names - {name}
            self._off = set() if self._off == others else others
        else:
            self._off = (self._off ^ {name}) & names

    def _draw(self) -> None:
        snapshot, status = read(self.feed, ROWS)
        last = None if self._last is None else self._last.total_seconds() * 1000
        found = lines(snapshot.rows, self._x, self._y, self._color, self._palette, last)
        drawn = [line for line in found if line.name not in self._off]
        if found:
            self._set_axes(drawn or found)
            self._set_marks(found)
        points = sum(int(np.isfinite(line.y).sum()) for line in found)
        rows = sum(line.rows for line in found)
        self._frame.show(
            status,
            {"title": self._title, "entries": [self._entry(line) for line in found],
             "summary": self._summary(drawn, status)},
            [_foot(points, rows, snapshot.total), f"epoch {number(snapshot.epoch)}"],
            is_empty=not rows,
        )  # fmt: skip

    def _set_axes(self, drawn: list[Line]) -> None:
        xs = np.concatenate([line.x for line in drawn])
        ys = np.concatenate([line.y[np.isfinite(line.y)] for line in drawn])
        low_x, high_x = _ends(xs)
        if self._last is not None:
            low_x = high_x - self._last.total_seconds() * 1000
        low_y, high_y = _ends(ys)
        if low_y >= 0 and (self._is_count or low_y < high_y / 2):
            low_y = 0.0
        if self._is_time and high_x <= low_x:
            low_x, high_x = low_x - 1000, high_x + 1000
        x = time_ticks(low_x, high_x) if self._is_time else number_ticks(low_x, high_x, inside=True)
        y = number_ticks(low_y, high_y)
        across, up = self._figure.axes
        for axis, ticks in ((across, x), (up, y)):
            is_time = axis is across and self._is_time
            with axis.scale.hold_sync():
                axis.scale.min = _moment(ticks.low) if is_time else ticks.low
                axis.scale.max = _moment(ticks.high) if is_time else ticks.high
            with axis.hold_sync():
                values = np.array(ticks.values)
                axis.tick_values = values.astype("datetime64[ms]") if is_time else values
                axis.tick_format = ticks.format
                axis.tick_labels = ticks.labels

    def _set_marks(self, found: list[Line]) -> None:
        scales = {"x": self._figure.axes[0].scale, "y": self._figure.axes[1].scale}
        marks = {mark.labels[0]: mark for mark in self._figure.marks}
        now = []
        for line in found:
            mark = marks.get(_label(line))
            x = line.x.astype("datetime64[ms]") if self._is_time else line.x
            if mark is None:
                colour = [self._colour(line)]
                mark = bqplot.Lines(
                    x=x, y=line.y, scales=scales, labels=[_label(line)], colors=colour,
                    stroke_width=1.75, interpolation="linear", visible=line.name not in self._off,
                )  # fmt: skip
            with mark.hold_sync():
                mark.x, mark.y = x, line.y
                mark.visible = line.name not in self._off
                mark.stroke_width = 1.75 if len(found) <= _PROMINENT else 1.25
            now.append(mark)
        if now != self._figure.marks:
            gone = [mark for mark in self._figure.marks if mark not in now]
            self._figure.marks = now
            for mark in gone:
                mark.close()

    def _colour(self, line: Line) -> str:
        place = COLOURS if line.is_other else self._palette.place(line.name)
        return "var(--sm-line-3)" if place == COLOURS else f"var(--sm-c{place + 1})"

    def _entry(self, line: Line) -> Message:
        known = line.y[np.isfinite(line.y)]
        return {
            "name": line.name,
            "colour": self._colour(line),
            "last": self._value(known[-1]) if len(known) else "",
            "is_on": line.name not in self._off,
        }

    def _value(self, value: float) -> str:
        return number(value, 0 if float(value).is_integer() or abs(value) >= 10_000 else 2)

    def _summary(self, drawn: list[Line], status: FeedStatus) -> str:
        ys = [line.y[np.isfinite(line.y)] for line in drawn]
        if not drawn or not any(map(len, ys)):
            return f"Line chart of {self._title}: no rows yet, {status.state}."
        low, high = _ends(np.concatenate(ys))
        start, end = _ends(np.concatenate([line.x for line in drawn]))
        word = time_words if self._is_time else self._value
        return (
            f"Line chart of {self._title} over {self._x}, {word(start)} to {word(end)}: "
            f"highest {self._value(high)}, lowest {self._value(low)}."
        )


def _figure(*, is_time: bool) -> bqplot.Figure:
    x_scale = bqplot.DateScale() if is_time else bqplot.LinearScale()
    y_scale = bqplot.LinearScale()
    small = {"font-size": "11px"}
    across = bqplot.Axis(
        scale=x_scale, grid_lines="none", color="var(--sm-ink-3)", tick_style=small
    )
    up = bqplot.Axis(
        scale=y_scale, side="left", grid_lines="solid", grid_color="var(--sm-line-1)",
        color="var(--sm-ink-3)", tick_style=small,
    )  # fmt: skip
    return bqplot.Figure(
        marks=[], axes=[across, up], padding_x=0, padding_y=0, animation_duration=0,
        theme="classic", display_toolbar=False,
        fig_margin={"top": 10, "bottom": 24, "left": 52, "right": 30},
        background_style={"fill": "transparent"},
        layout=ipywidgets.Layout(width="100%", height="100%", min_width="0"),
    )  # fmt: skip


def _label(line: Line) -> str:
    """The count in the name of 'other' changes; its mark is the same."""
    return "\0other" if line.is_other else line.name


def _ends(values: np.ndarray[Any, Any]) -> tuple[float, float]:
    return (float(values.min()), float(values.max())) if len(values) else (0.0, 0.0)


def _moment(ms: float) -> Any:
    return np.datetime64(round(ms), "ms").astype(object)


def _foot(points: int, rows: int, total: int) -> str:
    if points < rows:
        every = max(2, round(rows / max(points, 1)))
        return f"1 of {every} points drawn, lowest and highest kept"
    return f"{number(rows)} of {count(total, 'row')} drawn" if rows < total else count(total, "row")


def _roles(columns: Columns, given: LineOptions) -> _Roles:
    """The column of each role.

    Raises:
        ConfigError: there is none that fits.
    """
    schema = visible_schema(columns.schema)
    x = _choose(columns, schema, "x", given.x or columns.time_column, _is_axis)
    y = _choose(columns, schema, "y", given.y, _is_number, but=x)
    color = _existing(columns, schema, "color", given.color) if given.color else None
    is_time = _is_time(schema.field(x).type)
    if given.last is not None and not is_time:
        raise ConfigError(
            "SM7022", f"'last' needs a time axis: {x} is a number", hint="leave it out"
        )
    return _Roles(x, y, color, is_time, pa.types.is_integer(schema.field(y).type))


def _choose(
    feed: Columns, schema: pa.Schema, role: str, name: str | None, fits: Any, but: str | None = None
) -> str:
    """The column for a role: the one that is named, else the first that fits."""
    if name is not None:
        name = _existing(feed, schema, role, name)
        if not fits(schema.field(name).type):
            want = "a number" if role == "y" else "a time or a number"
            good = [f.name for f in schema if fits(f.type)]
            raise ConfigError(
                "SM7021",
                f"{role} must be {want}: {name} is {sql_type(schema.field(name).type)}",
                hint=f"columns that fit: {', '.join(good) or 'none'}",
            )
        return name
    fitting = [f.name for f in schema if fits(f.type) and f.name != but]
    times = [n for n in fitting if _is_time(schema.field(n).type)]
    if not fitting:
        raise ConfigError(
            "SM7023",
            f"a line chart needs a column for {role}, and {feed.name} has none that fits",
            hint="add a number to the SELECT" if role == "y" else "add a time or a number to it",
        )
    chosen: str = (times or fitting)[0] if role == "x" else fitting[-1]
    return chosen


def _existing(feed: Columns, schema: pa.Schema, role: str, name: str) -> str:
    if name in schema.names:
        return name
    close = difflib.get_close_matches(name, schema.names, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"it has: {', '.join(schema.names)}"
    raise ConfigError("SM7020", f"{role}: {feed.name} has no column '{name}'", hint=hint)


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


def _is_number(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_integer(kind) or t.is_floating(kind) or t.is_decimal(kind))


def _is_axis(kind: pa.DataType) -> bool:
    return _is_time(kind) or _is_number(kind)
