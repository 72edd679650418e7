"""A difference as the text of a golden law file (tests/golden/test_law.py)."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from support.grammar.history import End, Event, Idle, Push
from support.grammar.play import Difference


def as_golden(found: Difference) -> str:
    """Streams, query, twin and rows; what is expected is for DuckDB to say."""
    used = {e.source for e in found.events if isinstance(e, Push)}
    tables = [t for t in found.world.sources if t.name in used or t.name in found.drawn.sql]
    lines = ["# Found by the law run."]
    for table in tables:
        source = table.source()
        lines.append(f"stream {source.name}({source.columns}) {source.options}")
    lines += [f"setup {s}" for s in found.world.setup if _is_read(s, found.drawn.sql)]
    lines.append(f"query {found.drawn.sql}")
    if found.drawn.twin != found.drawn.sql:
        lines.append(f"twin {found.drawn.twin}")
    lines.append("epoch")
    for event in found.events[:-1]:
        lines.append(_line(event))
    return "\n".join([*lines, "result"])


def _is_read(setup: str, sql: str) -> bool:
    return setup.split()[2] in sql


def _line(event: Event) -> str:
    if isinstance(event, Push):
        sign = "+" if event.weight > 0 else "-"
        place = f"{event.source}/{event.partition}" if event.partition else event.source
        return f"{place}: {sign} {' '.join(literal(v) for v in event.row.values())}"
    if isinstance(event, End):
        return f"end {event.source}"
    return f"idle {event.seconds}" if isinstance(event, Idle) else "epoch"


def literal(value: Any) -> str:
    """An SQL literal without a blank outside of quotes."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"'{value}'::DOUBLE"
    if isinstance(value, int | Decimal):
        return str(value)
    if isinstance(value, bytes):
        return "'" + "".join(f"\\x{b:02X}" for b in value) + "'::BLOB"
    if isinstance(value, pa.MonthDayNano):
        return f"'{value.months} months {value.days} days {value.nanoseconds // 1000} microseconds'::INTERVAL"
    if isinstance(value, dict):
        return "{" + ",".join(f"'{k}':{literal(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_entry(v) for v in value) + "]"
    if isinstance(value, datetime | date | time | timedelta):
        return f"'{value}'"
    return "'" + str(value).replace("'", "''") + "'"


def _entry(value: Any) -> str:
    if isinstance(value, tuple):  # of a MAP
        return f"{{'key':{literal(value[0])},'value':{literal(value[1])}}}"
    return literal(value)
