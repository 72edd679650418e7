"""What a window function means, as plain SQL over a table: the text of docs/language, and what `app.sql` runs."""

from __future__ import annotations

from stream_magic.language.binder import quote
from stream_magic.planner.windows import WindowCall, bucket


def as_sql(call: WindowCall, source: str) -> str:
    """A SELECT that gives the rows of `source`, in its order, with `window_start` and `window_end`."""
    if call.function == "latest":
        return _latest(call, source)
    if not call.time_column:
        return _rows(call, source)
    if call.function == "session":
        return _session(call, source)
    t = quote(call.time_column)
    kind = dict(zip(*call.shown, strict=True))[call.time_column]
    size = call.sizes[-1]
    if call.function == "tumble":
        start = bucket(t, size, kind, call.shift)
        return f"SELECT *, {start} AS window_start, {start} + {size} AS window_end FROM {source}"
    listed, start, end = windows(call, t, kind)
    opened = f"SELECT *, unnest({listed}) AS _w FROM {source}"
    return f"SELECT * EXCLUDE (_w), {start} AS window_start, {end} AS window_end FROM ({opened})"


def windows(call: WindowCall, time: str, kind: str) -> tuple[str, str, str]:
    """Of HOP and CUMULATE: the list that tells a row's windows apart, and start and end made of its element `_w`."""
    step, size = call.sizes
    at = f"CAST({time} AS TIMESTAMP)" if kind == "DATE" else time
    kind = "TIMESTAMP" if kind == "DATE" else kind
    near = bucket(at, step, kind, call.shift)
    if call.function == "hop":
        before = bucket(f"({at} - {size})", step, kind, call.shift)
        return f"generate_series({before} + {step}, {near}, {step})", "_w", f"_w + {size}"
    whole = bucket(at, size, kind, call.shift)
    return f"generate_series({near} + {step}, {whole} + {size}, {step})", whole, "_w"


def _part(call: WindowCall, *more: str) -> str:
    keys = [*(quote(k) for k in call.keys), *more]
    return f"PARTITION BY {', '.join(keys)} " if keys else ""


def _session(call: WindowCall, source: str) -> str:
    t, gap = quote(call.time_column), call.sizes[0]
    kind = call.shown[1][-1]
    fresh = f"SELECT *, CASE WHEN lag({t}) OVER ({_part(call)}ORDER BY {t}) + {gap} < {t} THEN 1 ELSE 0 END AS _f FROM {source}"
    numbered = f"SELECT *, sum(_f) OVER ({_part(call)}ORDER BY {t}) AS _s FROM ({fresh})"
    over = f"({_part(call, '_s')})"
    return (
        f"SELECT * EXCLUDE (_f, _s), CAST(min({t}) OVER {over} AS {kind}) AS window_start, "
        f"CAST(max({t}) OVER {over} + {gap} AS {kind}) AS window_end FROM ({numbered})"
    )


def _rows(call: WindowCall, source: str) -> str:
    slide, size = call.sizes[0], call.sizes[-1]
    numbered = f"SELECT *, row_number() OVER ({_part(call)}ORDER BY _n) - 1 AS _r FROM (SELECT *, row_number() OVER () AS _n FROM {source})"
    first = f"(floor((_r - {size}) / {slide})::BIGINT + 1) * {slide}"
    opened = f"SELECT *, unnest(range({first}, _r + 1, {slide})) AS _w FROM ({numbered})"
    return f"SELECT * EXCLUDE (_n, _r, _w), _w AS window_start, _w + {size} AS window_end FROM ({opened})"


def _latest(call: WindowCall, source: str) -> str:
    if call.keys:
        numbered = f"SELECT *, row_number() OVER () AS _n FROM {source}"
        return f"SELECT * EXCLUDE (_n) FROM ({numbered}) QUALIFY row_number() OVER ({_part(call)}ORDER BY _n DESC) = 1"
    images = f"SELECT after AS _row, 1 AS _w FROM {source} WHERE after IS NOT NULL UNION ALL SELECT before, -1 FROM {source} WHERE before IS NOT NULL"
    net = f"SELECT _row, sum(_w) AS _n FROM ({images}) GROUP BY _row HAVING sum(_w) > 0"
    return f"SELECT unnest(_row) FROM (SELECT _row, unnest(range(_n::BIGINT)) FROM ({net}))"
