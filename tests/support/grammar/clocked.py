"""Windows by the app's clock: in the epoch in which a row came, whatever time the row has."""

from __future__ import annotations

from support.grammar.clauses import items
from support.grammar.draw import Draw
from support.grammar.select import Query, Select
from support.grammar.windows import SIZES, assigned, told

BY_CLOCK = "by the clock"
_CLOSED = (
    "window_end < (SELECT w FROM clock_w)"  # a row that comes now may still be in one that ends now
)


def clocked(draw: Draw) -> Query:
    """A GROUP BY over windows of `proctime()`, or their rows."""
    table = draw.one(draw.world.tables)
    kind, key = draw.one(("TUMBLE", "HOP", "CUMULATE", "SESSION")), draw.one(("", "k", "g"))
    size = draw.one(SIZES)
    sizes = f"INTERVAL {size} SECONDS"
    draw.meet(BY_CLOCK, f"window:{kind} by the clock")
    if kind in ("HOP", "CUMULATE"):
        sizes = f"{sizes}, INTERVAL {size * draw.one((2, 3))} SECONDS"
    by, keyed = (f", {key}", f", key := {key}") if key and kind == "SESSION" else ("", "")
    call = f"{kind}({table.name}, proctime(), {sizes}{by})"
    twin = f"{kind.lower()}_clock('{table.name}_n', {sizes}{keyed})"
    relation = assigned(draw, table, call, twin, "timestamp")
    if draw.chance(0.2):
        return Select(items(draw, relation, 2, 4), relation.text)
    return told(draw, relation, kind, "" if table.is_changelog else _CLOSED)
