"""Every function of DuckDB runs in a continuous query and is what DuckDB answers, or is listed with the reason."""

from __future__ import annotations

from collections.abc import Iterator

import calls
import duckdb
import pytest
import reference

import stream_magic
from stream_magic.errors import StreamMagicError
from stream_magic.language.binder import lost_in_arrow
from support.compare import same
from support.functions import (
    AGGREGATES,
    COLUMNS,
    INTERNAL,
    LEFT_OUT,
    MACROS,
    REFUSED,
    call_of,
    chosen,
    functions,
    sample,
)

# Their answer may depend on the order of rows: in DuckDB's words they go by `id`, which is arrival.
_BY_ORDER = frozenset(
    {"any_value", "arbitrary", "arg_max", "arg_max_null", "arg_max_nulls_last", "arg_min", "arg_min_null", "arg_min_nulls_last", "argmax", "argmin",
     "array_agg", "first", "group_concat", "last", "list", "listagg", "max_by", "min_by", "mode", "string_agg", "approx_top_k"}
)  # fmt: skip
_BY_VALUE = frozenset({"approx_quantile", "lttb"})  # they go through their values in order
_UNTRAVELLED = ("VARIANT", "GEOMETRY", "BIGNUM", "TYPE")
_SEVERAL = ("generate_subscripts", "regexp_split_to_table", "unnest")  # they make rows
_AT_ONCE = 40
_ALL = 1_000_000


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    """DuckDB with the sample, in the order of arrival."""
    with duckdb.connect() as made:
        made.execute("SET threads = 1")
        sample(made, "sample")
        yield made


def travelling(con: duckdb.DuckDBPyConnection, call: str) -> str:
    kind = str(con.sql(f"SELECT {call} FROM sample").types[0])
    return f"({call})::VARCHAR" if lost_in_arrow(kind) or kind in _UNTRAVELLED else call


