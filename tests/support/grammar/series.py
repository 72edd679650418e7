"""Time series helpers, with the plain SQL that they mean.

In a template `{x}` is a value, `{t}` a time, `{w}` the partition and order with ties written out,
`{r}` the same with peers left together.
"""

from __future__ import annotations

from dataclasses import replace

from support.grammar.clauses import item, items, maybe_where
from support.grammar.draw import Column, Draw, Relation, Text, plain
from support.grammar.expressions import expression
from support.grammar.kinds import EXACT
from support.grammar.relations import base, named
from support.grammar.select import Item, Query, Select
from support.grammar.world import Table

_UP = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW"
_DOWN = "ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING"
_LAST = f"last_value({{0}} IGNORE NULLS) OVER ({{w}} {_UP})"
_NEXT = f"first_value({{0}} IGNORE NULLS) OVER ({{w}} {_DOWN})"
_AT = "CASE WHEN {x} IS NOT NULL THEN epoch({t}) END"
_LINE = (
    f"{_LAST.replace('{0}', '{x}')} + ({_NEXT.replace('{0}', '{x}')} - {_LAST.replace('{0}', '{x}')}) * "
    f"(epoch({{t}}) - {_LAST.replace('{0}', _AT)}) / "
    f"nullif({_NEXT.replace('{0}', _AT)} - {_LAST.replace('{0}', _AT)}, 0)"
)
_STEPS = (
    "list_reduce(list([epoch({t}), ({x})::DOUBLE, 0] ORDER BY {t}, {x}) FILTER ({x} IS NOT NULL AND {t} IS NOT NULL){over}, "
    "lambda p, q: [q[1], q[2], p[3] + p[2] * (q[1] - p[1])])[3]"
)
_KNOWN = "FILTER ({x} IS NOT NULL){over}"
_TIME_WEIGHTED = f"coalesce({_STEPS} / nullif(epoch(max({{t}}) {_KNOWN}) - epoch(min({{t}}) {_KNOWN}), 0), avg({{x}}) {_KNOWN})"
_FRAME = "RANGE BETWEEN INTERVAL 10 SECONDS PRECEDING AND CURRENT ROW"


def _score(over: str) -> str:
    return f"({{x}} - avg({{x}}) OVER ({over})) / nullif(stddev_pop({{x}}) OVER ({over}), 0)"


CALLS = {
    "delta({x})": "{x} - lag({x}) OVER ({w})",
    "rate({x}, {t})": "({x} - lag({x}) OVER ({w})) / nullif(epoch({t}) - epoch(lag({t}) OVER ({w})), 0)",
    "moving_avg({x}, 3)": "avg({x}) OVER ({w} ROWS 2 PRECEDING)",
    "moving_avg({x}, INTERVAL 10 SECONDS)": f"avg({{x}}) OVER ({{r}} {_FRAME})",
    "moving_percentile({x}, 0.75, 4)": "quantile_cont({x}, 0.75) OVER ({w} ROWS 3 PRECEDING)",
    "moving_percentile({x}, 0.5, INTERVAL 10 SECONDS)": f"quantile_cont({{x}}, 0.5) OVER ({{r}} {_FRAME})",
    "ema({x}, 0.5)": f"list_reduce(list(({{x}})::DOUBLE) FILTER ({{x}} IS NOT NULL) OVER ({{w}} {_UP}), lambda p, q: 0.5 * q + 0.5 * p)",
    "zscore({x})": _score("{r}"),
    "zscore({x}, 4)": _score("{w} ROWS 3 PRECEDING"),
    "zscore({x}, INTERVAL 10 SECONDS)": _score(f"{{r}} {_FRAME}"),
    "locf({x})": _LAST.replace("{0}", "{x}"),
    "interpolate({x}, {t})": f"coalesce(({{x}})::DOUBLE, {_LINE})",
    "time_weighted_avg({x}, {t})": _TIME_WEIGHTED.replace("{over}", " OVER ({r})"),
}  # fmt: skip


def series(draw: Draw) -> Query:
    """Helpers over a source, by time."""
    relation = base(draw)
    calls = tuple(_call(draw, relation, i) for i in range(draw.rng.randint(3, 5)))
    more = tuple(item(draw, relation) for _ in range(2))
    return Select((*calls, *more), relation.text, maybe_where(draw, relation, 0.3))


