"""What stands in FROM of one SELECT: the stream, the caches, and the way hidden columns travel.

A query has one stream for now; caches are looked up beside it. The stream's columns that belong to
the engine (arrival number, watermark, weight, window end) are selected along at every level and
kept out of every `*`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from stream_magic.core.change import LATE_BY, SEQ, WEIGHT
from stream_magic.language.catalog import Relation
from stream_magic.planner.nodes import WINDOW_END, Aggregate, Read


@dataclass
class Flow:
    """A stream on its way through a query.

    Attributes:
        node: what `_in` stands for.
        item: reads `_in`, as something that may stand in FROM (without alias).
        name: how it is called where no alias is given.
        is_changelog: its rows have weights.
        has_watermark: its rows carry the watermark that judges them.
        time_columns: names that hold the watermarked time, lower case.
        window_columns: names of window_start and window_end, lower case, while windows can close.
        is_windowed: rows carry the window's end.
        lateness_us: allowed lateness of the source.
        detail: what happened so far, for the flow graph.
        labels: what users call the columns that the planner named.
    """

    node: Read | Aggregate
    item: exp.Expr
    name: str
    is_changelog: bool
    has_watermark: bool
    lateness_us: int
    time_columns: set[str] = field(default_factory=set)
    window_columns: set[str] = field(default_factory=set)
    is_windowed: bool = False
    caches: list[Relation] = field(default_factory=list)
    detail: list[str] = field(default_factory=list)
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def hidden(self) -> list[str]:
        """The engine's columns that it carries."""
        names = [SEQ]
        if self.has_watermark:
            names.append(LATE_BY)
        if self.is_windowed:
            names.append(WINDOW_END)
        if self.is_changelog:
            names.append(WEIGHT)
        return names


def carry(select: exp.Select, flow: Flow, alias: str) -> None:
    """Adds the flow's hidden columns to a SELECT, and keeps them out of its stars. In place."""
    stars = [s for s in select.expressions if s.is_star]
    for star in stars:
        inner = star.this if isinstance(star, exp.Column) else star
        if isinstance(star, exp.Column) and star.table.lower() != alias.lower():
            continue
        excluded = [*(inner.args.get("except_") or []), *(exp.column(h) for h in flow.hidden)]
        inner.set("except_", excluded)
    for name in flow.hidden:
        column = exp.column(name, table=exp.to_identifier(alias, quoted=True))
        select.append("expressions", exp.alias_(column, name))


def project_names(select: exp.Select, names: set[str], alias: str) -> set[str]:
    """Which output columns of a SELECT are these columns of the stream, unchanged. Lower case."""
    found: set[str] = set()
    for item in select.expressions:
        if item.is_star:
            inner = item.this if isinstance(item, exp.Column) else item
            if isinstance(item, exp.Column) and item.table.lower() != alias.lower():
                continue
            changed = [*(inner.args.get("except_") or []), *(inner.args.get("rename") or [])]
            dropped = {e.name.lower() for e in changed} | {e.this.name.lower() for e in changed}
            dropped |= {e.alias.lower() for e in inner.args.get("replace") or []}
            found |= names - dropped
            continue
        column = item.this if isinstance(item, exp.Alias) else item
        if is_stream_column(column, names, alias):
            found.add(item.alias_or_name.lower())
    return found


def is_stream_column(node: exp.Expr, names: set[str], alias: str) -> bool:
    """True for one of these columns of the stream itself, not of a cache beside it."""
    if not isinstance(node, exp.Column) or node.name.lower() not in names:
        return False
    return len(node.parts) == 1 or (len(node.parts) == 2 and node.table.lower() == alias.lower())
