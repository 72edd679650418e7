from __future__ import annotations

import subprocess
import sys

import duckdb
import pytest
from sqlglot import exp

from stream_magic.errors import CellError, PlanError, Span
from stream_magic.language.parser import parse, parse_query, render
from stream_magic.language.parser.columns import TYPES
from stream_magic.language.parser.words import RESERVED
from stream_magic.language.spans import name_span_of, span_of
from stream_magic.language.statements import CreateSource, CreateStream, Select

CELL = """-- 😀 first
CREATE SOURCE "Ördérs" WITH (connector = 'memory');  /* ; */
\tCREATE STREAM totals AS
\tSELECT '😀' AS mood, o.after.amount, sum(o.x)::INT AS total, "Q b"
\tFROM TUMBLE(orders, ts, INTERVAL 10 SECONDS) o WHERE a IN (1, 2)
\tEMIT CHANGES;
"""


def stream(text: str = CELL) -> CreateStream:
    found = parse(text)[-1]
    assert isinstance(found, CreateStream)
    return found


@pytest.mark.parametrize("text", ["", "  \n\t", ";", ";;;", "-- nothing", "/* nothing */ ;"])
def test_empty_cell_has_no_statements(text: str) -> None:
    assert parse(text) == []


def test_statement_span_covers_the_statement_without_its_semicolon() -> None:
    fragments = [s.span.fragment for s in parse(CELL)]
    assert fragments[0] == """CREATE SOURCE "Ördérs" WITH (connector = 'memory')"""
    assert fragments[1].startswith("CREATE STREAM totals AS\n")
    assert fragments[1].endswith("EMIT CHANGES")


def test_query_span_leaves_out_the_emit_clause() -> None:
    query = stream().query
    assert query.span.fragment.startswith("SELECT '😀'")
    assert query.span.fragment.endswith("IN (1, 2)")
    assert query.emit == "changes"
    assert query.emit_span is not None
    assert query.emit_span.fragment == "EMIT CHANGES"


@pytest.mark.parametrize(
    ("kind", "fragments"),
    [
        (exp.Cast, ["sum(o.x)::INT"]),
        (exp.Sum, ["sum(o.x)"]),
        (exp.In, ["a IN (1, 2)"]),
        (exp.Literal, ["'😀'", "1", "2"]),
        (exp.Alias, ["'😀' AS mood", "sum(o.x)::INT AS total"]),
        (exp.Anonymous, ["TUMBLE(orders, ts, INTERVAL 10 SECONDS)"]),
        (exp.Interval, ["INTERVAL 10 SECONDS"]),
        (exp.DataType, ["INT"]),
        (exp.Table, ["TUMBLE(orders, ts, INTERVAL 10 SECONDS) o"]),
    ],
)
def test_expression_has_its_place_in_the_cell(kind: type[exp.Expr], fragments: list[str]) -> None:
    found = {span_of(n, CELL).fragment for n in stream().query.ast.find_all(kind)}
    assert set(fragments) <= found


def test_every_node_of_a_select_has_a_place_inside_it() -> None:
    query = stream().query
    for node in query.ast.walk():
        place = span_of(node, CELL)
        assert query.span.start <= place.start < place.end <= query.span.end


def test_node_made_by_a_rewrite_takes_the_place_of_what_it_was_made_from() -> None:
    column = next(iter(stream().query.ast.find_all(exp.Sum))).this
    made = exp.Coalesce(this=column.copy(), expressions=[exp.Literal.number(0)])
    assert span_of(made, CELL).fragment == "o.x"
    assert span_of(exp.Literal.number(1), CELL) == Span(CELL, 0, len(CELL))


def test_function_name_has_a_place_of_its_own() -> None:
    [total] = stream().query.ast.find_all(exp.Sum)
    assert name_span_of(total, CELL).fragment == "sum"


def test_cell_reports_every_statement_in_order() -> None:
    with pytest.raises(CellError) as caught:
        parse("SHOW STREMS;\nSHOW TABLES;\nDROP;\nCREATE STREAM x AS SELECT 1 +")
    assert [e.span.line for e in caught.value.errors if e.span] == [1, 3, 4]


def test_caret_counts_in_the_whole_cell_behind_emoji_tabs_and_comments() -> None:
    text = "-- 😀;\nSHOW STREAMS; /* ü */\tSHOW '😀'"
    with pytest.raises(CellError) as caught:
        parse(text)
    span = caught.value.errors[0].span
    assert span is not None
    assert (span.line, span.column, span.fragment) == (2, 28, "'😀'")


