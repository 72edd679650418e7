"""Printing a statement and reading it again gives the same statement."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from stream_magic.errors import CellError, Span
from stream_magic.language.parser import parse, parse_query, render
from stream_magic.language.statements import (
    ColumnDef,
    CreateCache,
    CreateSecret,
    CreateSource,
    CreateStream,
    CreateTable,
    CreateTarget,
    Describe,
    Drop,
    Explain,
    FormatClause,
    Name,
    OptionLiteral,
    Query,
    SetOption,
    Show,
    Watermark,
)

NOWHERE = Span("", 0, 0)
RULES = settings(
    deadline=None, derandomize=True, max_examples=150, suppress_health_check=[HealthCheck.too_slow]
)

letters = st.sampled_from("abcXYZ_019 -\"'ü😀%;(").filter(bool)
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12)
name_texts = st.one_of(
    st.sampled_from(
        ["orders", "select", "Order", "key", "format", "emit", "source", "größe", "if", "connector"]
    ),
    st.text(letters, min_size=1, max_size=6).map(lambda t: f"n{t}"),
)
names = st.builds(Name, name_texts, st.just(NOWHERE))
paths = st.builds(
    lambda parts: Name(".".join(parts), NOWHERE),
    st.lists(name_texts, min_size=1, max_size=2),
)
plugins = st.builds(Name, st.sampled_from(["json", "mysql-cdc", "my csv"]), st.just(NOWHERE))
values = st.one_of(
    st.tuples(st.just("string"), texts),
    st.tuples(st.just("secret"), texts),
    st.tuples(st.just("boolean"), st.booleans()),
    st.tuples(st.just("number"), st.integers(-(2**70), 2**70)),
    st.tuples(st.just("number"), st.floats(allow_nan=False, allow_infinity=False)),
)
options = st.builds(lambda n, v: OptionLiteral(n, v[0], v[1], NOWHERE), paths, values)
option_lists = st.lists(options, min_size=1, max_size=3, unique_by=lambda o: o.name.key).map(tuple)
formats = st.one_of(
    st.none(), st.builds(FormatClause, plugins, st.one_of(st.just(()), option_lists))
)
types = st.recursive(
    st.sampled_from(
        ["INT", "DECIMAL(30, 10)", "TIMESTAMP WITH TIME ZONE", "DOUBLE PRECISION", "ENUM('a', 'b')"]
    ),
    lambda inner: st.one_of(
        inner.map(lambda t: f"{t}[]"),
        inner.map(lambda t: f"{t}[3]"),
        st.tuples(inner, inner).map(lambda t: f"MAP({t[0]}, {t[1]})"),
        st.tuples(inner, inner).map(lambda t: f'STRUCT(a {t[0]}, "b c" {t[1]})'),
    ),
    max_leaves=4,
)
columns = st.builds(ColumnDef, names, types, st.just(NOWHERE))
watermarks = st.one_of(
    st.none(),
    st.builds(
        Watermark,
        names,
        st.sampled_from(["", "INTERVAL 5 SECONDS", "INTERVAL '1 minute'", "INTERVAL '5' MINUTE"]),
        st.just(NOWHERE),
    ),
)
selects = st.sampled_from(
    [
        "SELECT 1 AS a",
        "SELECT o.after.x, '😀' AS \"M m\" FROM orders AS o",
        "SELECT window_end, sum(x) AS s FROM TUMBLE(s, ts, INTERVAL 10 SECONDS) GROUP BY ALL",
        "SELECT * FROM latest(a, k) AS l LEFT JOIN p ON p.k = l.k ORDER BY 1 LIMIT 3",
        "(SELECT 1 AS a) UNION ALL FROM x",
    ]
)
queries = st.builds(
    lambda text, emit: Query(NOWHERE, parse_query(text).ast, emit),
    selects,
    st.sampled_from([None, "changes", "close"]),
)
heads = {"name": names, "or_replace": st.booleans(), "if_not_exists": st.booleans()}
some_names = st.lists(names, min_size=1, max_size=2).map(tuple)
statements = st.one_of(
    st.builds(
        CreateSource, span=st.just(NOWHERE), **heads, options=option_lists, format=formats,
        columns=st.lists(columns, max_size=3, unique_by=lambda c: c.name.key).map(tuple),
        watermark=watermarks, primary_key=st.one_of(st.just(()), some_names),
    ),
    st.builds(
        CreateStream, span=st.just(NOWHERE), **heads, query=queries,
        options=st.one_of(st.just(()), option_lists), is_persistent=st.booleans(),
    ),
    st.builds(CreateTable, span=st.just(NOWHERE), **heads, query=queries),
    st.builds(
        CreateCache, span=st.just(NOWHERE), **heads, key=some_names, options=option_lists,
        format=formats,
    ),
    st.builds(
        CreateTarget, span=st.just(NOWHERE), **heads, source=paths, options=option_lists,
        format=formats,
    ),
    st.builds(CreateSecret, span=st.just(NOWHERE), **heads, options=option_lists),
    st.builds(lambda o: SetOption(name=o.name, value=o, span=NOWHERE), options),
    st.builds(
        Drop, span=st.just(NOWHERE), kind=st.sampled_from([None, "stream", "secret"]), name=paths,
        if_exists=st.booleans(),
    ),
    st.builds(Show, span=st.just(NOWHERE), what=st.sampled_from(["all", "streams", "errors"])),
    st.builds(Describe, span=st.just(NOWHERE), name=paths),
    st.builds(
        Describe, span=st.just(NOWHERE), what=st.sampled_from(["connector", "format"]), name=plugins
    ),
    st.builds(
        Explain, span=st.just(NOWHERE), query=st.none(), name=paths, is_analyze=st.booleans()
    ),
    st.builds(Explain, span=st.just(NOWHERE), query=queries, is_analyze=st.booleans()),
)  # fmt: skip


@RULES
@given(statements)
def test_printed_statement_reads_back_equal(statement: object) -> None:
    assert parse(render(statement)) == [statement]


@RULES
@given(st.lists(statements, max_size=4))
def test_printed_cell_reads_back_equal(found: list[object]) -> None:
    assert parse(";\n".join(render(s) for s in found)) == found


words = st.sampled_from(
    [
        "CREATE",
        "SOURCE",
        "STREAM",
        "TARGET",
        "CACHE",
        "a",
        "orders",
        "WITH",
        "(",
        ")",
        ",",
        "=",
        "'x'",
        '"y"',
        "5",
        ";",
        "AS",
        "SELECT",
        "FROM",
        "WHERE",
        "*",
        "GROUP",
        "BY",
        "EMIT",
        "CHANGES",
        "ON",
        "JOIN",
        "FORMAT",
        "json",
        "KEY",
        "WATERMARK",
        "FOR",
        "-",
        "INTERVAL",
        ".",
        "secret",
        "[",
        "]",
        "{",
        "}",
        "CASE",
        "'",
        '"',
        "/*",
        "--",
        "\n",
        "$$",
        "::",
        "😀",
        "SET",
        "DROP",
        "SHOW",
        "EXPLAIN",
        "DESCRIBE",
        "UNION",
        "VALUES",
        "PIVOT",
        "TABLE",
        "IN",
        "NOT",
    ]
)


@settings(RULES, max_examples=600)
@given(st.lists(words, max_size=14))
def test_any_cell_is_read_or_explained_within_the_cell(parts: list[str]) -> None:
    text = " ".join(parts)
    try:
        parse(text)
    except CellError as caught:
        for error in caught.errors:
            assert error.span is not None
            assert error.span.text == text
            assert 0 <= error.span.start <= error.span.end <= len(text)
            assert str(error)
