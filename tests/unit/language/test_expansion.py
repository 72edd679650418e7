"""Macros are written out as text; what is no call of one stays as it is."""

from __future__ import annotations

import duckdb
import pytest

from stream_magic.contracts.macro import Macro
from stream_magic.errors import LanguageError, PlanError, Span
from stream_magic.language.expansion import written_out
from stream_magic.language.functions import aggregates, macros, series
from stream_magic.language.parser import parse_query


def plain(text: str) -> str:
    with written_out(parse_query(text)) as query:
        return query.span.fragment


@pytest.mark.parametrize(
    "text",
    [
        "SELECT delta, 'delta(x) OVER ()' AS t FROM rate WHERE ema > 1",
        "SELECT x AS delta FROM s -- delta(x) OVER (ORDER BY ts)",
        "WITH delta(x) AS (SELECT 1) SELECT x FROM delta",
        "SELECT r.rate FROM s AS r(rate)",
    ],
)
def test_what_is_no_call_stays(text: str) -> None:
    assert plain(text) == parse_query(text).span.fragment


@pytest.mark.parametrize(
    ("call", "meaning"),
    [
        ("delta(x) OVER w AS d", "(x - lag(x) OVER w) AS d"),
        ("DELTA(x) over w AS d", "(x - lag(x) OVER w) AS d"),
        ("delta(a - b) OVER (ORDER BY ts) AS d", "((a - b) - lag((a - b)) OVER (ORDER BY ts)) AS d"),
        ("delta(f(a, b)) OVER () AS d", "((f(a, b)) - lag((f(a, b))) OVER ()) AS d"),
        ("delta('a, b)') OVER w AS d", "('a, b)' - lag('a, b)') OVER w) AS d"),
        ("1 + delta(x /* y */) OVER w AS d", "1 + (x - lag(x) OVER w) AS d"),
        ("locf(x) OVER (PARTITION BY k) AS l", "(last_value(x IGNORE NULLS) OVER (PARTITION BY k ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) AS l"),
        ("locf(x) OVER w AS l", "(last_value(x IGNORE NULLS) OVER (w ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)) AS l"),
        ("moving_avg(x, 3) OVER w", '(avg(x) OVER (w ROWS BETWEEN 3 - 1 PRECEDING AND CURRENT ROW)) AS "moving_avg(x, 3) OVER w"'),
    ],
)  # fmt: skip
def test_a_call_becomes_its_meaning(call: str, meaning: str) -> None:
    assert (
        plain(f"SELECT {call} FROM s WINDOW w AS (ORDER BY ts)")
        == f"SELECT {meaning} FROM s WINDOW w AS (ORDER BY ts)"
    )


def test_a_call_inside_another_is_written_out_too() -> None:
    text = plain("SELECT delta(time_weighted_avg(x, ts)) OVER (ORDER BY k) AS d FROM s GROUP BY k")
    assert "time_weighted_avg" not in text
    assert text.count("list_reduce") == 2


def blamed(cell: str, word: str) -> Span:
    """Where an error is led back to that stands at a word of what was written out."""

    def fail() -> None:
        with written_out(parse_query(cell)) as query:
            at = query.span.text.index(word)
            raise PlanError("SM3099", "no", span=Span(query.span.text, at, at + len(word)))

    with pytest.raises(PlanError) as caught:
        fail()
    assert caught.value.span is not None
    return caught.value.span


def test_an_error_is_led_back_to_the_argument() -> None:
    cell = "SELECT 1 AS a,\n delta(x + y) OVER w FROM s WINDOW w AS (ORDER BY ts)"
    assert blamed(cell, "y") == Span(cell, cell.index("y"), cell.index("y") + 1)


def test_an_error_in_what_was_not_written_is_led_back_to_the_call() -> None:
    cell = "SELECT delta(x) OVER w AS d FROM s WINDOW w AS (ORDER BY ts)"
    assert blamed(cell, "lag").fragment == "delta(x) OVER w"


def test_an_error_of_another_text_keeps_its_place() -> None:
    other = Span("another cell", 0, 7)
    with (
        pytest.raises(LanguageError) as caught,
        written_out(parse_query("SELECT delta(x) OVER () AS d FROM s")),
    ):
        raise LanguageError("SM2001", "no", span=other)
    assert caught.value.span == other


def test_every_macro_is_told_from_the_others_by_its_arguments() -> None:
    for family in macros().values():
        for macro in family:
            arguments = [
                "INTERVAL" in p for p in macro.usage.partition("(")[2].partition(")")[0].split(", ")
            ]
            assert [m for m in family if m.fits(arguments)] == [macro]


def _duckdb(text: str) -> list[str]:
    with duckdb.connect() as con:
        return [str(row[0]) for row in con.execute(text).fetchall()]


def test_duckdb_has_no_series() -> None:
    known = _duckdb("SELECT DISTINCT function_name FROM duckdb_functions()")
    assert set(known) & {m.name for m in series.MACROS} == set()


@pytest.mark.parametrize("macro", aggregates.MACROS, ids=lambda m: m.name)
def test_a_macro_of_duckdb_means_what_it_means_there(macro: Macro) -> None:
    arguments = {"key": "g || x", "weight": "x + 1"}
    call = f"{macro.name}({', '.join(arguments.get(p, p) for p in macro.parameters)})"
    rows = "FROM (VALUES (1, 'a'), (4, 'b'), (NULL, 'c')) AS v(x, g) ORDER BY ALL"
    where = "WHERE x IS NOT NULL" if "key" in macro.parameters else ""
    source = f"FROM (SELECT * {rows}) {where}"
    assert _duckdb(plain(f"SELECT {call} AS y {source}")) == _duckdb(f"SELECT {call} AS y {source}")


def test_with_over_a_macro_of_duckdb_stays() -> None:
    text = "SELECT geomean(x) OVER (ORDER BY ts) AS g FROM s"
    assert plain(text) == text


def test_a_usage_has_a_form() -> None:
    with pytest.raises(ValueError, match="not the form"):
        Macro("delta x", "x", "").name  # noqa: B018
