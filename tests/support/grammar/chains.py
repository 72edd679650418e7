"""Second steps over windowed results: by the same windows, over their ends, joined by them; told at once or on close."""

from __future__ import annotations

from dataclasses import dataclass

from support.grammar.draw import Column, Draw, Text, both, plain
from support.grammar.select import Query, Written
from support.grammar.windows import SIZES, time_window

_ORIGIN = {
    "timestamp": "TIMESTAMP '1970-01-01'",
    "timestamptz": "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
}


@dataclass(frozen=True)
class _Step:
    """A windowed result with the columns began, ended, k, n and hi.

    Attributes:
        closed: what the twin asks of a window's end so that it has closed; '' if all are told at once.
    """

    text: Text
    family: str
    closed: str

    def closing(self, end: str) -> str:
        return self.closed.replace("{end}", end)


def chained(draw: Draw) -> Query:
    """Windowed counts of keys, and what is made of them."""
    closes = draw.chance(0.6)
    first, second = _step(draw, closes), _step(draw, closes)
    form = draw.one(("same", "most", "top", "windows", "two"))
    if first.family != second.family and form == "two":
        form = "same"
    draw.meet(f"chain:{form}", "emit:close" if closes else "emit:changes")
    made = {"same": _same, "most": _most, "top": _top, "windows": _windows}
    body = _two(first, second) if form == "two" else made[form](draw, first)
    ctes = both("WITH q0 AS ({a})", a=first.text)
    if form == "two":
        ctes = both("{q}, q1 AS ({b})", q=ctes, b=second.text)
    text = both("{q} {b}", q=ctes, b=body)
    emit = " EMIT ON WINDOW CLOSE" if closes else ""
    return Written(Text(f"{text.sql}{emit}", text.twin), (Column("ended", "ended", first.family),))


def _step(draw: Draw, closes: bool) -> _Step:
    table = draw.one(draw.world.timed)
    relation, kind = time_window(draw, table)
    draw.meet(f"window:{kind}")
    keys = relation.of("text", "integer")
    key, number = draw.one(keys).text, draw.one(relation.of("integer")).text
    filtered = f"{number} > 0 OR {number} IS NULL" if draw.chance(0.3) else "true"
    closed = f"{{end}} + INTERVAL {table.lateness_s} SECONDS <= (SELECT w FROM {table.name}_w)"
    select = both(
        "SELECT window_start AS began, window_end AS ended, {k} AS k, count(*) AS n, max({v}) AS hi FROM {r} WHERE {w}",
        k=key, v=number, r=relation.text, w=f"({filtered})",
    )  # fmt: skip
    only = f" AND {closed.replace('{end}', 'window_end')}" if closes else ""
    group = f" GROUP BY window_start, window_end, {key}"
    text = Text(f"{select.sql}{group}", f"{select.twin}{only}{group}")
    return _Step(text, table.columns["ts"].family, closed if closes else "")


def _same(draw: Draw, step: _Step) -> Text:
    del step
    keys = draw.one(("ended", "began, ended"))
    call = draw.one(("max(n)", "sum(hi)", "count(DISTINCT n)", "median(n)", "list(n ORDER BY n)"))
    having = draw.one(("", " HAVING count(*) > 1"))
    return plain(f"SELECT {keys}, {call} AS c, count(*) AS rs FROM q0 GROUP BY {keys}{having}")


def _most(draw: Draw, step: _Step) -> Text:
    del step
    same = draw.one(("", " AND a.began = b.began"))
    return plain(
        "SELECT a.ended, a.k, a.n FROM q0 AS a JOIN (SELECT began, ended, max(n) AS m FROM q0 GROUP BY began, ended) AS b "
        f"ON a.ended = b.ended AND a.n = b.m{same}"
    )


def _top(draw: Draw, step: _Step) -> Text:
    del step
    call = draw.one(
        (
            "sum(n) OVER (PARTITION BY ended)",
            "lag(n) OVER (PARTITION BY ended ORDER BY n, hi, k, began)",
        )
    )
    place = "row_number() OVER (PARTITION BY ended ORDER BY n DESC, hi, k, began)"
    only = draw.one(("", f" QUALIFY {place} <= 2"))
    return plain(f"SELECT ended, k, n, {call} AS c FROM q0{only}")


def _windows(draw: Draw, step: _Step) -> Text:
    size, slide = draw.one(SIZES) * 2, draw.chance(0.3)
    calls = "sum(n) AS t, max(hi) AS hi, count(*) AS rs"
    width, origin = f"INTERVAL {size} SECONDS", _ORIGIN[step.family]
    if slide:
        step_by = f"INTERVAL {size // 2} SECONDS"
        sql = f"SELECT window_end, {calls} FROM HOP(q0, ended, {step_by}, {width}) GROUP BY window_end"
        last = f"time_bucket({step_by}, ended, {origin})"
        ends = f"unnest([{last} + {step_by}, {last} + {width}])"
    else:
        sql = f"SELECT window_end, {calls} FROM TUMBLE(q0, ended, {width}) GROUP BY window_end"
        ends = f"time_bucket({width}, ended, {origin}) + {width}"
    closed = f" WHERE {step.closing('window_end')}" if step.closed else ""
    rows = f"(SELECT *, {ends} AS window_end FROM q0)"
    return Text(sql, f"SELECT window_end, {calls} FROM {rows}{closed} GROUP BY window_end")


def _two(first: _Step, second: _Step) -> Text:
    ends = [s.closing("a.ended") for s in (first, second) if s.closed]
    closed = f" WHERE {' AND '.join(ends)}" if ends else ""
    head = "SELECT a.ended, count(*) AS rs, sum(a.n) AS t, max(b.n) AS hi FROM q0 AS a JOIN q1 AS b ON a.ended = b.ended"
    return Text(f"{head} GROUP BY a.ended", f"{head}{closed} GROUP BY a.ended")