def _call(draw: Draw, relation: Relation, i: int) -> Item:
    exact = [c.text for c in relation.columns if c.family in EXACT]
    part = f"PARTITION BY {', '.join(draw.some(exact, 1, 2))} " if draw.chance(0.7) else ""
    name = draw.one(sorted({c.partition("(")[0] for c in CALLS}))  # each as often as the others
    call = draw.one([c for c in CALLS if c.startswith(f"{name}(")])
    time = next(c.text for c in relation.columns if c.name == "ts")
    value = expression(
        draw, [c for c in relation.columns if c.name in ("v", "k", "id")], "integer", 0
    )
    by = f"{part}ORDER BY {time}"
    filled = {"{x}": value, "{t}": time, "{w}": f"{by}, {relation.order}", "{r}": by}
    draw.meet(f"series:{call.partition('(')[0]}")
    sql, twin = f"{call} OVER ({by})", CALLS[call]
    for hole, text in filled.items():
        sql, twin = sql.replace(hole, text), twin.replace(hole, text)
    return Item(Text(sql, twin), Column(f"z{i}", f"z{i}", "opaque"))


def time_weighted(draw: Draw) -> Query:
    """The time-weighted average of groups, without OVER."""
    relation = base(draw)
    by = draw.one([c for c in relation.columns if c.name in ("k", "g")])
    time = next(c.text for c in relation.columns if c.name == "ts")
    values = [c for c in relation.columns if c.name in ("v", "k", "id")]
    value = expression(draw, values, "integer", 0)
    draw.meet("series:time_weighted_avg of groups")
    twin = _TIME_WEIGHTED.replace("{over}", "").replace("{x}", value).replace("{t}", time)
    call = Item(Text(f"time_weighted_avg({value}, {time})", twin), Column("z0", "z0", "opaque"))
    key = Item(plain(by.text), Column("y0", "y0", by.family))
    return Select((key, call), relation.text, maybe_where(draw, relation), plain("y0"))


def filled(draw: Draw) -> Query:
    """GAP_FILL and RESAMPLE, which stand in FROM."""
    table = draw.one(draw.world.tables)
    kind, key = draw.one(("GAP_FILL", "RESAMPLE")), draw.one(("", "k", "k, g"))
    draw.meet(f"series:{kind}")
    by = f", {key}" if key else ""
    write = _gaps if kind == "GAP_FILL" else _grid
    made = named(
        draw, table, f"{kind}({table.name}, ts, INTERVAL 10 SECONDS{by})", write(table, key)
    )
    relation = replace(made, arrival="", hidden="", is_changelog=True)
    return Select(items(draw, relation, 2, 4), relation.text, maybe_where(draw, relation, 0.3))


def _gaps(table: Table, key: str) -> str:
    """Steps without a row, by an anti join."""
    keys = key.split(", ") if key else []
    listed = "".join(f"{k}, " for k in keys)
    group = f" GROUP BY {key}" if key else ""
    same = "".join(f" AND a.{k} IS NOT DISTINCT FROM b.{k}" for k in keys)
    steps = f"SELECT {listed}unnest(generate_series(min(ts), max(ts), INTERVAL 10 SECONDS)) AS ts FROM {table.name}{group}"
    missing = f"SELECT a.* FROM ({steps}) AS a ANTI JOIN {table.name} AS b ON a.ts = b.ts{same}"
    return f"(SELECT * FROM {table.name} UNION ALL BY NAME {missing})"


def _grid(table: Table, key: str) -> str:
    """The last row of each key and time stands until the next: grid points between."""
    keys = key.split(", ") if key else []
    part = f"PARTITION BY {key} " if key else ""
    others = [n for n in table.columns if n not in ("ts", *keys)]
    shown = ", ".join("p AS ts" if n == "ts" else n for n in table.columns)
    ordered = f"{part}ORDER BY ts, {', '.join(others)}"
    held = f"SELECT *, lead(ts) OVER ({ordered}) AS until FROM {table.name} WHERE ts IS NOT NULL"
    point = "time_bucket(INTERVAL 10 SECONDS, ts) + i * INTERVAL 10 SECONDS"
    points = f"SELECT *, {point} AS p FROM ({held}), range(500) AS r(i)"
    return f"(SELECT {shown} FROM ({points}) WHERE p >= ts AND (p < until OR (until IS NULL AND p = ts)))"