class Run:
    """An app with the sample's source; queries, and what DuckDB says of them."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.con = con
        self.app = stream_magic.App("functions")
        columns = ", ".join(f"{n} {kind}" for n, (kind, *_) in COLUMNS.items())
        self.app.execute(
            f"CREATE SOURCE sample (id INTEGER, {columns}) WITH (connector = 'memory')"
        )
        self.queries: list[tuple[str, str]] = []
        self.refused: dict[str, StreamMagicError] = {}

    def add(self, calls: dict[str, str], form: str, twins: dict[str, str] | None = None) -> None:
        """Calls as columns of one query; those that are refused one by one are left out."""
        listed = list(calls)
        for names in (listed[i : i + _AT_ONCE] for i in range(0, len(listed), _AT_ONCE)):
            self._add(calls, names, form, twins or {})

    def _add(
        self, calls: dict[str, str], names: list[str], form: str, twins: dict[str, str]
    ) -> None:
        sql = form.format(", ".join(f"{calls[n]} AS c{i}" for i, n in enumerate(names)))
        twin = form.format(
            ", ".join(f"{twins.get(n, calls[n])} AS c{i}" for i, n in enumerate(names))
        )
        try:
            self.app.execute(f"CREATE TABLE r{len(self.queries)} AS {sql}")
        except StreamMagicError as e:
            if len(names) == 1:
                self.refused[names[0]] = e
                return
            half = len(names) // 2
            self._add(calls, names[:half], form, twins)
            self._add(calls, names[half:], form, twins)
            return
        self.queries.append((sql, twin))

    def compare(self) -> list[str]:
        """Two epochs; what differs from DuckDB then."""
        rows = self.con.sql("FROM sample").to_arrow_table().cast(self.app["sample"].schema)
        for part in (rows.slice(0, 2), rows.slice(2)):
            self.app.push("sample", part)
            self.app.step()
        return [
            d for i, (sql, twin) in enumerate(self.queries) for d in self._differences(i, sql, twin)
        ]

    def _differences(self, i: int, sql: str, twin: str) -> Iterator[str]:
        status = self.app.status()[f"r{i}"]
        if status["state"] == "failed" or status["errors"]:
            yield f"{sql}: {status['message'] or self.app[f'errors.r{i}'].preview(_ALL).to_pylist()}"
            return
        result, expected = self.app[f"r{i}"].preview(_ALL), self.con.sql(twin).to_arrow_table()
        keys = [n for n in result.schema.names if not n.startswith("c")]
        for name in (n for n in result.schema.names if n.startswith("c")):
            try:
                same(
                    result.select([*keys, name]),
                    expected.select([*keys, name]),
                    f"{name} of {sql}",
                    100.0,
                )
            except AssertionError as e:
                yield str(e)


@pytest.fixture
def run(con: duckdb.DuckDBPyConnection) -> Iterator[Run]:
    made = Run(con)
    yield made
    made.app.close()


def test_scalar_functions(con: duckdb.DuckDBPyConnection, run: Run) -> None:
    calls = {
        n: travelling(con, c)
        for n, c in chosen(con, "scalar", "macro").items()
        if not c.startswith(_grouped())
    }
    run.add({n: c for n, c in calls.items() if n not in _SEVERAL}, "SELECT id, {} FROM sample")
    for name in (n for n in _SEVERAL if n in calls):
        run.add({name: calls[name]}, "SELECT id, {} FROM sample")
    assert {n: e.message for n, e in run.refused.items()} == {}
    assert not (differences := run.compare()), "\n\n".join(differences)


@pytest.mark.parametrize(
    "form", ["{}", "{} FILTER (WHERE id <> 1)", "DISTINCT", "ORDER BY id DESC"]
)
def test_aggregates(con: duckdb.DuckDBPyConnection, run: Run, form: str) -> None:
    calls = {n: travelling(con, c) for n, c in _aggregates(con, form).items()}
    ordered = {
        n: _by_order(c, "id") for n, c in calls.items() if n in _BY_ORDER and "ORDER BY" not in c
    }
    ordered |= {
        n: _by_order(c, _first(c))
        for n, c in calls.items()
        if n in _BY_VALUE and "BY" not in c and "(DISTINCT" not in c
    }
    for group in ("SELECT {} FROM sample", "SELECT bo, {} FROM sample GROUP BY bo"):
        run.add(calls, group, ordered)
    unsettled = {n for n, c in calls.items() if form == "DISTINCT" and (n in _BY_ORDER or "," in c)}
    refused = {n: e.message for n, e in run.refused.items() if n not in unsettled}
    assert refused == {}
    assert not (differences := run.compare()), "\n\n".join(differences)


def test_macros_of_aggregates(run: Run) -> None:
    calls = dict(zip(MACROS, MACROS, strict=True))
    for group in (
        "SELECT {} FROM sample WHERE id < 3",
        "SELECT bo, {} FROM sample WHERE id < 3 GROUP BY bo",
    ):
        run.add(calls, group)
    assert not (differences := run.compare()), "\n\n".join(differences)


def test_window_functions(con: duckdb.DuckDBPyConnection, run: Run) -> None:
    form = "SELECT {} OVER (PARTITION BY bo ORDER BY id) FROM sample"
    calls = {f.name: call_of(con, f, form) for f in functions(con, "window")}
    run.add(
        {n: f"{c} OVER (PARTITION BY bo ORDER BY id)" for n, c in calls.items()},
        "SELECT id, {} FROM sample",
    )
    run.add(
        {n: f"{travelling_over(con, c)}" for n, c in _aggregates(con, "{}").items()},
        "SELECT id, {} FROM sample",
    )
    assert {n: e.message for n, e in run.refused.items()} == {}
    assert not (differences := run.compare()), "\n\n".join(differences)


def test_every_function_is_run_or_listed(con: duckdb.DuckDBPyConnection) -> None:
    kinds = ("scalar", "macro", "aggregate", "window")
    there = {f.name for f in functions(con, *kinds) if not f.name.startswith(INTERNAL)}
    run = {
        *chosen(con, "scalar", "macro"),
        *_aggregates(con, "{}"),
        *(m.partition("(")[0] for m in MACROS),
    }
    run |= {f.name for f in functions(con, "window")}
    assert there - run - set(LEFT_OUT) - set(REFUSED) == set()
    assert (set(LEFT_OUT) | set(REFUSED)) - there == set()


def test_the_reference_names_what_is_not_run() -> None:
    page = (reference.FOLDER / "functions.md").read_text(encoding="utf-8")
    assert {n for n in (*LEFT_OUT, *REFUSED) if f"`{n}`" not in page} == set()


def test_the_reference_shows_a_call_of_each(con: duckdb.DuckDBPyConnection) -> None:
    assert calls.PAGE.read_text(encoding="utf-8") == calls.page(con), "run `make docs`"


def test_what_is_refused_is_refused(run: Run) -> None:
    for name, (call, _) in REFUSED.items():
        run.add({name: call}, "SELECT {} FROM sample")
    assert set(run.refused) == set(REFUSED)


def test_what_to_write_instead_is_taken(run: Run) -> None:
    instead = {n: mend for n, (_, mend) in REFUSED.items()}
    texts = {
        n: m.replace("(a, b)", "(ld, ld)").replace("(l, f)", "(li, lambda e: e > 1)")
        for n, m in instead.items()
    }
    for name, text in texts.items():
        run.add({name: text}, "SELECT {} FROM sample")
    assert not run.refused


def _grouped() -> tuple[str, ...]:
    return tuple(f"{m.partition('(')[0]}(" for m in MACROS)


def _aggregates(con: duckdb.DuckDBPyConnection, form: str) -> dict[str, str]:
    """A call of each aggregate, with DISTINCT or ORDER BY inside, where DuckDB takes that."""
    found: dict[str, str] = {}
    for f in functions(con, "aggregate"):
        if f.name in found or f.name in LEFT_OUT or f.name in REFUSED:
            continue
        plain = AGGREGATES.get(f.name) or call_of(con, f)
        call = plain and _formed(f.name, plain, form)
        if call and _runs(con, call):
            found[f.name] = call
    return found


def _formed(name: str, call: str, form: str) -> str:
    if form == "DISTINCT":
        by = f" ORDER BY {_first(call)}" if name in _BY_ORDER else ""
        return call.replace("(", "(DISTINCT ", 1)[:-1] + by + ")"
    return f"{call[:-1]} {form})" if form.startswith("ORDER") else form.format(call)


def _first(call: str) -> str:
    return call.partition("(")[2].partition(",")[0].rstrip(")")


def _by_order(call: str, by: str) -> str:
    """The same with the order said, in DuckDB's words."""
    inner, filtered = call.partition(" FILTER")[0], call.partition(" FILTER")[1:]
    return f"{inner[:-1]} ORDER BY {by}){''.join(filtered)}"


def _runs(con: duckdb.DuckDBPyConnection, call: str) -> bool:
    try:
        con.execute(f"SELECT {call} FROM sample").fetchall()
    except duckdb.Error:
        return False
    return True


def travelling_over(con: duckdb.DuckDBPyConnection, call: str) -> str:
    over = f"{call} OVER (PARTITION BY bo ORDER BY id ROWS UNBOUNDED PRECEDING)"
    return travelling(con, over)