def test_invisible_character_in_a_name_is_named() -> None:
    with pytest.raises(CellError, match=r"invisible character here \(U\+200B\)"):
        parse("DROP or\u200bders")


def test_query_nested_too_deeply_is_an_error_not_a_crash() -> None:
    with pytest.raises(CellError, match="nested too deeply"):
        parse_query("SELECT " + "(" * 400 + "1" + ")" * 400)


def test_bare_select_is_given_to_those_who_ask() -> None:
    [select] = parse("SELECT 1 AS a;", allow_select=True)
    assert isinstance(select, Select)
    assert select.span.fragment == "SELECT 1 AS a"


def test_what_comes_later_is_a_plan_error() -> None:
    with pytest.raises(CellError) as caught:
        parse("CREATE ALERT a FROM b WITH (connector = 'email')")
    assert isinstance(caught.value.errors[0], PlanError)


def test_parse_query_takes_one_select_with_emit_and_semicolon() -> None:
    query = parse_query("\n  SELECT a FROM b ORDER BY a LIMIT 1 emit on window close ; -- end\n")
    assert query.emit == "close"
    assert query.span.fragment == "SELECT a FROM b ORDER BY a LIMIT 1"


def test_fingerprint_ignores_layout_comments_and_case_of_keywords() -> None:
    one = "create source s (id int, t timestamp) with (connector = 'memory', n=5) format json"
    two = """CREATE SOURCE s -- the orders
      (id INT, t TIMESTAMP) /* FORMAT first */ FORMAT json
      WITH (connector='memory',
            n = 5)"""
    assert render(parse(one)[0]) == render(parse(two)[0])
    assert parse(one) == parse(two)


def test_fingerprint_of_a_query_ignores_its_layout() -> None:
    one = "CREATE STREAM s AS SELECT id, Sum(x) AS t FROM o GROUP BY id"
    two = "create stream s as\n select id, SUM(x) t -- total\n from o group by id;"
    assert render(parse(one)[0]) == render(parse(two)[0])


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("SELECT a FROM o", "SELECT A FROM o"),
        ("SELECT 'a' AS x FROM o", "SELECT 'A' AS x FROM o"),
        ("SELECT a FROM o", "SELECT a FROM o EMIT ON WINDOW CLOSE"),
        ("SELECT a FROM TUMBLE(o, t, INTERVAL 1 MINUTE)", "SELECT a FROM TUMBLE(o, t, INTERVAL 2 MINUTE)"),
        ("SELECT a FROM o JOIN p ON o.a = p.a", "SELECT a FROM o LEFT JOIN p ON o.a = p.a"),
    ],
)  # fmt: skip
def test_fingerprint_tells_different_queries_apart(one: str, two: str) -> None:
    prints = {render(parse(f"CREATE STREAM s AS {q}")[0]) for q in (one, two)}
    assert len(prints) == 2


def test_secret_is_printed_as_its_name() -> None:
    [source] = parse("CREATE SOURCE s WITH (connector = 'k', password = secret('it''s'))")
    assert render(source).endswith("password = secret('it''s'))")
    assert isinstance(source, CreateSource)
    assert source.options[1].value == "it's"


