"""A SELECT in its parts, so that it can be written twice and made smaller."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

from support.grammar.draw import Column, Text, both, joined, plain

NOTHING = Text()


class Query(Protocol):
    """Anything that is a whole query."""

    @property
    def text(self) -> Text: ...
    @property
    def columns(self) -> tuple[Column, ...]: ...
    def smaller(self) -> Iterator[Query]: ...


@dataclass(frozen=True)
class Item:
    """An expression of the SELECT list; `star` items name nothing themselves."""

    text: Text
    column: Column | None = None

    @property
    def written(self) -> Text:
        if self.column is None:
            return self.text
        return both("{text} AS {name}", text=self.text, name=self.column.name)


@dataclass(frozen=True)
class Select:
    """One SELECT; what is empty is left out.

    Attributes:
        head: DISTINCT, DISTINCT ON (...).
        tail: ORDER BY ... LIMIT.
        stars: columns that `*` items bring.
        emit: EMIT ON WINDOW CLOSE; the twin says it in `where`.
        ctes: WITH ... before it.
    """

    items: tuple[Item, ...]
    source: Text
    where: Text = NOTHING
    group: Text = NOTHING
    having: Text = NOTHING
    window: Text = NOTHING
    qualify: Text = NOTHING
    tail: Text = NOTHING
    head: Text = NOTHING
    emit: Text = NOTHING
    ctes: Text = NOTHING
    stars: tuple[Column, ...] = ()

    @property
    def columns(self) -> tuple[Column, ...]:
        return (*self.stars, *(i.column for i in self.items if i.column is not None))

    @property
    def text(self) -> Text:
        parts = [
            (self.ctes, "{x} "), (plain("SELECT "), "{x}"), (self.head, "{x} "),
            (joined(i.written for i in self.items), "{x}"), (self.source, " FROM {x}"),
            (self.where, " WHERE {x}"), (self.group, " GROUP BY {x}"), (self.having, " HAVING {x}"),
            (self.window, " WINDOW {x}"), (self.qualify, " QUALIFY {x}"), (self.tail, " {x}"), (self.emit, " {x}"),
        ]  # fmt: skip
        sql = "".join(form.replace("{x}", part.sql) for part, form in parts if part.sql)
        twin = "".join(form.replace("{x}", part.twin) for part, form in parts if part.twin)
        return Text(sql, twin)

    def smaller(self) -> Iterator[Select]:
        """Itself without one of its parts; the twin of EMIT says in them what is closed."""
        for part in ("where", "having", "qualify", "tail", "head"):
            if getattr(self, part) and not self.emit:
                yield replace(self, **{part: NOTHING})
        for i in range(len(self.items)):
            if len(self.items) > 1:
                yield replace(self, items=self.items[:i] + self.items[i + 1 :])


@dataclass(frozen=True)
class Compound:
    """Two queries and what stands between them."""

    left: Query
    word: str
    right: Query
    ctes: Text = NOTHING

    @property
    def columns(self) -> tuple[Column, ...]:
        return self.left.columns

    @property
    def text(self) -> Text:
        body = both(
            "{left} {word} {right}", left=self.left.text, word=self.word, right=self.right.text
        )
        return both("{ctes} {body}", ctes=self.ctes, body=body) if self.ctes else body

    def smaller(self) -> Iterator[Query]:
        yield self.left
        yield self.right
        for query in self.left.smaller():
            yield replace(self, left=query)
        for query in self.right.smaller():
            yield replace(self, right=query)


@dataclass(frozen=True)
class Written:
    """A query that is only text."""

    text: Text
    columns: tuple[Column, ...]

    def smaller(self) -> Iterator[Query]:
        return iter(())
