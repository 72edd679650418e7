"""What every part of the grammar is handed: the dice, the tables, and the pieces of two texts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from support.grammar.world import World

T = TypeVar("T")


@dataclass(frozen=True)
class Text:
    """A piece of a query and of its twin."""

    sql: str = ""
    twin: str = ""

    def __bool__(self) -> bool:
        return bool(self.sql or self.twin)


def plain(text: str) -> Text:
    """Says the same in both."""
    return Text(text, text)


def both(template: str, **parts: Text | str) -> Text:
    """Fills a template for the query and for the twin."""
    sql = {k: v.sql if isinstance(v, Text) else v for k, v in parts.items()}
    twin = {k: v.twin if isinstance(v, Text) else v for k, v in parts.items()}
    return Text(template.format(**sql), template.format(**twin))


def joined(parts: Iterable[Text], by: str = ", ") -> Text:
    parts = list(parts)
    return Text(by.join(p.sql for p in parts), by.join(p.twin for p in parts))


@dataclass(frozen=True)
class Column:
    """A column that may be named: `text` as it is written here, `name` as it is called outside."""

    text: str
    name: str
    family: str


@dataclass(frozen=True)
class Relation:
    """What may stand in FROM.

    Attributes:
        arrival: the twin's expression for the order of arrival, if there is one.
        is_base: a source itself, without a join.
        is_changelog: its rows may be taken back.
    """

    text: Text
    columns: tuple[Column, ...]
    arrival: str = ""
    hidden: str = ""
    is_changelog: bool = False

    def of(self, *families: str) -> list[Column]:
        return [c for c in self.columns if c.family in families]

    @property
    def order(self) -> str:
        """Breaks ties in the twin: the row's columns in their order, then arrival."""
        parts = [c.text for c in self.columns]
        return ", ".join([*parts, *([self.arrival] if self.arrival else [])])


@dataclass
class Draw:
    """One query's dice. `met` collects the names of what it used, for the figures.

    Attributes:
        has_python: expressions and aggregates may call Python functions.
        is_plain: groups have no aggregates but those that are kept in memory.
    """

    rng: random.Random
    world: World
    met: set[str] = field(default_factory=set)
    depth: int = 0
    has_python: bool = False
    is_plain: bool = False
    _names: dict[str, int] = field(default_factory=dict)

    def chance(self, p: float) -> bool:
        return self.rng.random() < p

    def one(self, of: Sequence[T]) -> T:
        return self.rng.choice(of)

    def weighted(self, of: Sequence[tuple[int, T]]) -> T:
        return self.rng.choices([v for _, v in of], [w for w, _ in of])[0]

    def some(self, of: Sequence[T], low: int, high: int) -> list[T]:
        """Different ones, in random order."""
        count = min(self.rng.randint(low, high), len(of))
        return self.rng.sample(list(of), count)

    def name(self, stem: str) -> str:
        number = self._names.get(stem, 0)
        self._names[stem] = number + 1
        return f"{stem}{number}"

    def meet(self, *names: str) -> None:
        self.met.update(names)

    def value(self, kind: Any) -> Any:
        return None if self.chance(0.15) else self.one(kind.values)
