"""Window functions and `latest`, with the plain SQL that they mean (DESIGN 3.3 a)."""

from __future__ import annotations

from support.grammar.clauses import grouped, items
from support.grammar.draw import Column, Draw, Relation, Text, both, plain
from support.grammar.relations import named
from support.grammar.select import NOTHING, Item, Query, Select
from support.grammar.world import Table

SIZES = (5, 10, 20)
_EPOCH = {
    "timestamp": "TIMESTAMP '1970-01-01'",
    "timestamptz": "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
}


def windowed(draw: Draw) -> Query:
    """A GROUP BY over the windows of a timed source, told at once or when they close."""
    table = draw.one(draw.world.timed)
    relation, kind = time_window(draw, table)
    closes = draw.chance(0.4)
    draw.meet(f"window:{kind}", "emit:close" if closes else "emit:changes")
    keys = [draw.one(("window_start", "window_end")), *(["both"] if draw.chance(0.4) else [])]
    select = _by_window(draw, relation, "both" in keys, keys[0])
    if not closes:
        return select
    end, late = "window_end", f"INTERVAL {table.lateness_s} SECONDS"
    test = f"{end} + {late} <= (SELECT w FROM {table.name}_w)"
    where = Text(select.where.sql, f"({select.where.twin}) AND {test}" if select.where else test)
    return Select(
        select.items, select.source, where, select.group, select.having,
        emit=Text("EMIT ON WINDOW CLOSE", ""),
    )  # fmt: skip


def _by_window(draw: Draw, relation: Relation, has_both: bool, key: str) -> Select:
    """`grouped`, with the window among its keys."""
    names = ["window_start", "window_end"] if has_both else [key]
    shown = tuple(Item(plain(n), Column(n, n, "timestamp")) for n in names)
    select = grouped(draw, relation)
    keys = ", ".join(
        [*names, *(i.text.sql for i in select.items if i.column and i.column.name[0] == "y")]
    )
    return Select((*shown, *select.items), select.source, select.where, plain(keys), select.having)


def time_window(draw: Draw, table: Table) -> tuple[Relation, str]:
    """A window function over a source, and its name."""
    kind = draw.one(("TUMBLE", "TUMBLE", "HOP", "CUMULATE", "SESSION"))
    size = draw.one(SIZES)
    zone = table.columns["ts"].family
    source = f"{table.name}_n"
    if kind == "SESSION":
        return _session(draw, table, source), kind
    if kind == "TUMBLE":
        shift = draw.one(("", "", f", INTERVAL {size // 5} SECONDS"))
        call = f"TUMBLE({table.name}, ts, INTERVAL {size} SECONDS{shift})"
        origin = _EPOCH[zone] + (f" + INTERVAL {size // 5} SECONDS" if shift else "")
        twin = _fixed(
            source,
            f"time_bucket(INTERVAL {size} SECONDS, ts, {origin})",
            f"INTERVAL {size} SECONDS",
        )
    else:
        count = draw.one((2, 3))
        step = size
        call = f"{kind}({table.name}, ts, INTERVAL {step} SECONDS, INTERVAL {step * count} SECONDS)"
        twin = (_hop if kind == "HOP" else _cumulate)(source, step, count, _EPOCH[zone])
    late = f"INTERVAL {table.lateness_s} SECONDS"
    kept = f"(SELECT * FROM ({twin}) WHERE _wm IS NULL OR _wm < window_end + {late})"
    return _over(draw, table, call, kept, zone), kind


def _over(draw: Draw, table: Table, call: str, twin: str, zone: str) -> Relation:
    relation = named(draw, table, call, twin)
    alias = relation.columns[0].text.partition(".")[0]
    more = tuple(Column(f"{alias}.{n}", n, zone) for n in ("window_start", "window_end"))
    return Relation(relation.text, (*relation.columns, *more), relation.arrival, relation.hidden)


def _fixed(source: str, start: str, size: str) -> str:
    return f"SELECT *, {start} AS window_start, window_start + {size} AS window_end FROM {source} WHERE ts IS NOT NULL"


def _hop(source: str, slide: int, count: int, origin: str) -> str:
    """A row is in every window [k * slide, k * slide + size) that holds it."""
    last = f"time_bucket(INTERVAL {slide} SECONDS, ts, {origin})"
    return (
        f"SELECT *, {last} - to_seconds(i * {slide}) AS window_start, window_start + INTERVAL {slide * count} SECONDS AS window_end "
        f"FROM {source}, range({count}) AS r(i) WHERE ts IS NOT NULL"
    ).replace("SELECT *,", f"SELECT {source}.*,")


def _cumulate(source: str, step: int, count: int, origin: str) -> str:
    """Windows of one start, an end at each step up to the size."""
    start = f"time_bucket(INTERVAL {step * count} SECONDS, ts, {origin})"
    return (
        f"SELECT * FROM (SELECT {source}.*, {start} AS window_start, window_start + to_seconds((i + 1) * {step}) AS window_end "
        f"FROM {source}, range({count}) AS r(i) WHERE ts IS NOT NULL) WHERE ts < window_end"
    )


