"""A chart draws a feed; one file in views/charts/ and one entry point each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from stream_magic.contracts.feed import Columns, Feed
from stream_magic.contracts.options import Options


class Chart(ABC):
    """Draws one feed. `options_type` gives the `--x`, `--y` ... of `%%cq --chart NAME`."""

    options_type: ClassVar[type[Options]] = Options

    def __init__(self, feed: Feed, options: Options) -> None:
        self.feed = feed
        self.options = options

    @classmethod
    @abstractmethod
    def check(cls, columns: Columns, options: Options) -> None:
        """Called before the query of `--chart` takes effect: raises whatever the constructor would.

        Raises:
            ConfigError: the options do not fit the columns.
        """

    @abstractmethod
    def widget(self) -> Any:
        """The ipywidget to display."""

    @abstractmethod
    def refresh(self) -> None:
        """Takes the feed's latest snapshot; called by the pump at a display rate, from one thread."""

    def fail(self, error: Exception) -> None:
        """Shows that a refresh failed; called by the pump, which tries again later."""

    @abstractmethod
    def close(self) -> None:
        """Lets go of the widget. May be called twice."""
