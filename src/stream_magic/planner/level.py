"""One SQL statement over the rows of a node, while it is being put together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sqlglot import exp

from stream_magic.language.binder import INPUT
from stream_magic.language.catalog import Relation
from stream_magic.planner.nodes import WINDOW_END, Node


@dataclass
class Level:
    """A statement over `_in` that is not finished.

    Attributes:
        node: what `_in` stands for.
        source: the item in FROM, called `_in`.
        columns: what each column of the operation is, over the source and the joins.
        where, joins: clauses so far.
        hidden: the engine's columns, and what each of them is.
        checked: the time that must not be NULL.
    """

    node: Node
    source: exp.Expr
    columns: dict[str, exp.Expr]
    hidden: dict[str, exp.Expr]
    where: list[exp.Expr] = field(default_factory=list)
    joins: list[exp.Join] = field(default_factory=list)
    caches: list[Relation] = field(default_factory=list)
    checked: exp.Expr | None = None
    labels: dict[str, str] = field(default_factory=dict)
    rules: list[str] = field(default_factory=list)

    def select(self, items: Iterable[tuple[str, exp.Expr]]) -> exp.Select:
        hidden = dict(self.hidden)
        if self.checked is not None:
            hidden = {WINDOW_END: _micros(self.checked), **hidden}
        select = exp.select(
            *(exp.alias_(e.copy(), exp.to_identifier(n, quoted=True)) for n, e in items),
            *(exp.alias_(e.copy(), n) for n, e in hidden.items()),
        )
        select.set("from_", exp.From(this=_called(self.source.copy(), INPUT)))
        select.set("joins", [j.copy() for j in self.joins])
        for w in self.where:
            select.where(w.copy(), copy=False)
        return select


def _micros(time: exp.Expr) -> exp.Expr:
    return exp.Anonymous(this="epoch_us", expressions=[time.copy()])


def _called(item: exp.Expr, alias: str) -> exp.Expr:
    if isinstance(item, exp.Table) and item.name == alias and not item.args.get("alias"):
        return item
    item.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))
    return item