def _session(draw: Draw, table: Table, source: str) -> Relation:
    """Events of a key at most `gap` apart; the end is the last event + gap."""
    rule = draw.one(sorted(table.session_gaps))
    gap, key = table.session_gaps[rule]
    part = f"PARTITION BY {key} " if key else ""
    also = f"PARTITION BY {key}, _s" if key else "PARTITION BY _s"
    call = f"SESSION({table.name}, ts, INTERVAL {gap} SECONDS{f', {key}' if key else ''})"
    apart = f"ts - lag(ts) OVER ({part}ORDER BY ts) <= INTERVAL {gap} SECONDS"
    marked = f"SELECT *, CASE WHEN {apart} THEN 0 ELSE 1 END AS _new FROM {source} WHERE ts IS NOT NULL AND NOT _late_{rule}"
    numbered = f"SELECT *, sum(_new) OVER ({part}ORDER BY ts) AS _s FROM ({marked})"
    twin = (
        f"(SELECT * EXCLUDE (_new, _s), min(ts) OVER ({also}) AS window_start, "
        f"max(ts) OVER ({also}) + INTERVAL {gap} SECONDS AS window_end FROM ({numbered}))"
    )
    draw.meet("session by key" if key else "session of all")
    return _over(draw, table, call, twin, table.columns["ts"].family)


def row_window(draw: Draw) -> Query:
    """Windows of n rows by arrival, for each key where asked."""
    tables = [t for t in draw.world.tables if not t.is_changelog]
    table = draw.one(tables)
    kind = draw.one(("TUMBLE_ROWS", "HOP_ROWS"))
    draw.meet(f"window:{kind}")
    key = draw.one(("", "k", "g"))
    count, part = draw.one((2, 3)), f"PARTITION BY {key} " if key else ""
    named_key = f", {key}" if key else ""
    at = f"SELECT *, row_number() OVER ({part}ORDER BY _n) - 1 AS _at FROM {table.name}_n"
    if kind == "TUMBLE_ROWS":
        call = f"TUMBLE_ROWS({table.name}, {count}{named_key})"
        twin = f"SELECT * EXCLUDE (_at), _at // {count} * {count} AS window_start, window_start + {count} AS window_end FROM ({at})"
    else:
        call = f"HOP_ROWS({table.name}, {count}, {count * 2}{named_key})"
        twin = (
            f"SELECT p.* EXCLUDE (_at), (_at // {count} - i) * {count} AS window_start, window_start + {count * 2} AS window_end "
            f"FROM ({at}) AS p, range(2) AS r(i)"
        )
    relation = _over(draw, table, call, f"({twin})", "integer")
    if draw.chance(0.3):
        return Select(items(draw, relation, 2, 4), relation.text)
    return _by_window(draw, relation, True, "")


def window_join(draw: Draw) -> Query:
    """Both sides over the same windows."""
    size = draw.one(SIZES)
    tables = [draw.one(draw.world.timed) for _ in range(2)]
    draw.meet("join of windows")
    sides = []
    for table in tables:
        zone = table.columns["ts"].family
        twin = _fixed(
            f"{table.name}_n",
            f"time_bucket(INTERVAL {size} SECONDS, ts, {_EPOCH[zone]})",
            f"INTERVAL {size} SECONDS",
        )
        late = f"INTERVAL {table.lateness_s} SECONDS"
        kept = f"(SELECT * FROM ({twin}) WHERE _wm IS NULL OR _wm < window_end + {late})"
        sides.append(
            _over(draw, table, f"TUMBLE({table.name}, ts, INTERVAL {size} SECONDS)", kept, zone)
        )
    left, right = sides
    a, b = (r.columns[0].text.partition(".")[0] for r in sides)
    same = (
        f"{a}.window_start = {b}.window_start AND {a}.window_end = {b}.window_end AND {a}.k = {b}.k"
    )
    text = both("{l} JOIN {r} ON {o}", l=left.text, r=right.text, o=same)
    relation = Relation(text, (*left.columns, *right.columns))
    return Select(items(draw, relation, 2, 4), text)


def latest(draw: Draw) -> Query:
    """The newest row of each key."""
    table = draw.one([t for t in draw.world.tables if not t.is_changelog])
    keys = draw.some(("k", "g"), 1, 2)
    draw.meet("latest")
    call = f"latest({table.name}, {', '.join(keys)})"
    twin = f"(SELECT * FROM {table.name}_n QUALIFY row_number() OVER (PARTITION BY {', '.join(keys)} ORDER BY _n DESC) = 1)"
    made = named(draw, table, call, twin)
    relation = Relation(made.text, made.columns, "", made.hidden, is_changelog=True)
    if draw.chance(0.5):
        return grouped(draw, relation)
    return Select(items(draw, relation, 2, 4), relation.text, NOTHING)
