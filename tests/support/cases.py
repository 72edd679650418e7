"""Rows and queries for the property tests: what Hypothesis draws from."""

from __future__ import annotations

import math
import os
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from support.law import Query, Row, Source

# Shrinking runs a hundred apps: that is for nightly, and for whoever looks into a failure.
settings.register_profile(
    "ci",
    derandomize=True,
    max_examples=4,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)
settings.register_profile(
    "nightly",
    max_examples=int(os.environ.get("HYPOTHESIS_EXAMPLES", "300")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
PROFILE = settings.get_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

COLUMNS = (
    "id INTEGER, g VARCHAR, b BIGINT, u UBIGINT, x DOUBLE, y DOUBLE, d DECIMAL(30,10), t BOOLEAN, "
    "day DATE, ts TIMESTAMP, tz TIMESTAMPTZ, o STRUCT(a INTEGER, c VARCHAR), l INTEGER[]"
)
START = datetime(2026, 1, 1)  # noqa: DTZ001  # naive, as TIMESTAMP is

_VALUES: dict[str, list[Any]] = {
    "id": [None, 0, 1, 2, 2, 3, -(2**20), 2**20],
    "g": [None, "", "a", "b", "a", "日本", "🙂", 'it\'s; "quoted"'],
    "b": [None, 0, 1, -1, 7, 2**62, -(2**62)],
    "u": [None, 0, 1, 2**64 - 1, 2**63],
    "x": [None, 0.0, 1.5, -2.25, 0.1, math.nan, math.inf, -math.inf],
    "y": [None, 0.0, 1.5, -2.25, 0.1, 1e6],
    "d": [None, Decimal("0"), Decimal("0.0000000001"), Decimal("-12345678901234567890.0123456789")],
    "t": [None, True, False],
    "day": [None, date(1969, 12, 31), date(2024, 2, 29), date(1, 1, 1)],
    "ts": [None, START, START - timedelta(days=30000), START + timedelta(microseconds=1)],
    "tz": [None, datetime(2026, 1, 1, tzinfo=UTC), datetime(1950, 6, 1, 12, tzinfo=UTC)],
    "o": [None, {"a": 1, "c": "x"}, {"a": None, "c": ""}, {"a": 2, "c": None}],
    "l": [None, [], [1], [3, None, 1], [2, 2]],
}

rows: st.SearchStrategy[Row] = st.fixed_dictionaries(
    {name: st.sampled_from(values) for name, values in _VALUES.items()}
)
# All input, cut into epochs.
epochs = st.lists(st.lists(rows, min_size=0, max_size=6), min_size=1, max_size=4)

EXPRESSIONS = [
    "id + 1", "id % 2", "-id", "abs(y)", "id::VARCHAR", "CAST(u AS DOUBLE)", "upper(g)", "g || '!'",
    "length(g)", "g LIKE 'a%'", "g ILIKE 'A%'", "g IN ('a', 'b')", "g NOT IN ('a')", "coalesce(g, 'none')",
    "nullif(g, 'a')", "CASE WHEN id > 1 THEN 'big' WHEN id IS NULL THEN 'none' ELSE 'small' END",
    "CASE g WHEN 'a' THEN 1 ELSE 2 END", "b IS NULL", "b IS DISTINCT FROM 1", "t AND id > 0", "NOT t",
    "id BETWEEN 1 AND 2", "round(y, 1)", "y / 2", "id // 2", "greatest(id, 1)", "least(x, y)", "isnan(x)",
    "d * 2", "d::VARCHAR", "day + 1", "day::TIMESTAMP", "ts + INTERVAL 1 DAY", "date_trunc('hour', ts)",
    "extract(year FROM day)", "year(ts)", "strftime(ts, '%Y-%m-%d')", "epoch_us(ts)", "date_diff('day', ts, TIMESTAMP '2026-01-01')",
    "o.a", "o.c", "(o).a + 1", "o['c']", "struct_extract(o, 'a')", "{'k': id, 'v': g}", "{'k': o}.k.a",
    "l[1]", "l[2:3]", "len(l)", "list_contains(l, 1)", "[id, 2]", "list_transform(l, lambda v: v + 1)",
    "[v * 2 FOR v IN l IF v > 1]", "list_sort(l)", "array_to_string(l, ',')", "MAP {'a': id}", "MAP {'a': id}['a']",
    "to_json(o)", "json_extract_string(to_json(o), '$.c')", "to_json(o) ->> 'c'", "TRY_CAST(g AS INTEGER)",
    "md5(g)", "hash(g) % 2", "substring(g, 1, 1)", "g[1:1]", "trim(g)", "replace(g, 'a', 'b')", "regexp_replace(g, '[ab]', 'z')",
    "string_split(g, 'a')", "concat(g, id)", "concat_ws('-', g, id)", "printf('%s', g)", "lpad(g, 3, '*')", "ascii(g)",
    "id & 1", "abs(id) << 1", "xor(id, 1)", "y ** 2", "sign(y)", "tz::DATE", "tz AT TIME ZONE 'UTC'", "if(t, 1, 0)",
    "ifnull(id, 0)", "typeof(id)", "DATE '2020-01-01' - day", "age(ts, TIMESTAMP '2000-01-01')", "ts::TIME", "u::UHUGEINT",
    "id::HUGEINT * 3", "'x' COLLATE NOCASE = upper('X')", "'a\\nb'", "1e3",
]  # fmt: skip
FILTERS = [
    "id > 0", "g IS NOT NULL", "t", "NOT t", "o.a = 1", "len(l) > 0", "g LIKE '%a%' OR id IS NULL", "x > 0 OR isnan(x)",
    "id IN (1, 2)", "d <> 0", "ts < TIMESTAMP '2026-01-01'", "true", "false", "NULL", "list_contains(l, 2) AND id > 1",
]  # fmt: skip
KEYS = [
    "g",
    "id",
    "t",
    "o",
    "o.a",
    "id % 2",
    "upper(g)",
    "x",
    "d",
    "day",
    "u",
    "l",
    "coalesce(g, '?')",
]

# (call, in the twin's words where the order of rows counts)
AGGREGATES = [
    ("count(*)", ""), ("count(id)", ""), ("count(DISTINCT g)", ""), ("sum(id)", ""), ("sum(b)", ""), ("sum(u)", ""),
    ("sum(y)", ""), ("sum(d)", ""), ("sum(DISTINCT id)", ""), ("avg(y)", ""), ("avg(id)", ""), ("min(x)", ""), ("max(x)", ""),
    ("min(g)", ""), ("max(o)", ""), ("min(l)", ""), ("max(ts)", ""), ("min(tz)", ""), ("max(d)", ""), ("max(u)", ""),
    ("bool_and(t)", ""), ("bool_or(t)", ""), ("bit_xor(id)", ""), ("count_if(t)", ""), ("stddev(y)", ""), ("var_pop(y)", ""),
    ("median(y)", ""), ("quantile_cont(y, 0.25)", ""), ("quantile_disc(id, [0.25, 0.5])", ""), ("mad(y)", ""),
    ("corr(id, y)", ""), ("covar_pop(id, y)", ""), ("approx_count_distinct(g)", ""), ("histogram(g)", ""), ("entropy(g)", ""),
    ("max(id, 2)", ""), ("sum(id) FILTER (WHERE t)", ""), ("count(*) FILTER (WHERE g = 'a')", ""), ("product(y)", ""),
    ("count(DISTINCT id) FILTER (WHERE id > 0)", ""), ("sum(CASE WHEN t THEN 1 ELSE 0 END)", ""), ("sum(id) / count(*)", ""),
    ("max(id) - min(id)", ""), ("kahan_sum(y)", ""), ("sum(len(l))", ""), ("max({'a': id, 'b': g})", ""),
]  # fmt: skip
BY_ARRIVAL = [
    ("first(g)", "first(g ORDER BY _n)"), ("last(id)", "last(id ORDER BY _n)"), ("list(g)", "list(g ORDER BY _n)"),
    ("any_value(g)", "any_value(g ORDER BY _n)"), ("string_agg(g, '-')", "string_agg(g, '-' ORDER BY _n)"),
    ("array_agg(o)", "array_agg(o ORDER BY _n)"), ("list(id) FILTER (WHERE t)", "list(id ORDER BY _n) FILTER (WHERE t)"),
]  # fmt: skip


def source(name: str = "s", options: str = "", columns: str = COLUMNS) -> Source:
    return Source(name, columns, options)


@st.composite
def projections(draw: Any) -> Query:
    """SELECT without GROUP BY, in one of the ways to write it."""
    items = draw(st.lists(st.sampled_from(EXPRESSIONS), min_size=1, max_size=4, unique=True))
    listed = ", ".join(f"{e} AS c{i}" for i, e in enumerate(items))
    where = draw(st.sampled_from(FILTERS))
    form = draw(
        st.sampled_from(
            [
                "SELECT {listed} FROM s",
                "SELECT {listed} FROM s AS q WHERE {where}",
                "SELECT *, {listed} FROM s WHERE {where}",
                "SELECT q.* EXCLUDE (l, o), {listed} FROM s q WHERE {where}",
                "SELECT * REPLACE (g || '?' AS g) FROM s WHERE {where}",
                "WITH q AS (SELECT * FROM s WHERE {where}) SELECT {listed} FROM q",
                "SELECT c0 FROM (SELECT {listed} FROM s WHERE {where})",
                "SELECT unnest(l) AS e, {listed} FROM s WHERE {where}",
                "SELECT id, e FROM s, unnest(l) AS n(e) WHERE {where}",
                "FROM (SELECT g, {listed} FROM s) WHERE g IS NOT NULL",
            ]
        )
    )
    return Query(form.format(listed=listed, where=where))


@st.composite
def groups(draw: Any, *, by_arrival: bool = True) -> Query:
    """SELECT with GROUP BY, or one group over everything."""
    known = AGGREGATES + (BY_ARRIVAL if by_arrival else [])
    calls = draw(st.lists(st.sampled_from(known), min_size=1, max_size=4, unique=True))
    keys = draw(st.lists(st.sampled_from(KEYS), max_size=2, unique=True))
    where = draw(st.sampled_from(["", f" WHERE {draw(st.sampled_from(FILTERS))}"]))
    having = draw(st.sampled_from(["", " HAVING count(*) > 1", " HAVING min(id) IS NOT NULL"]))
    positions = ", ".join(str(i + 1) for i in range(len(keys)))
    names = ", ".join(f"k{i}" for i in range(len(keys)))
    clauses = [", ".join(keys), positions, names, "ALL"] if keys else [""]
    clause = draw(st.sampled_from(clauses))
    group = f" GROUP BY {clause}" if clause else ""

    def text(is_twin: bool) -> str:
        listed = [f"{k} AS k{i}" for i, k in enumerate(keys)]
        listed += [
            f"{(twin or call) if is_twin else call} AS c{i}" for i, (call, twin) in enumerate(calls)
        ]
        table = "s_n" if is_twin and any(twin for _, twin in calls) else "s"
        return f"SELECT {', '.join(listed)} FROM {table} AS s{where}{group}{having}"

    return Query(text(False), text(True))
