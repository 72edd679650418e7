"""Puts a chart into the pump."""

from __future__ import annotations

from typing import Any

from stream_magic.contracts.chart import Chart
from stream_magic.views.presence import Presence
from stream_magic.views.pump import CHART_S, Pump
from stream_magic.views.pump import pump as kernel_pump


class ChartView:
    """What the pump sees of a chart."""

    interval_s = CHART_S

    def __init__(self, chart: Chart) -> None:
        self._chart = chart

    def version(self) -> int:
        return self._chart.feed.version

    def refresh(self, *, rows: bool) -> None:
        """A chart's figures may change without rows, so it is refreshed as a whole."""
        del rows
        self._chart.refresh()

    def fail(self, error: Exception) -> None:
        self._chart.fail(error)


def show(chart: Chart, pump: Pump | None = None) -> Any:
    """The chart's widget, refreshed from now on."""
    widget = chart.widget()
    Presence(
        ChartView(chart), getattr(widget, "head", widget), kernel_pump() if pump is None else pump
    )
    return widget
