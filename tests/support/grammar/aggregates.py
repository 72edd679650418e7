"""Every aggregate of DuckDB that has one answer: call, family of the result, and what orders its rows.

In a template `{by}` is nothing in the query; in the twin it is ORDER BY arrival, or ORDER BY the
row's columns where the tie would be open, or ORDER BY the value. `{ties}` goes on behind an ORDER BY that is there.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from support.grammar.draw import Draw, Relation, Text
from support.grammar.expressions import condition, expression, fits
from support.grammar.kinds import NUMBERS

_HOLE = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Aggregate:
    name: str
    call: str
    family: str = "opaque"
    order: str = ""


def _all(family: str, *calls: str, order: str = "") -> list[Aggregate]:
    return [Aggregate(c.partition("(")[0], c, family, order) for c in calls]


AGGREGATES = [
    *_all("integer", "count(*)", "count({any})", "count(DISTINCT {exact})", "sum({integer})", "sum(DISTINCT {integer})", "min({integer})",
          "max({integer})", "count_if({boolean})", "countif({boolean})", "count(DISTINCT {integer})", "sum({natural})", "max({natural})",
          "regr_count({real}, {integer})", "approx_count_distinct({exact})", "bit_and({integer})", "bit_or({integer})", "bit_xor({integer})",
          "quantile_disc({integer}, 0.5)", "quantile({integer}, 0.25)"),
    *_all("integer", "arg_max({integer}, {exact}{by})", "arg_min({integer}, {exact}{by})", order="columns"),
    *_all("decimal", "sum({decimal})", "min({decimal})", "max({decimal})", "sum(DISTINCT {decimal})"),
    *_all("real", "min({real})", "max({real})", "median({integer})", "quantile_cont({integer}, 0.25)", "quantile_disc({real}, 0.75)", "mad({integer})"),
    *_all("text", "min({text})", "max({text})", "string_agg(DISTINCT {text}, '-' ORDER BY {text0})", "quantile_disc({text}, 0.5)"),
    *_all("boolean", "bool_and({boolean})", "bool_or({boolean})", "max({boolean})"),
    *_all("date", "min({date})", "max({date})"),
    *_all("timestamp", "min({timestamp})", "max({timestamp})", "median({timestamp})"),
    *_all("timestamptz", "min({timestamptz})", "max({timestamptz})"),
    *_all("wide", "sum({wide})", "min({wide})", "max({wide})"),
    *_all("float", "min({float})", "max({float})"),
    *_all("opaque", "avg({integer})", "avg({real})", "mean({decimal})", "sum({real})", "avg(DISTINCT {integer})", "mean({integer})", "stddev({integer})",
          "stddev_pop({real})", "stddev_samp({integer})", "var_pop({integer})", "var_samp({real})", "variance({integer})", "sem({integer})",
          "skewness({integer})", "kurtosis({integer})", "kurtosis_pop({integer})", "corr({integer}, {real})", "covar_pop({integer}, {real})",
          "covar_samp({real}, {integer})", "regr_avgx({integer}, {real})", "regr_avgy({integer}, {real})", "regr_intercept({real}, {integer})",
          "regr_r2({real}, {integer})", "regr_slope({real}, {integer})", "regr_sxx({integer}, {integer})", "regr_sxy({real}, {integer})",
          "regr_syy({integer}, {real})", "entropy({text})", "product({integer})", "fsum({real})", "kahan_sum({real})", "sumkahan({real})",
          "favg({real})", "median({real})", "quantile_cont({real}, [0.25, 0.5])", "mad({real})", "avg({wide})",
          "reservoir_quantile({integer}, 0.5)", "avg({timestamp})", "avg({interval})"),
    *_all("opaque", "histogram({text})", "histogram({integer})", "histogram_exact({integer}, [0, 1, 2])", "min({struct})", "max({list})", "max({exact}, 2)",
          "min({integer}, 3)", "min({nested})", "max({blob})", "min({uuid})", "max({enum})", "min({interval})", "max({time})", "min({array})",
          "bitstring_agg({integer0}, -100, 100)::VARCHAR", "list(DISTINCT {integer} ORDER BY {integer0})"),
    *_all("opaque", "mode({exact}{by})", "arg_max({any}, {exact}{by})", "arg_min({any}, {exact}{by})", "max_by({any}, {exact}{by})",
          "min_by({any}, {exact}{by})", "arg_max({integer}, {integer}, 2{by})", "arg_min_null({any}, {exact}{by})", "arg_max_null({any}, {exact}{by})",
          "arg_min_nulls_last({any}, {exact}{by})", "approx_top_k({text}, 2{by})", order="columns"),
    *_all("opaque", "approx_quantile({integer}, 0.5{by})", order="value"),
    Aggregate("mode of different", "mode(DISTINCT {integer}{by})", "opaque", "value"),
    Aggregate("mode within a group", "mode() WITHIN GROUP (ORDER BY {exact})"),
    *_all("opaque", *(f"{n}({{integer}}, {{integer}})" for n in (
        "corr", "covar_pop", "covar_samp", "regr_avgx", "regr_avgy", "regr_intercept", "regr_r2", "regr_slope", "regr_sxy", "regr_syy")),
        *(f"{n}({{integer}})" for n in ("fsum", "kahan_sum", "sumkahan", "favg", "stddev_pop", "var_samp"))),
    *_all("integer", "regr_count({integer}, {integer})"),
    *_all("opaque", "first({any}{by})", "last({any}{by})", "any_value({any}{by})", "arbitrary({any}{by})", "list({any}{by})", "array_agg({any}{by})",
          "string_agg({text}, '-'{by})", "group_concat({text}{by})", "listagg({text}, ','{by})", order="arrival"),
    *_all("opaque", "list({any} ORDER BY {exact}{ties})", "first({any} ORDER BY {exact} DESC{ties})", "last({any} ORDER BY {exact} NULLS FIRST{ties})",
          "string_agg({text}, '-' ORDER BY {exact}{ties})", "array_agg({any} ORDER BY {exact} DESC NULLS LAST{ties})", order="ties"),
]  # fmt: skip

REFUSED = frozenset({"bitstring_agg", "reservoir_quantile"})
# Python functions; they take no FILTER.
PYTHON = [
    *_all("text", "py_most({text})"),
    *_all(
        "integer",
        "py_dot(({integer})::BIGINT, ({natural})::BIGINT)",
        "py_dot(({integer})::BIGINT, ({integer})::BIGINT)",
    ),
]


# Those whose groups are kept in memory if a query has no other.
_KEPT = {"any", "integer", "natural", "real", "decimal", "text", "date", "timestamp", "timestamptz"}
PLAIN = [
    a for a in AGGREGATES
    if a.name in ("count", "sum", "min", "max", "avg", "mean") and _KEPT.issuperset(_HOLE.findall(a.call))
    and a.call not in ("avg({timestamp})", "max({exact}, 2)", "min({integer}, 3)") and "DISTINCT" not in a.call
]  # fmt: skip


def aggregate(
    draw: Draw, relation: Relation, families: tuple[str, ...] = (), *, is_plain: bool = False
) -> tuple[Text, str]:
    """A call over the rows of a relation, and the family of its result."""
    if is_plain:
        return _written(
            draw, relation, draw.one([a for a in PLAIN if fits(a.call, relation.columns)])
        )
    is_python = draw.has_python and draw.chance(0.5)
    known = [
        a for a in (PYTHON if is_python else AGGREGATES) if not families or a.family in families
    ]
    if not known:
        return aggregate(draw, relation, families)
    if not relation.arrival:
        known = [a for a in known if a.order != "arrival"]
    if draw.chance(0.95):
        known = [a for a in known if fits(a.call, relation.columns)] or known
    names = {a.name for a in known}
    if draw.chance(0.95):
        names -= REFUSED
    name = draw.one(sorted(names))  # each as often as the others
    return _written(draw, relation, draw.one([a for a in known if a.name == name]))


def _written(draw: Draw, relation: Relation, found: Aggregate) -> tuple[Text, str]:
    by = {
        "arrival": f" ORDER BY {relation.arrival}",
        "columns": f" ORDER BY {relation.order}" if relation.order else "",
        "ties": f", {relation.order}" if relation.order else "",
    }.get(found.order, "")
    kept: dict[str, str] = {}

    def fill(hole: re.Match[str]) -> str:
        family = hole[1]
        if family in ("by", "ties"):
            return f"{{{family}}}"
        if family.endswith("0"):  # the same column again
            return (
                kept[family[:-1]] if family[:-1] in kept else _column(draw, relation, family[:-1])
            )
        kept[family] = _argument(draw, relation, family)
        return kept[family]

    call = _HOLE.sub(fill, found.call)
    if found.order == "value":
        by = f" ORDER BY {kept['integer']}"
    sql = call.replace("{by}", "").replace("{ties}", "")
    twin = call.replace("{by}", by).replace("{ties}", by)
    if found in PYTHON:
        draw.meet("python:aggregate")
    elif draw.chance(0.2) and not sql.endswith("VARCHAR") and "WITHIN GROUP" not in sql:
        draw.meet("aggregate with FILTER")
        test = condition(draw, relation.columns)
        sql, twin = (f"{t} FILTER (WHERE {test})" for t in (sql, twin))
    for word, name in (("(DISTINCT", "DISTINCT"), ("ORDER BY", "ORDER BY")):
        if word in sql:
            draw.meet(f"aggregate with {name}")
    return Text(sql, twin), found.family


def _argument(draw: Draw, relation: Relation, family: str) -> str:
    if family in (*NUMBERS, "text", "boolean") and draw.chance(0.3):
        return expression(draw, relation.columns, family, 1)
    return _column(draw, relation, family)


def _column(draw: Draw, relation: Relation, family: str) -> str:
    return expression(draw, relation.columns, family, 0)
