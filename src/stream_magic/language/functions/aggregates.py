"""DuckDB's own macros of aggregates, in its words: so the planner sees the aggregates in them.

With OVER a macro is one call to DuckDB, and stays as it is.
"""

from __future__ import annotations

from stream_magic.contracts.macro import Macro

_GEOMEAN = "exp(avg(ln(x)))"
_WEIGHTED = "sum(x * weight) / sum(CASE WHEN x IS NOT NULL THEN weight ELSE 0 END)"
_ELEMENT = "CASE WHEN x IS NULL THEN CAST('null' AS JSON) ELSE to_json(x) END"
_ARRAY = f"CAST('[' || string_agg({_ELEMENT}, ',') || ']' AS JSON)"
_KEY = "CASE WHEN key IS NULL THEN error('json_group_object key cannot be NULL') ELSE to_json(CAST(key AS VARCHAR)) END"
_OBJECT = f"CAST('{{' || string_agg({_KEY} || ':' || {_ELEMENT}, ',') || '}}' AS JSON)"

MACROS = (
    Macro("geomean(x)", _GEOMEAN, "the geometric mean"),
    Macro("geometric_mean(x)", _GEOMEAN, "the geometric mean"),
    Macro("weighted_avg(x, weight)", _WEIGHTED, "the average of x, each weighed"),
    Macro("wavg(x, weight)", _WEIGHTED, "the average of x, each weighed"),
    Macro("json_group_array(x)", _ARRAY, "a JSON array of all x, by arrival"),
    Macro("json_group_object(key, x)", _OBJECT, "a JSON object of all keys, by arrival"),
    Macro("json_group_structure(x)", f"json_structure({_ARRAY}) -> 0", "the structure of all x"),
)
