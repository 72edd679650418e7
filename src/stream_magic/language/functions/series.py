"""Time series: changes, rates, moving values, gaps and grids, each in plain SQL.

Names are those of the field where it agrees: `delta`, `rate`, `locf`, `interpolate` as in TimescaleDB,
`moving_avg` as in InfluxDB, `ema` as in kdb, `resample` as in pandas.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from stream_magic.contracts.macro import Macro

_ROWS = "(w ROWS BETWEEN n - 1 PRECEDING AND CURRENT ROW)"
_RANGE = "(w RANGE BETWEEN size PRECEDING AND CURRENT ROW)"
_BEFORE = "(w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
_AFTER = "(w ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING)"


def _moving(
    usage: str, call: str, doc: str, numbers: Mapping[str, tuple[float, float]] | None = None
) -> tuple[Macro, Macro]:
    """Over so many rows, and over so much time."""
    more = numbers or {}
    rows = f"{doc} the last n rows, this one among them"
    return (
        Macro(usage.format("n"), call.format(_ROWS), rows, {"n": (1, math.inf), **more}),
        Macro(
            usage.format("INTERVAL size"),
            call.format(_RANGE),
            f"{doc} the last `size` of time",
            more,
        ),
    )


_ZSCORE = "(x - avg(x) OVER {0}) / nullif(stddev_pop(x) OVER {0}, 0)"
_KNOWN = "CASE WHEN x IS NOT NULL THEN epoch(ts) END"
# The line from the last known point to the next; where a point is known, that is both of them.
_LINE = (
    f"last_value(x IGNORE NULLS) OVER {_BEFORE} + "
    f"(first_value(x IGNORE NULLS) OVER {_AFTER} - last_value(x IGNORE NULLS) OVER {_BEFORE}) * "
    f"(epoch(ts) - last_value({_KNOWN} IGNORE NULLS) OVER {_BEFORE}) / "
    f"nullif(first_value({_KNOWN} IGNORE NULLS) OVER {_AFTER} - last_value({_KNOWN} IGNORE NULLS) OVER {_BEFORE}, 0)"
)
_POINTS = (
    "list({'at': epoch(ts), 'held': CAST(x AS DOUBLE), 'area': CAST(0 AS DOUBLE)} ORDER BY ts, x) "
    "FILTER (WHERE x IS NOT NULL AND ts IS NOT NULL) OVER w"
)
_AREA = (
    f"list_reduce({_POINTS}, lambda _p, _q: "
    "{'at': _q.at, 'held': _q.held, 'area': _p.area + _p.held * (_q.at - _p.at)})"
)
_KNOWN_TIME = "FILTER (WHERE x IS NOT NULL) OVER w"
_DURATION = f"epoch(max(ts) {_KNOWN_TIME}) - epoch(min(ts) {_KNOWN_TIME})"

_MISSING = (
    "SELECT * FROM s UNION ALL BY NAME ("
    "SELECT {key}unnest(generate_series(_first, _last, size)) AS ts "
    "FROM (SELECT {key}min(ts) AS _first, max(ts) AS _last FROM s{group}) "
    "EXCEPT SELECT {key}ts FROM s)"
)
_GRID = (
    "SELECT * EXCLUDE (_next, _at) REPLACE (_at AS ts) FROM ("
    "SELECT *, unnest(generate_series(time_bucket(size, ts + size - INTERVAL 1 MICROSECOND), "
    "coalesce(_next - INTERVAL 1 MICROSECOND, ts), size)) AS _at "
    "FROM (SELECT *, lead(ts) OVER ({part}ORDER BY ts) AS _next FROM s))"
)

MACROS = (
    Macro("delta(x) OVER w", "x - lag(x) OVER w", "by how much x has changed since the row before"),
    Macro(
        "rate(x, ts) OVER w", "(x - lag(x) OVER w) / nullif(epoch(ts) - epoch(lag(ts) OVER w), 0)",
        "by how much x changes in a second, since the row before",
    ),
    *_moving("moving_avg(x, {}) OVER w", "avg(x) OVER {}", "the average of x over"),
    *_moving(
        "moving_percentile(x, p, {}) OVER w", "quantile_cont(x, p) OVER {}",
        "the percentile of x (p = 0.95: the 95th) over", {"p": (0, 1)},
    ),
    # A row of 42 / alpha rows ago weighs less than 1e-18: what is older is left out.
    Macro(
        "ema(x, alpha) OVER w",
        "list_reduce(list(CAST(x AS DOUBLE)) FILTER (WHERE x IS NOT NULL) "
        "OVER (w ROWS BETWEEN CAST(ceil(42 / alpha) AS BIGINT) PRECEDING AND CURRENT ROW), "
        "lambda _p, _q: alpha * _q + (1 - alpha) * _p)",
        "the exponential moving average: alpha of this x, and 1 - alpha of what it was before",
        {"alpha": (0.001, 1)},
    ),
    Macro(
        "zscore(x) OVER w", _ZSCORE.format("w"),
        "how many standard deviations x is from the average of the rows that OVER names",
    ),
    *_moving("zscore(x, {}) OVER w", _ZSCORE, "how many standard deviations x is from the average of"),
    Macro(
        "locf(x) OVER w", f"last_value(x IGNORE NULLS) OVER {_BEFORE}",
        "the last observation carried forward: x, or the last x that was known",
    ),
    Macro(
        "interpolate(x, ts) OVER w", f"coalesce(CAST(x AS DOUBLE), {_LINE})",
        "x, or where it is NULL the point on the line from the last known x to the next; nothing beyond the ends",
    ),
    Macro(
        "time_weighted_avg(x, ts) [OVER w]",
        f"coalesce(({_AREA}).area / nullif({_DURATION}, 0), avg(x) {_KNOWN_TIME})",
        "the average of x, each weighed by how long it held, until the next x; of one moment the plain average",
    ),
    Macro(
        "GAP_FILL(s, ts, INTERVAL size)", _MISSING.format(key="", group=""),
        "the rows, and one with nothing but ts for each step between the first and the last that has none",
    ),
    Macro(
        "GAP_FILL(s, ts, INTERVAL size, key...)", _MISSING.format(key="key, ", group=" GROUP BY key"),
        "the same for each key, which the new rows have, too",
    ),
    Macro(
        "RESAMPLE(s, ts, INTERVAL size)", _GRID.format(part=""),
        "the rows as they held at each point of a grid, which is aligned as time_bucket(size, ts) is",
    ),
    Macro(
        "RESAMPLE(s, ts, INTERVAL size, key...)", _GRID.format(part="PARTITION BY key "),
        "the same for each key",
    ),
)  # fmt: skip
