"""Scalar expressions by the family of their result. None of them can fail on the values of `kinds`."""

from __future__ import annotations

import re
from collections.abc import Sequence

from support.grammar.draw import Column, Draw
from support.grammar.kinds import EXACT, LITERALS

_HOLE = re.compile(r"\{(\w+)\}")

SCALARS: dict[str, list[str]] = {
    "integer": [
        "{integer} + 1", "{integer} % 3", "-({integer})", "abs({integer})", "{integer} // 2", "length({text})", "len({list})",
        "({struct}).a", "struct_extract({struct}, 'a')", "coalesce({integer}, 0)", "greatest({integer}, 1)", "least({integer}, {integer})",
        "nullif({integer}, 1)", "if({boolean}, 1, 0)", "CASE WHEN {boolean} THEN 1 WHEN {integer} > 1 THEN {integer} ELSE 0 END",
        "TRY_CAST({text} AS INTEGER)", "extract(year FROM {date})", "{list}[1]", "ascii({text})", "list_sum({list})::BIGINT", "{integer} & 1",
        "xor({integer}, 1)", "sign({real})::INTEGER", "date_diff('day', {date}, DATE '2026-01-01')", "list_position({list}, 2)",
        "{map}['a']", "strlen({text})", "({nested}[1]).a", "{array}[1]", "month({timestamp})", "TRY({integer} // 0)",
        "list_reduce([0, {integer}], lambda x, y: x + y)", "hash({text}) % 3", "{integer}::BIGINT", "instr({text}, 'a')", "{integer} - {integer}",
        "bit_count({integer}::INTEGER)", "dayofweek({date})", "octet_length({blob})", "array_length({list})", "json_array_length({json})::INTEGER",
    ],
    "natural": ["{natural} + 1", "coalesce({natural}, 0)", "length({text})", "abs({natural})"],
    "real": ["{real} * 2", "abs({real})", "round({real}, 1)", "{integer} / 2", "{real} + {integer}", "coalesce({real}, 0.5)", "floor({real})",
             "{natural}::DOUBLE", "sqrt(abs({real}))", "CASE WHEN {boolean} THEN {real} END", "-({real})"],
    "decimal": ["{decimal} + 1", "coalesce({decimal}, 0)", "-({decimal})", "{integer}::DECIMAL(12,3)", "round({decimal}, 1)", "{decimal} * 2"],
    "text": [
        "upper({text})", "{text} || '!'", "coalesce({text}, 'none')", "substring({text}, 1, 1)", "{text}[1:1]", "trim({text})",
        "replace({text}, 'a', 'b')", "regexp_replace({text}, '[ab]', 'z')", "concat({text}, {integer})", "lpad({text}, 3, '*')",
        "CASE WHEN {boolean} THEN 'yes' ELSE {text} END", "({struct}).b", "{integer}::VARCHAR", "{date}::VARCHAR", "strftime({timestamp}, '%Y-%m-%d')",
        "md5({text})", "{enum}::VARCHAR", "nullif({text}, 'a')", "printf('%d', {integer})", "array_to_string({list}, ',')", "{json} ->> '$.a'",
        "reverse({text})", "string_split({text}, 'a')[1]", "lower({text})", "hex({blob})", "typeof({wide})", "dayname({date})",
    ],
    "boolean": [
        "{integer} > 1", "{text} = 'a'", "{text} LIKE 'a%'", "{text} ILIKE '%A%'", "{text} IN ('a', 'b')", "{any} IS NULL", "{any} IS NOT NULL",
        "{integer} BETWEEN 0 AND 2", "NOT ({boolean})", "{boolean} AND {boolean}", "{boolean} OR {boolean}", "{integer} IS DISTINCT FROM {integer}",
        "isnan({float})", "{float} > 0", "list_contains({list}, 1)", "{real} < 1.5", "{decimal} <> 0", "{date} >= DATE '2026-01-01'",
        "{timestamp} < TIMESTAMP '2026-01-01 00:00:30'", "{wide} > 0", "{natural} IN (1, 2, NULL)", "{text} SIMILAR TO '[ab]+'", "{boolean}",
        "regexp_matches({text}, '^a')", "{struct} = {{'a': 1, 'b': 'x'}}", "{enum} = 'x'", "{integer} NOT IN (1, 2)", "starts_with({text}, 'a')",
        "{text} GLOB 'a*'", "{uuid}::VARCHAR > '0'", "{list} = [1]", "{boolean} IS TRUE", "list_has_any({list}, [1, 2])", "{interval} > INTERVAL 1 HOUR",
    ],
    "date": ["{date} + 1", "{timestamp}::DATE", "coalesce({date}, DATE '2000-01-01')", "date_trunc('month', {date})::DATE", "last_day({date})"],
    "timestamp": ["{timestamp} + INTERVAL 1 DAY", "date_trunc('hour', {timestamp})", "{date}::TIMESTAMP", "{timestamptz} AT TIME ZONE 'UTC'",
                  "time_bucket(INTERVAL 1 MINUTE, {timestamp})"],
    "timestamptz": ["{timestamptz} + INTERVAL 1 HOUR", "date_trunc('day', {timestamptz})", "{timestamp} AT TIME ZONE 'UTC'"],
    "interval": ["{timestamp} - TIMESTAMP '2026-01-01'", "to_seconds({integer})", "{interval}"],
    "list": ["[{integer}, 2]", "{list}[1:2]", "list_sort({list})", "list_transform({list}, lambda v: v + 1)", "[v * 2 FOR v IN {list} IF v > 1]",
             "list_distinct({list}).list_sort()", "list_concat({list}, [7])", "list_filter({list}, lambda v: v IS NOT NULL)", "range({natural}::BIGINT)"],
    "struct": ["{{'a': {integer}, 'b': {text}}}", "struct_pack(a := 1, b := {text})"],
    "map": ["MAP {{'a': {integer}}}", "map_from_entries([('a', {integer})])"],
    "json": ["to_json({struct})", "to_json({list})"],
    "blob": ["encode({text})", "{blob} || 'a'::BLOB"],
}  # fmt: skip

