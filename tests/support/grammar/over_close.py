"""OVER in the order of event time, told when the watermark has passed a row."""

from __future__ import annotations

from support.grammar.clauses import item, maybe_where
from support.grammar.draw import Column, Draw, Relation, Text
from support.grammar.kinds import EXACT
from support.grammar.over import ORDERED, TOTALS, fill
from support.grammar.relations import named
from support.grammar.select import Item, Select
from support.grammar.world import Table

_COUNTED = ("row_number()", "lag({any})", "lag({any}, 2)", "lag({any} IGNORE NULLS)", "rank()", "dense_rank()")  # fmt: skip
_AHEAD_S = 5
_FRAMES = (
    "", "ROWS 2 PRECEDING", "ROWS BETWEEN 3 PRECEDING AND 1 PRECEDING", "ROWS UNBOUNDED PRECEDING", "GROUPS BETWEEN 1 PRECEDING AND CURRENT ROW",
    "RANGE BETWEEN INTERVAL 10 SECONDS PRECEDING AND CURRENT ROW", "RANGE BETWEEN INTERVAL 4 SECONDS PRECEDING AND INTERVAL 1 SECONDS PRECEDING",
    f"RANGE BETWEEN INTERVAL 5 SECONDS PRECEDING AND INTERVAL {_AHEAD_S} SECONDS FOLLOWING",
)  # fmt: skip


def over_on_close(draw: Draw, table: Table | None = None) -> Select:
    """One or two window functions over a source with a watermark."""
    table = table or draw.one(draw.world.timed)
    relation = named(draw, table, table.name, f"{table.name}_n")
    alias = relation.columns[0].text.partition(".")[0]
    calls = [_call(draw, relation, f"{alias}.ts", i) for i in range(draw.rng.randint(1, 2))]
    where = maybe_where(draw, relation, 0.3)
    in_time = f"{alias}.ts IS NOT NULL AND ({alias}._wm IS NULL OR {alias}.ts >= {alias}._wm)"
    ahead = _AHEAD_S if any("FOLLOWING" in c.text.sql for c in calls) else 0
    passed = f"{alias}.ts + INTERVAL {ahead} SECONDS < (SELECT w FROM {table.name}_w)"
    draw.meet("emit:close", "over on close")
    return Select(
        (*calls, *(item(draw, relation) for _ in range(2))), relation.text,
        Text(where.sql, f"({where.twin}) AND {in_time}" if where else in_time),
        qualify=Text("", passed), emit=Text("EMIT ON WINDOW CLOSE", ""),
    )  # fmt: skip


def _call(draw: Draw, relation: Relation, time: str, i: int) -> Item:
    exact = [c.text for c in relation.columns if c.family in EXACT]
    part = f"PARTITION BY {draw.one(exact)} " if draw.chance(0.7) else ""
    call, frame = draw.one(_COUNTED), ""
    if draw.chance(0.7):
        call, frame = draw.one((*sorted(TOTALS), *ORDERED)), draw.one(_FRAMES)
    filled = fill(draw, relation, call)
    draw.meet(f"over:{call.partition('(')[0]}", f"frame:{frame.partition(' ')[0] or 'none'}")
    is_by_row = frame.startswith("ROWS") or call.startswith(("lag", "row_number"))
    ties = f", {relation.order}" if is_by_row else ""
    by = f"ORDER BY {time}"
    inner = f" {by}, {relation.order}"
    text = Text(
        f"{filled.replace('{by}', '')} OVER ({f'{part}{by} {frame}'.strip()})",
        f"{filled.replace('{by}', inner)} OVER ({f'{part}{by}{ties} {frame}'.strip()})",
    )
    return Item(text, Column(f"o{i}", f"o{i}", TOTALS.get(call, "opaque")))
