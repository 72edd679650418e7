"""Window functions, with the plain SQL that they mean (DESIGN 3.3 a)."""

from __future__ import annotations

from dataclasses import replace

from support.grammar.clauses import grouped, items
from support.grammar.draw import Column, Draw, Relation, Text, both, plain
from support.grammar.over_close import over_on_close
from support.grammar.relations import named
from support.grammar.select import NOTHING, Item, Query, Select
from support.grammar.world import Table

SIZES = (5, 10, 20)
FROM_JOIN = "from:joined stream"
_EPOCH = {
    "timestamp": "TIMESTAMP '1970-01-01'",
    "timestamptz": "TIMESTAMPTZ '1970-01-01 00:00:00+00'",
}


def windowed(draw: Draw) -> Query:
    """A GROUP BY over the windows of a timed source, told at once or when they close."""
    table = draw.one(draw.world.timed)
    relation, kind = time_window(draw, table)
    return told(draw, relation, kind, _closed(table))


def session(draw: Draw) -> Query:
    """Sessions, grouped mostly: by their own key, by another, or as rows."""
    if draw.chance(0.5):
        return _session_of_any(draw)
    table = draw.one(draw.world.timed)
    relation = _session(draw, table)
    if draw.chance(0.2):
        draw.meet("rows of sessions")
        return Select(items(draw, relation, 2, 4), relation.text)
    return told(draw, relation, "SESSION", _closed(table))


def totals(draw: Draw) -> Query:
    """Groups, windows and sessions whose results are kept in memory."""
    draw.is_plain = True
    return draw.one((grouped, windowed, windowed, session))(draw)


def _session_of_any(draw: Draw) -> Query:
    """Sessions of a table whose time nobody watches: none closes, and no row is late."""
    table = draw.one([t for t in draw.world.tables if not t.is_timed] or draw.world.timed)
    if table.is_timed:
        return windowed(draw)
    draw.meet("session without a watermark")
    gap, key = draw.one(SIZES), draw.one(("", "k", "g"))
    by, keyed = (f", {key}", f", key := {key}") if key else ("", "")
    call = f"SESSION({table.name}, ts, INTERVAL {gap} SECONDS{by})"
    relation = assigned(
        draw, table, call, f"session('{table.name}_n', INTERVAL {gap} SECONDS{keyed})"
    )
    if draw.chance(0.3):
        return Select(items(draw, relation, 2, 4), relation.text)
    return told(draw, relation, "SESSION", "")


def joined_windows(draw: Draw) -> Query:
    """Windows over a stream that joins two, or over a join in WITH: groups, sessions, OVER on close."""
    join = draw.world.join
    query = _over_joined(draw)
    if draw.chance(0.5):
        draw.meet(FROM_JOIN)
    else:
        draw.meet("joined in WITH")
        sql = query.source.sql.replace(join.table.name, "j")
        source, ctes = Text(sql, query.source.twin), Text(f"WITH j AS ({join.select})", "")
        query = replace(query, source=source, ctes=ctes)
    draw.meet("joined within a bound" if join.within_s is not None else "joined without a bound")
    return query


def _over_joined(draw: Draw) -> Select:
    table = draw.world.join.table
    form = draw.one(("window", "window", "session", "over"))
    draw.meet(f"joined and {form}")
    if form == "over":
        return over_on_close(draw, table)
    relation, kind = (
        (_session(draw, table), "SESSION") if form == "session" else time_window(draw, table)
    )
    return told(draw, replace(relation, arrival=""), kind, _closed(table))


def _closed(table: Table) -> str:
    """What the twin says of a window that has closed."""
    return f"window_end + INTERVAL {table.lateness_s} SECONDS <= (SELECT w FROM {table.name}_w)"


def told(draw: Draw, relation: Relation, kind: str, closed: str) -> Select:
    """A GROUP BY over windows, told at once or when they close; changelogs (`closed` is '') only at once."""
    closes = bool(closed) and draw.chance(0.5)
    draw.meet(f"window:{kind}", "emit:close" if closes else "emit:changes")
    key = draw.one(("window_start", "window_end"))
    end_together = kind in ("TUMBLE", "HOP") or key == "window_end"
    has_both = draw.chance(0.4) or not end_together
    select = _by_window(draw, relation, has_both, key)
    if not closes:
        return select
    where = Text(
        select.where.sql, f"({select.where.twin}) AND {closed}" if select.where else closed
    )
    return Select(
        select.items, select.source, where, select.group, select.having,
        emit=Text("EMIT ON WINDOW CLOSE", ""),
    )  # fmt: skip


