"""Calls of DuckDB's own functions, found by asking DuckDB which of them run over sample rows."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

import duckdb

# column -> type and the values of three rows; a fourth holds NULLs
COLUMNS = {
    "vc": ("VARCHAR", "'a,b'", "'Abc'", "'2026-01-02'"), "bo": ("BOOLEAN", "true", "false", "true"),
    "ti": ("TINYINT", "1", "2", "3"), "si": ("SMALLINT", "2", "1", "5"), "i": ("INTEGER", "1", "2", "3"),
    "bi": ("BIGINT", "3", "2", "1"), "hi": ("HUGEINT", "1", "4", "2"), "ut": ("UTINYINT", "1", "2", "3"),
    "us": ("USMALLINT", "1", "2", "3"), "ui": ("UINTEGER", "1", "2", "3"), "ub": ("UBIGINT", "1", "2", "3"),
    "uh": ("UHUGEINT", "1", "2", "3"), "f": ("FLOAT", "0.5", "0.25", "1"), "d": ("DOUBLE", "0.5", "0.25", "1"),
    "de": ("DECIMAL(9, 2)", "1.5", "2.25", "3"), "da": ("DATE", "'2026-01-02'", "'1999-12-31'", "'2024-02-29'"),
    "tm": ("TIME", "'10:11:12'", "'00:00:00'", "'23:59:59'"),
    "ts": ("TIMESTAMP", "'2026-01-02 10:11:12.123456'", "'1999-12-31 23:59:59'", "'2024-02-29 00:00:00'"),
    "tz": ("TIMESTAMP WITH TIME ZONE", "'2026-01-02 10:11:12+00'", "'1999-12-31 23:59:59+00'", "'2024-02-29 00:00:00+00'"),
    "iv": ("INTERVAL", "'1 day'", "'2 days'", "'3 days'"), "bl": ("BLOB", "'ab'", "'c'", "''"),
    "uu": ("UUID", "'00000000-0000-4000-8000-000000000001'", "'00000000-0000-4000-8000-000000000002'", "'01890000-0000-7000-8000-000000000003'"),
    "js": ("JSON", "'{\"a\": 1}'", "'[1, 2]'", "'\"x\"'"), "li": ("INTEGER[]", "[1, 2, 3]", "[2]", "[3, 1]"),
    "lv": ("VARCHAR[]", "['a', 'b']", "['b']", "['c']"), "lb": ("BOOLEAN[]", "[true, false, true]", "[true]", "[false, true]"),
    "ld": ("DOUBLE[]", "[1, 2, 3]", "[1, 2, 4]", "[2, 0, 1]"), "ll": ("INTEGER[][]", "[[1], [2, 3]]", "[[4]]", "[[5], []]"),
    "mp": ("MAP(VARCHAR, INTEGER)", "MAP {'a': 1}", "MAP {'b': 2, 'a': 3}", "MAP {}"),
    "st": ("STRUCT(a INTEGER, b VARCHAR)", "{'a': 1, 'b': 'x'}", "{'a': 2, 'b': 'y'}", "{'a': 3, 'b': NULL}"),
    "fa": ("FLOAT[3]", "[1, 2, 3]", "[1, 0, 1]", "[2, 2, 2]"), "dd": ("DOUBLE[3]", "[1, 2, 3]", "[1, 0, 1]", "[2, 2, 2]"),
}  # fmt: skip
_WORDS = ("'a'", "'year'", "'%Y-%m-%d'", "'UTC'", "'$'", "'INTEGER'", "'sum'")
_GIVEN = {
    "VARCHAR": ("vc", *_WORDS), "ANY": ("i", "vc", "'a'"), "T": ("i", "1"), "K": ("'a'",), "V": ("1",), "T[]": ("li",), "ANY[]": ("li", "lv"),
    "T[][]": ("ll",), "K[]": ("lv",), "V[]": ("li",), "LIST": ("li",), "BIGINT[]": ("li::BIGINT[]",), "FLOAT[]": ("ld::FLOAT[]",),
    "MAP(K, V)": ("mp",), "STRUCT": ("st",), "TUPLE": ("row(i, vc)",), "TUPLE(K, V)[]": ("[row('a', i)]",), "FLOAT[ANY]": ("fa",),
    "DOUBLE[ANY]": ("dd",), "BIT": ("i::BIT",), "BIGNUM": ("i::BIGNUM",), "VARIANT": ("i::VARIANT", "li::VARIANT", "st::VARIANT"),
    "UNION": ("union_value(k := i)",), "GEOMETRY": ("'POINT(1 2)'::GEOMETRY", "'LINESTRING(1 2, 3 4)'::GEOMETRY"), "DECIMAL": ("de",),
    "TIME WITH TIME ZONE": ("tm::TIMETZ",), "TIMESTAMPTZ_NS": ("tz::TIMESTAMPTZ_NS",), "TIME_NS": ("tm::TIME_NS",),
    "TIMESTAMP_NS": ("ts::TIMESTAMP_NS",), "TIMESTAMP_S": ("ts::TIMESTAMP_S",), "TIMESTAMP_MS": ("ts::TIMESTAMP_MS",),
    "LAMBDA": ("lambda e: e > 1", "lambda p, q: p + q"), 'STRUCT("year" BIGINT, "month" BIGINT, "day" BIGINT)': ("{'year': 2026, 'month': 1, 'day': bi}",),
    "INTEGER": ("i", "1"), "BIGINT": ("bi", "1"), "DOUBLE": ("d", "0.5"), "TIMESTAMP": ("ts",), "INTERVAL": ("iv", "INTERVAL 1 DAY"),
}  # fmt: skip
_OF_MACRO = ("i", "li", "'a'", "da", "mp", "lv", "lb")  # macros do not say what they take
_TRIES = 80
# Calls that are not to be guessed.
CALLS = {
    "__between": "i BETWEEN 1 AND 2", "__cast": "i::VARCHAR",
    "aggregate": "aggregate(li, 'sum')", "array_aggr": "array_aggr(li, 'sum')", "array_aggregate": "array_aggregate(li, 'max')",
    "list_aggr": "list_aggr(li, 'sum')", "list_aggregate": "list_aggregate(li, 'min')", "array_to_json": "array_to_json(li)", "array_zip": "array_zip(li, lv)",
    "list_zip": "list_zip(li, lv)", "bitstring": "bitstring('101', 8)::VARCHAR", "cardinality": "cardinality(mp)", "create_sort_key": "create_sort_key(i, 'ASC NULLS LAST')",
    "enum_code": "enum_code('a'::ENUM('a', 'b'))", "enum_first": "enum_first(NULL::ENUM('a', 'b'))", "enum_last": "enum_last(NULL::ENUM('a', 'b'))",
    "enum_range": "enum_range(NULL::ENUM('a', 'b'))", "enum_range_boundary": "enum_range_boundary('a'::ENUM('a', 'b'), NULL)",
    "from_binary": "from_binary('0101')", "unbin": "unbin('0101')", "from_json": "from_json(js, '\"JSON\"')", "from_json_strict": "from_json_strict(js, '\"JSON\"')",
    "json_transform": "json_transform(js, '\"JSON\"')", "json_transform_strict": "json_transform_strict(js, '\"JSON\"')", "json_object": "json_object('k', i)",
    "json_serialize_sql": "json_serialize_sql('SELECT 1')", "json_deserialize_sql": "json_deserialize_sql(json_serialize_sql('SELECT 1'))",
    "map_concat": "map_concat(mp, MAP {'z': 1})", "parse_formatted_bytes": "parse_formatted_bytes('1 KB')", "position": "position('b' IN vc)",
    "row_to_json": "row_to_json(st)", "struct_concat": "struct_concat(st, {'c': 1})", "struct_insert": "struct_insert(st, c := 1)", "struct_keys": "struct_keys(st)",
    "struct_update": "struct_update(st, a := 5)", "union_extract": "union_extract(union_value(k := i), 'k')", "union_value": "union_value(k := i)::VARCHAR",
    "uuid_extract_timestamp": "uuid_extract_timestamp('01890000-0000-7000-8000-000000000003'::UUID)", "to_base": "to_base(bi, 2, 8)",
    "st_geomfromwkb": "st_geomfromwkb(st_aswkb('POINT(1 2)'::GEOMETRY))::VARCHAR", "remap_struct": "remap_struct(st, NULL::STRUCT(x INTEGER), {'x': 'a'}, NULL)",
    "current_schemas": "current_schemas(true)", "ago": "ago(INTERVAL 1 DAY) IS NULL", "assert_true": "assert_true(true)", "switch": "switch(i, MAP {1: 'a'}, 'b')",
    "st_geomfromgeojson": "st_geomfromgeojson('{\"type\":\"Point\",\"coordinates\":[1,2]}')::VARCHAR",
    "vertex_extract": "vertex_extract('POINT(1 2)'::GEOMETRY, 'x')",
    "generate_subscripts": "generate_subscripts(li, 1)", "map_contains_entry": "map_contains_entry(mp, 'a', 1)", "split_part": "split_part(vc, ',', 1)",
    "date_add": "date_add(da, iv)", "+": "i + d", "-": "d - i", "|": "i | 4", "&": "i & 3", "<<": "i << 2", ">>": "bi >> 1",
}  # fmt: skip
_CLOCK = "tells the time, which is fixed for each epoch"
_SESSION = "tells of the connection, not of a row"
_VOLATILE = "answers differently each time"
AGGREGATES = {  # calls of aggregates that are not to be guessed
    "lttb": "lttb(d, d, 2)",
    "approx_quantile": "approx_quantile(i, 0.5)",
    "histogram_exact": "histogram_exact(i, [1, 2])",
    "variant_group_object": "variant_group_object(id::VARCHAR, i::VARIANT)",
}
MACROS = (  # calls of macros that aggregate
    "geomean(i)",
    "geometric_mean(d)",
    "weighted_avg(i, d)",
    "wavg(d, i)",
    "json_group_array(i)",
    "json_group_object(id, vc)",
    "json_group_structure(i)",
)
# Functions without a comparison, and why.
LEFT_OUT = {
    **dict.fromkeys(("current_date", "current_localtime", "current_localtimestamp", "get_current_time", "get_current_timestamp", "now", "today",
                     "transaction_timestamp", "pg_conf_load_time", "pg_postmaster_start_time"), _CLOCK),
    **dict.fromkeys(("current_connection_id", "current_query", "current_query_id", "current_setting", "current_transaction_id", "txid_current",
                     "getvariable", "in_search_path", "get_block_size", "json_serialize_plan", "parse_duckdb_log_message", "write_log",
                     "has_table_privilege"), _SESSION),
    **dict.fromkeys(("random", "uuid", "uuidv4", "uuidv7", "gen_random_uuid", "setseed", "stats", "vector_type", "pg_sleep", "sleep_ms"), _VOLATILE),
    **dict.fromkeys(("nextval", "currval", "setval"), "there are no sequences in a stream"),
    **dict.fromkeys(("error",), "fails by intention: the row is an error row"),
    **dict.fromkeys(("combine", "combine_aggr", "finalize", "to_aggregate_state", "index_key", "variant_bytes_to_variant", "get_type", "make_type"),
                    "of DuckDB's inside: no value that a row may hold"),
}  # fmt: skip
# Functions that the language does not take: a call, and what to write instead.
REFUSED = {
    "!__postfix": ("(i !)", "factorial(i)"), "<=>": ("ld <=> ld", "list_cosine_distance(a, b)"),
    "apply": ("apply(li, lambda e: e > 1)", "list_apply(l, f)"),
    "reservoir_quantile": ("reservoir_quantile(i, 0.5)", "quantile_cont(i, 0.5)"),
    "bitstring_agg": ("bitstring_agg(i, 0, 9)::VARCHAR", "list(DISTINCT i ORDER BY i)"),
    "variant_group_array": ("variant_group_array(i)::VARCHAR", "list(i)"),
}  # fmt: skip
INTERNAL = "__internal"
_PLAIN = re.compile(r"[a-zA-Z_][a-zA-Z_0-9]*")


@dataclass(frozen=True)
class Function:
    """One overload."""

    name: str
    kind: str
    types: tuple[str, ...]
    varargs: str | None


def functions(con: duckdb.DuckDBPyConnection, *kinds: str) -> list[Function]:
    rows = con.execute(
        "SELECT function_name, function_type, coalesce(parameter_types, []), parameters, varargs FROM duckdb_functions() "
        f"WHERE function_type IN ({', '.join(repr(k) for k in kinds)}) ORDER BY ALL"
    ).fetchall()
    return [Function(n, k, tuple(t or "MACRO" for t in types), v) for n, k, types, _, v in rows]


def sample(con: duckdb.DuckDBPyConnection, name: str) -> None:
    """A table of the sample rows."""
    declared = ", ".join(f"{n} {kind}" for n, (kind, *_) in COLUMNS.items())
    con.execute(f"CREATE OR REPLACE TABLE {name} (id INTEGER, {declared})")
    for row in range(3):
        values = ", ".join(v[row + 1] for v in COLUMNS.values())
        con.execute(f"INSERT INTO {name} VALUES ({row}, {values})")
    con.execute(f"INSERT INTO {name} (id) VALUES (3)")


def chosen(con: duckdb.DuckDBPyConnection, *kinds: str) -> dict[str, str]:
    """A call of each function that is to be run."""
    found: dict[str, str] = {}
    for f in functions(con, *kinds):
        if (
            f.name.startswith(INTERNAL)
            or f.name in LEFT_OUT
            or f.name in REFUSED
            or f.name in found
        ):
            continue
        call = CALLS.get(f.name) or call_of(con, f)
        if call is not None:
            found[f.name] = call
    return found


def call_of(
    con: duckdb.DuckDBPyConnection, f: Function, form: str = "SELECT {} FROM sample"
) -> str | None:
    """A call of the function that DuckDB runs over the sample, or None."""
    for arguments in itertools.islice(_arguments(f), _TRIES):
        call = _written(f.name, arguments)
        try:
            con.execute(form.format(call)).fetchall()
        except duckdb.Error:
            continue
        return call
    return None


def _arguments(f: Function) -> Iterator[tuple[str, ...]]:
    types = [*f.types, *([f.varargs] if f.varargs else [])]
    choices = [_choices(t) for t in types]
    yield from itertools.product(*choices)


def _choices(kind: str) -> tuple[str, ...]:
    if kind == "MACRO":
        return _OF_MACRO
    if kind in _GIVEN:
        return _GIVEN[kind]
    return tuple(n for n, (k, *_) in COLUMNS.items() if k == kind) or ("i",)


def _written(name: str, arguments: tuple[str, ...]) -> str:
    if _PLAIN.fullmatch(name):
        return f"{name}({', '.join(arguments)})"
    if len(arguments) == 1:
        return f"({name} {arguments[0]})"
    return f" {name} ".join(f"({a})" for a in arguments)
