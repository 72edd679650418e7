"""What a history holds: values, disorder, late rows, retractions, idle partitions; read off the events."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any

from support.compare import canonical
from support.grammar.history import SOME_IDLE_S, End, Event, Idle, Push, Step
from support.grammar.world import Table, World
from support.law import IDLE_S

_HUGE = 2**31


def met_in(world: World, events: Sequence[Event]) -> set[str]:
    found = {f"type:{k.sql}" for t in world.tables for k in t.columns.values()}
    if world.forget_rows == 0:
        found.add("input:joins forget at once")
    for table in world.sources:
        found |= _of_table(table, [e for e in events if isinstance(e, Push) and e.source == table.name])  # fmt: skip
    if any(isinstance(a, Step) and isinstance(b, Step) for a, b in itertools.pairwise(events)):  # fmt: skip
        found.add("input:empty epoch")
    for event in events:
        if isinstance(event, Idle):
            found.add(_idle(event.seconds))
        elif isinstance(event, End):
            found.add("input:end of a source")
    return found


def _idle(seconds: int) -> str:
    if seconds < SOME_IDLE_S:
        return "input:the clock goes on"
    return "input:all idle" if seconds > IDLE_S else "input:some idle"


def _of_table(table: Table, pushes: Sequence[Push]) -> set[str]:
    found: set[str] = set()
    there: Counter[Any] = Counter()
    highs: dict[int, Any] = {}
    for push in pushes:
        found.update(f"input:{w}" for v in push.row.values() for w in _of_value(v))
        key = canonical(push.row)
        there[key] += push.weight
        if there[key] > 1:
            found.add("input:duplicate")
        if push.weight < 0:
            found.add("input:retraction")
        if table.is_timed and push.row["ts"] is not None:
            high = highs.setdefault(push.partition, push.row["ts"])
            behind = (high - push.row["ts"]).total_seconds()
            highs[push.partition] = max(high, push.row["ts"])
            if behind > 0:
                found.add("input:late" if behind > table.delay_s else "input:disorder in time")
    if table.is_changelog and pushes and not +there:
        found.add("input:all taken back")
    if table.partitions == 4:
        found.add("input:4 partitions")
        if table.is_timed and len({p.partition for p in pushes}) == 3:
            found.add("input:a silent partition")
    return found


def _of_value(value: Any) -> Iterator[str]:
    if value is None:
        yield "NULL"
    elif isinstance(value, float) and math.isnan(value):
        yield "NaN"
    elif isinstance(value, float) and math.isinf(value):
        yield "infinity"
    elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        if abs(value) >= _HUGE:
            yield "huge"
        if value < 0:
            yield "negative"