def _by_window(
    draw: Draw, relation: Relation, has_both: bool, key: str, own_key: str = ""
) -> Select:
    """`grouped`, with the window among its keys, and the key of its own if there is one."""
    names = ["window_start", "window_end"] if has_both else [key]
    shown = tuple(Item(plain(n), Column(n, n, "timestamp")) for n in names)
    if "SESSION(" in relation.text.sql and draw.chance(0.5):
        own_key = "k"
    if own_key:
        own = next(c for c in relation.columns if c.name == own_key)
        shown = (*shown, Item(plain(own.text), Column("y9", "y9", own.family)))
    select = grouped(draw, relation)
    keys = ", ".join(
        [
            *names,
            *(i.text.sql for i in (*shown, *select.items) if i.column and i.column.name[0] == "y"),
        ]
    )
    return Select((*shown, *select.items), select.source, select.where, plain(keys), select.having)


def time_window(draw: Draw, table: Table) -> tuple[Relation, str]:
    """A window function over a source, and its name."""
    kind = draw.one(("TUMBLE", "TUMBLE", "HOP", "CUMULATE", "SESSION"))
    size, count = draw.one(SIZES), draw.one((2, 3))
    if kind == "SESSION":
        return _session(draw, table), kind
    shift = draw.one(("", f"INTERVAL {size // 5} SECONDS"))
    if kind == "TUMBLE":
        return tumble(draw, table, size, shift), kind
    steps = f"INTERVAL {size} SECONDS, INTERVAL {size * count} SECONDS"
    return assigned(
        draw,
        table,
        f"{kind}({table.name}, ts, {steps}{f', {shift}' * bool(shift)})",
        f"{kind.lower()}('{table.name}_n', {steps}, {_more(table, shift)})",
    ), kind


def tumble(draw: Draw, table: Table, size: int, shift: str = "") -> Relation:
    last = f", {shift}" if shift else ""
    call = f"TUMBLE({table.name}, ts, INTERVAL {size} SECONDS{last})"
    return assigned(
        draw,
        table,
        call,
        f"tumble('{table.name}_n', INTERVAL {size} SECONDS, {_more(table, shift)})",
    )


def _more(table: Table, shift: str = "") -> str:
    """Lateness and origin, as the twins' macros take them."""
    origin = _EPOCH[table.columns["ts"].family] + (f" + {shift}" if shift else "")
    return f"late := INTERVAL {table.lateness_s} SECONDS, origin := {origin}"


def assigned(draw: Draw, table: Table, call: str, twin: str, family: str = "") -> Relation:
    """The function under an alias, with the window's bounds among its columns."""
    relation = named(draw, table, call, twin)
    alias = relation.columns[0].text.partition(".")[0]
    family = family or table.columns["ts"].family
    more = tuple(Column(f"{alias}.{n}", n, family) for n in ("window_start", "window_end"))
    return replace(relation, columns=(*relation.columns, *more))


def _session(draw: Draw, table: Table) -> Relation:
    rule = draw.one(sorted(table.session_gaps))
    gap, key = table.session_gaps[rule]
    draw.meet("session by key" if key else "session of all")
    by, keyed = (f", {key}", f", key := {key}") if key else ("", "")
    call = f"SESSION({table.name}, ts, INTERVAL {gap} SECONDS{by})"
    twin = f"session('{table.name}_n', INTERVAL {gap} SECONDS{keyed}, is_late := _late_{rule})"
    return assigned(draw, table, call, twin)


def row_window(draw: Draw) -> Query:
    """Windows of n rows by arrival, for each key where asked."""
    table = draw.one([t for t in draw.world.tables if not t.is_changelog])
    kind, key, count = (
        draw.one(("TUMBLE_ROWS", "HOP_ROWS")),
        draw.one(("", "k", "g")),
        draw.one((2, 3)),
    )
    draw.meet(f"window:{kind}")
    numbers = f"{count}" if kind == "TUMBLE_ROWS" else f"{count}, {count * 2}"
    by, keyed = (f", {key}", f", key := {key}") if key else ("", "")
    closes = draw.chance(0.4)
    draw.meet(f"row windows {'when they are full' if closes else 'at once'}")
    call, twin = f"{kind}({table.name}, {numbers}{by})", f"{kind.lower()}{'_full' * closes}"
    relation = assigned(draw, table, call, f"{twin}('{table.name}_n', {numbers}{keyed})", "integer")
    emit = Text("EMIT ON WINDOW CLOSE", "") if closes else NOTHING
    if draw.chance(0.3):
        return Select(items(draw, relation, 2, 4), relation.text, emit=emit)
    return replace(_by_window(draw, relation, True, "", key if closes else ""), emit=emit)


def window_join(draw: Draw) -> Query:
    """Both sides over the same windows."""
    size = draw.one(SIZES)
    draw.meet("join of windows")
    left, right = (tumble(draw, draw.one(draw.world.timed), size) for _ in range(2))
    a, b = (r.columns[0].text.partition(".")[0] for r in (left, right))
    same = (
        f"{a}.window_start = {b}.window_start AND {a}.window_end = {b}.window_end AND {a}.k = {b}.k"
    )
    text = both("{l} JOIN {r} ON {o}", l=left.text, r=right.text, o=same)
    return Select(items(draw, Relation(text, (*left.columns, *right.columns)), 2, 4), text)
