"""Finds plugins by name through Python entry points; imports none before it is used."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import TYPE_CHECKING, Any, Literal

from stream_magic.errors import ConfigError, Span

if TYPE_CHECKING:
    from stream_magic.contracts.cache import Cache
    from stream_magic.contracts.chart import Chart
    from stream_magic.contracts.format import Format
    from stream_magic.contracts.macro import Macro
    from stream_magic.contracts.source import Source
    from stream_magic.contracts.target import Target

Group = Literal["sources", "targets", "formats", "caches", "charts", "views", "functions"]
_WORD = {
    "sources": "source connector",
    "targets": "target connector",
    "formats": "format",
    "caches": "cache connector",
    "charts": "chart",
    "views": "view",
    "functions": "family of functions",
}


class Registry:
    """Plugins by group and name: those installed, and those added by hand (tests, notebooks)."""

    def __init__(self) -> None:
        self._added: dict[tuple[str, str], Any] = {}
        self._installed: dict[str, dict[str, EntryPoint]] = {}

    def add(self, group: Group, name: str, plugin: type) -> None:
        """Makes a class known in this process; it wins over an installed one."""
        self._added[group, name] = plugin

    def names(self, group: Group) -> list[str]:
        installed = self._entry_points(group)
        return sorted({*installed, *(n for g, n in self._added if g == group)})

    def source(self, name: str, span: Span | None = None) -> type[Source]:
        found: type[Source] = self._find("sources", name, span)
        return found

    def target(self, name: str, span: Span | None = None) -> type[Target]:
        found: type[Target] = self._find("targets", name, span)
        return found

    def format(self, name: str, span: Span | None = None) -> type[Format]:
        found: type[Format] = self._find("formats", name, span)
        return found

    def cache(self, name: str, span: Span | None = None) -> type[Cache]:
        found: type[Cache] = self._find("caches", name, span)
        return found

    def chart(self, name: str, span: Span | None = None) -> type[Chart]:
        found: type[Chart] = self._find("charts", name, span)
        return found

    def view(self, name: str) -> Callable[..., Any]:
        """A function that shows a feed: how a handle reaches the widgets without importing them."""
        found: Callable[..., Any] = self._find("views", name, None)
        return found

    def functions(self, family: str) -> tuple[Macro, ...]:
        found: tuple[Macro, ...] = self._find("functions", family, None)
        return found

    def _find(self, group: Group, name: str, span: Span | None) -> Any:
        if (group, name) in self._added:
            return self._added[group, name]
        entry = self._entry_points(group).get(name)
        if entry is not None:
            return entry.load()
        names = self.names(group)
        close = difflib.get_close_matches(name, names, n=1)
        hint = (
            f"did you mean '{close[0]}'?" if close else f"installed: {', '.join(names) or 'none'}"
        )
        raise ConfigError("SM7010", f"no {_WORD[group]} is called '{name}'", hint=hint, span=span)

    def _entry_points(self, group: Group) -> dict[str, EntryPoint]:
        if group not in self._installed:
            self._installed[group] = {
                e.name: e for e in entry_points(group=f"stream_magic.{group}")
            }
        return self._installed[group]


registry = Registry()