VALID = [
    "SELECT DISTINCT ON (a) a, b FROM o ORDER BY a, b",
    "SELECT a, FROM o",
    "FROM o",
    "FROM o SELECT a WHERE a > 1",
    "(SELECT 1 AS a) UNION ALL (SELECT 2) ORDER BY a",
    "SELECT a FROM o UNION BY NAME SELECT b FROM p",
    "VALUES (1, 'a'), (2, 'b')",
    "WITH x AS (SELECT 1 AS a), y AS (FROM x) SELECT * FROM y",
    "SELECT * EXCLUDE (a) REPLACE (b + 1 AS b) FROM o",
    "SELECT COLUMNS('a.*') FROM o",
    "SELECT o.after.amount, o.tags[1], o.m['k'], o.tags[1:2] FROM o",
    "SELECT {'a': 1, 'b': [1, 2]}.a, MAP {'k': 1}, [x * 2 FOR x IN [1, 2] IF x > 1]",
    "SELECT list_transform(l, x -> x + 1), list_transform(l, lambda x: x + 1) FROM o",
    "SELECT j->'a'->>'b', j->>'$.a' FROM o",
    "SELECT a IS DISTINCT FROM b, a IS NOT NULL, a NOT IN (1, 2), NOT a FROM o",
    "SELECT CASE WHEN a THEN 1 ELSE 2 END, CASE a WHEN 1 THEN 2 END FROM o",
    "SELECT count(*) FILTER (WHERE a > 1), count(DISTINCT a), sum(a ORDER BY b) FROM o",
    "SELECT row_number() OVER (PARTITION BY a ORDER BY b ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM o",
    "SELECT sum(a) OVER w FROM o WINDOW w AS (ORDER BY b) QUALIFY row_number() OVER w = 1",
    "SELECT a FROM o ASOF JOIN p ON o.a = p.a AND o.t >= p.t",
    "SELECT a FROM o SEMI JOIN p USING (a)",
    "SELECT a FROM o, LATERAL (SELECT o.a + 1 AS b) x",
    "SELECT a, count(*) FROM o GROUP BY ALL HAVING count(*) > 1 ORDER BY ALL LIMIT 10 OFFSET 2",
    "SELECT a FROM o GROUP BY GROUPING SETS ((a), ())",
    "SELECT unnest(tags) AS tag FROM o",
    "SELECT a::DECIMAL(30, 10), CAST(b AS TIMESTAMP), TRY_CAST(c AS STRUCT(x INT)) FROM o",
    "SELECT INTERVAL 5 MINUTES, INTERVAL '5 minutes', DATE '2024-01-01', TIMESTAMP '2024-01-01 00:00:00'",
    "SELECT extract(hour FROM ts), date_trunc('hour', ts), ts AT TIME ZONE 'UTC' FROM o",
    "SELECT a AS limit, b AS order, c AS join FROM o",
    "SELECT a LIKE 'x%', a ILIKE 'y', a SIMILAR TO 'z', a ~ 'w', a BETWEEN 1 AND 2 FROM o",
    "SELECT EXISTS (SELECT 1 FROM p WHERE p.a = o.a), (SELECT max(a) FROM p) FROM o",
    "SELECT * FROM o USING SAMPLE 10%",
    "SELECT * FROM (PIVOT o ON a USING sum(b))",
    "SELECT 'it''s', E'a\\n', $$x 'y'$$, 1_000, 1e5, .5, -1, 0.5 // 2, 5 % 2, 2 ** 3",
    "SELECT first(a ORDER BY b), arg_max(a, b), string_agg(a, ','), quantile_cont(a, 0.5) FROM o",
    "SELECT strftime(ts, '%Y'), now(), random(), coalesce(a, b), nullif(a, b), if(a, b, c) FROM o",
    "SELECT a::VARINT, b::TIME_NS, c::UHUGEINT, d::TIMESTAMPTZ, e::UUID[] FROM o",
    "SELECT emit FROM o",
    "SELECT o.from, o.emit FROM o",
]


@pytest.mark.parametrize("sql", VALID)
def test_duckdb_select_is_accepted(sql: str) -> None:
    query = parse_query(sql)
    for node in query.ast.walk():
        place = span_of(node, sql)
        assert 0 <= place.start < place.end <= len(sql)


@pytest.mark.parametrize("sql", VALID)
def test_printed_query_reads_back_as_itself(sql: str) -> None:
    [statement] = parse(f"CREATE STREAM s AS {sql}")
    once = render(statement)
    assert render(parse(once)[0]) == once


@pytest.mark.parametrize("sql", VALID)
def test_query_in_this_list_is_duckdbs(sql: str) -> None:
    duckdb.extract_statements(sql)


def test_type_names_are_those_of_duckdb() -> None:
    rows = duckdb.execute("SELECT DISTINCT upper(type_name) FROM duckdb_types()").fetchall()
    known = {r[0] for r in rows if " " not in r[0]}
    assert known - {"NULL", "TUPLE", "TYPE"} <= TYPES


def test_reserved_words_are_those_of_duckdb() -> None:
    rows = duckdb.execute(
        "SELECT upper(keyword_name) FROM duckdb_keywords() WHERE keyword_category = 'reserved'"
    ).fetchall()
    assert {r[0] for r in rows} == RESERVED


def test_importing_the_package_does_not_load_sqlglot() -> None:
    code = "import sys, stream_magic; sys.exit('sqlglot' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