# Calls of Python functions, see `python.py`.
PYTHON = {
    "integer": [
        "py_rest(({integer})::BIGINT)",
        "CASE WHEN {boolean} THEN 0 WHEN {boolean} THEN py_rest(({integer})::BIGINT) ELSE {integer} END",
        "coalesce({integer}, py_rest(({integer})::BIGINT))",
        "if({boolean}, {integer}, py_rest(({integer})::BIGINT))",
    ],
    "real": [
        "py_half(({real})::DOUBLE)",
        "py_twice(({real})::DOUBLE)",
        "py_twice(({integer})::DOUBLE)",
    ],
    "text": ["py_text({text}, ({integer})::BIGINT)"],
    "boolean": ["py_long({text})"],
    "list": ["py_list({list}::BIGINT[])"],
}

# What a projection may show: families that an expression can make.
FAMILIES = tuple(f for f in SCALARS if f != "json")


def expression(draw: Draw, columns: Sequence[Column], family: str, depth: int = 2) -> str:
    """An expression of that family: a column, a constant, or a call of others."""
    if family in ("any", "exact"):
        known = [
            c for c in columns if c.family in EXACT or (family == "any" and c.family != "opaque")
        ]
        return draw.one(known).text if known else "1"
    known = [c for c in columns if c.family == family]
    if known and (depth == 0 or draw.chance(0.4) or family not in SCALARS):
        return draw.one(known).text
    templates = SCALARS.get(family)
    if templates is None or depth == 0:
        return draw.one(LITERALS.get(family, (f"NULL::{_TYPES.get(family, 'INTEGER')}",)))
    if draw.has_python and family in PYTHON and draw.chance(0.4):
        templates = PYTHON[family]
        draw.meet("python:scalar")
    template = draw.one([t for t in templates if fits(t, columns)] or templates)
    holes = _HOLE.sub(lambda m: f"({expression(draw, columns, m[1], depth - 1)})", template)
    return holes.replace("{{", "{").replace("}}", "}")


def fits(template: str, columns: Sequence[Column]) -> bool:
    """A column for each hole is there."""
    there = {c.family for c in columns} | {"any", "exact", "boolean", "by", "ties"}
    return all(family.removesuffix("0") in there for family in _HOLE.findall(template))


def condition(draw: Draw, columns: Sequence[Column]) -> str:
    return expression(draw, columns, "boolean", 2)


_TYPES = {
    "blob": "BLOB", "uuid": "UUID", "enum": "ENUM('x', 'y')", "nested": "STRUCT(a INTEGER)[]", "array": "INTEGER[2]",
    "json": "JSON", "time": "TIME",
}  # fmt: skip
