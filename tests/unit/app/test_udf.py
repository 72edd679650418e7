"""Python functions in SQL: types, errors in one row, redefinition."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pyarrow as pa
import pyarrow.compute as pc
import pytest

import stream_magic
from stream_magic import App, StreamMagicError, udf
from stream_magic.errors import ConfigError, LanguageError, PlanError
from support.python_functions import _functions  # noqa: F401

pytestmark = pytest.mark.usefixtures("_functions")
COLUMNS = "id INT, x DOUBLE, g VARCHAR"


class Point(TypedDict):
    x: int
    tags: list[str]


@pytest.fixture
def app() -> Iterator[App]:
    made = App("udf")
    made.execute(
        f"CREATE SOURCE s ({COLUMNS}) WITH (connector = 'memory');"
        f"CREATE SOURCE c ({COLUMNS}) WITH (connector = 'memory', changelog = true)"
    )
    yield made
    made.close()


def table(app: App, name: str = "r") -> list[tuple[Any, ...]]:
    return sorted(app.sql(f"SELECT * FROM {name}").fetchall(), key=str)


def run(app: App, select: str, rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    app.execute(f"CREATE OR REPLACE TABLE r AS {select}")
    app.push("s", rows)
    app.step()
    return table(app)


def reasons(app: App, name: str = "r") -> list[str]:
    return [r[0] for r in app.sql(f"SELECT reason FROM errors.{name}").fetchall()]


def test_annotations_say_the_types(app: App) -> None:
    @udf
    def everything(
        a: int, b: float, c: str, d: bool, e: bytes, f: datetime, g: date, h: timedelta,
        i: Annotated[Decimal, "DECIMAL(12, 2)"], j: list[float], k: dict[str, int],
    ) -> Point:  # fmt: skip
        kinds = [type(v).__name__ for v in (a, b, c, d, e, f, g, h, i, j, k)]
        return {"x": 1, "tags": kinds}

    got = run(
        app,
        "SELECT everything(id, 1.5, 'a', true, 'b'::BLOB, TIMESTAMP '2026-01-01', DATE '2026-01-01', "
        "INTERVAL 90 SECONDS, 1.25, [1, 2], MAP {'a': 1}) AS v FROM s",
        [{"id": 1}],
    )
    words = [
        "int",
        "float",
        "str",
        "bool",
        "bytes",
        "datetime",
        "date",
        "timedelta",
        "Decimal",
        "list",
        "dict",
    ]
    assert got == [({"x": 1, "tags": words},)]
    assert app["r"].schema.field("v").type == pa.struct(
        [("x", pa.int64()), ("tags", pa.list_(pa.string()))]
    )


def test_types_may_be_given_beside_the_function(app: App) -> None:
    @udf(name="half", types={"x": "DECIMAL(10, 2)"}, returns="DECIMAL(12, 4)")
    def of_no_types(x):  # type: ignore[no-untyped-def]
        return x / 2

    assert run(app, "SELECT half(id) AS h FROM s", [{"id": 3}]) == [(Decimal("1.5000"),)]
    assert of_no_types(4) == 2, "the function stays what it is in Python"


def test_null_is_null_unless_the_function_asks_for_it(app: App) -> None:
    seen: list[object] = []

    @udf
    def strict(x: float) -> str:
        seen.append(x)
        return "called"

    @udf
    def lenient(x: float | None) -> str | None:
        return "none" if x is None else None

    got = run(app, "SELECT id, strict(x) AS a, lenient(x) AS b FROM s", [{"id": 1}, {"id": 2, "x": 1.0}])  # fmt: skip
    assert got == [(1, None, "none"), (2, "called", None)]
    assert seen == [1.0]


def test_a_row_that_fails_is_an_error_and_the_others_go_on(app: App) -> None:
    @udf
    def inverse(x: float) -> float:
        return 1 / x

    got = run(app, "SELECT id, inverse(x) AS y FROM s", [{"id": i, "x": float(i)} for i in range(4)])  # fmt: skip
    assert got == [(1, 1.0), (2, 0.5), (3, 1 / 3)]
    found = app.sql("SELECT code, reason, raw::VARCHAR AS raw FROM errors.r").fetchall()
    assert [f[:2] for f in found] == [
        ("SM5006", "inverse: ZeroDivisionError: float division by zero")
    ]
    assert "\\x22id\\x22: 0" in found[0][2], "the whole row is kept"


def test_what_is_no_value_of_the_type_is_an_error_of_its_row(app: App) -> None:
    @udf
    def odd(x: float) -> int:
        return "many" if x > 1 else 7  # type: ignore[return-value]

    assert run(app, "SELECT odd(x) AS y FROM s", [{"x": 1.0}, {"x": 2.0}]) == [(7,)]
    assert reasons(app) == ["odd: it gave 'many', which is no BIGINT"]


def test_a_vectorized_function_fails_for_single_rows_too(app: App) -> None:
    sizes: list[int] = []

    @udf(vectorized=True)
    def root(x: float) -> float:
        sizes.append(len(x))  # type: ignore[arg-type]
        if pc.any(pc.less(x, 0)).as_py():
            raise ValueError("a negative number")
        return pc.sqrt(x)  # type: ignore[no-any-return]

    rows = [{"id": i, "x": -1.0 if i == 5 else float(i)} for i in range(8)]
    got = run(app, "SELECT id FROM s WHERE root(x) >= 2 OR x IS NULL", [*rows, {"id": 9}])
    assert got == [(4,), (6,), (7,), (9,)]
    assert reasons(app) == ["root: ValueError: a negative number"]
    assert sizes[0] == 8, "NULLs are left out, the rest comes at once"


def test_a_vectorized_function_gives_a_value_for_each_row(app: App) -> None:
    @udf
    def short(x: Annotated[pa.Array, "DOUBLE"]) -> Annotated[pa.Array, "DOUBLE"]:
        return x.slice(1) if len(x) > 1 else x

    got = run(app, "SELECT short(x) AS y FROM s", [{"x": 1.0}, {"x": 2.0}])
    assert got == [(1.0,), (2.0,)], "one by one it does"


def test_an_aggregate_takes_the_values_of_a_group(app: App) -> None:
    @udf(aggregate=True)
    def spread(xs: list[float]) -> float:
        return xs[-1] - xs[0]

    @udf(aggregate=True, vectorized=True)
    def weighted(xs: list[float], ws: list[int]) -> float:
        return pc.sum(pc.multiply(xs, ws)).as_py()  # type: ignore[no-any-return]

    rows = [(1, 5.0, "a"), (2, 1.0, "a"), (3, None, "a"), (4, None, "b")]
    given = [dict(zip(("id", "x", "g"), r, strict=True)) for r in rows]
    app.execute("CREATE TABLE o AS SELECT id, spread(x) OVER (PARTITION BY g) AS s FROM s")
    got = run(app, "SELECT g, spread(x) AS s, weighted(x, id) AS w FROM s GROUP BY g", given)
    assert got == [("a", 4.0, 7.0), ("b", None, None)]
    assert table(app, "o") == [(1, 4.0), (2, 4.0), (3, 4.0), (4, None)]


def test_an_aggregate_needs_no_name_and_stands_in_subqueries(app: App) -> None:
    @udf(aggregate=True)
    def highest(xs: list[int]) -> int:
        return xs[-1]

    select = "SELECT highest(id), (SELECT highest(id) FROM s WHERE x < 2) AS low FROM s"
    assert run(app, select, [{"id": 3, "x": 1.0}, {"id": 5, "x": 2.0}]) == [(5, 3)]
    assert app["r"].schema.names == ["highest(id)", "low"]


def test_an_aggregate_follows_a_changelog(app: App) -> None:
    @udf(aggregate=True)
    def middle(xs: list[float]) -> float:
        return xs[len(xs) // 2]

    app.execute("CREATE TABLE r AS SELECT middle(x) AS m FROM c")
    app.push("c", [{"x": v} for v in (3.0, 1.0, 2.0)], [1, 1, 1])
    app.step()
    assert table(app) == [(2.0,)]
    app.push("c", [{"x": 1.0}], [-1])
    app.step()
    assert table(app) == [(3.0,)]


def test_what_a_function_gave_is_taken_back_as_it_was(app: App) -> None:
    calls: list[int] = []

    @udf
    def number(x: float) -> int:
        calls.append(1)
        return len(calls)

    @udf(deterministic=True)
    def twice(x: float) -> float:
        return 2 * x

    app.execute(
        "CREATE TABLE r AS SELECT id, number(x) AS n FROM c; CREATE TABLE d AS SELECT twice(x) AS t FROM c"
    )
    app.push("c", [{"id": 1, "x": 1.0}, {"id": 2, "x": 2.0}], [1, 1])
    app.step()
    app.push("c", [{"id": 1, "x": 1.0}], [-1])
    app.step()
    assert table(app) == [(2, 2)]
    assert len(calls) == 2
    assert table(app, "d") == [(4.0,)]
    assert "remember" not in app.execute("EXPLAIN d")
    assert "remember" in app.execute("EXPLAIN r")


def test_a_row_of_a_changelog_that_failed_leaves_nothing(app: App) -> None:
    @udf
    def inverse(x: float) -> float:
        return 1 / x

    app.execute("CREATE TABLE r AS SELECT inverse(x) AS y FROM c")
    app.push("c", [{"x": 0.0}, {"x": 1.0}], [1, 1])
    app.step()
    app.push("c", [{"x": 0.0}, {"x": 1.0}], [-1, -1])
    app.step()
    assert table(app) == []
    assert reasons(app) == ["inverse: ZeroDivisionError: float division by zero"]


def test_a_call_is_made_only_for_rows_that_reach_it(app: App) -> None:
    @udf
    def inverse(x: float) -> float:
        return 1 / x

    got = run(
        app,
        "SELECT CASE WHEN x = 0 THEN 0 WHEN x < 0 THEN inverse(-x) ELSE inverse(x) END AS a, "
        "CASE g WHEN 'z' THEN inverse(x) END AS b, if(x <> 0, inverse(x), 9) AS c, coalesce(x, inverse(0)) AS d "
        "FROM s WHERE x <> 7 AND inverse(x - 7) < 9",
        [{"x": 0.0, "g": "a"}, {"x": -2.0, "g": "z"}, {"x": 7.0}],
    )
    assert got == [(0.0, None, 9.0, 0.0), (0.5, -0.5, -0.5, -2.0)]
    assert reasons(app) == []


def test_conditions_of_joins_call_functions(app: App) -> None:
    @udf(deterministic=True)
    def key(x: float) -> int:
        return int(x)

    @udf(deterministic=True)
    def close(a: float, b: float) -> bool:
        return abs(a - b) < 1

    app.execute("CREATE TABLE j AS SELECT a.id, b.id AS other FROM s a LEFT JOIN c b ON key(a.x) = b.id AND key(b.x) > 0")  # fmt: skip
    app.execute("CREATE TABLE r AS SELECT a.id, b.id AS other FROM s a JOIN c b ON close(a.x, b.x)")
    app.push("s", [{"id": 1, "x": 5.5}, {"id": 2, "x": 9.0}])
    app.push("c", [{"id": 5, "x": 6.0}], [1])
    app.step()
    assert table(app, "j") == [(1, 5), (2, None)]
    assert table(app) == [(1, 5)]


def test_a_redefinition_replaces_what_uses_it_and_nothing_else(app: App) -> None:
    @udf
    def tax(x: float) -> float:
        return x * 0.1

    app.execute(
        "CREATE STREAM taxed AS SELECT id, tax(x) AS t FROM s;"
        "CREATE TABLE total AS SELECT sum(t) AS t FROM taxed; CREATE TABLE n AS SELECT count(*) AS n FROM s"
    )
    app.push("s", [{"id": 1, "x": 10.0}])
    app.step()
    before = dict(app._engine.flow._nodes)

    udf(name="tax", types={"x": "DOUBLE"}, returns="DOUBLE")(lambda x: x * 0.2)
    after = app._engine.flow._nodes
    assert {n for n in before if before[n] is not after[n]} == {"taxed", "total"}
    assert table(app, "total") == [(2.0,)]


def test_a_cell_that_runs_again_changes_nothing(app: App) -> None:
    def define() -> None:
        @udf
        def same(x: float) -> float:
            return x

    define()
    app.execute("CREATE TABLE r AS SELECT same(x) AS y FROM s")
    before = app._engine.flow["r"]
    define()
    assert app._engine.flow["r"] is before


def test_a_redefinition_that_breaks_a_query_is_refused(app: App) -> None:
    @udf
    def size(x: float) -> float:
        return x

    app.execute("CREATE TABLE r AS SELECT size(x) AS y FROM s")
    with pytest.raises(LanguageError) as caught:
        udf(name="size", types={"x": "BLOB"}, returns="DOUBLE")(lambda x: len(x))
    assert "with this change of size, r does not work any more" in str(caught.value)
    app.push("s", [{"x": 3.0}])
    app.step()
    assert table(app) == [(3.0,)]


def test_a_wrong_call_gets_a_caret(app: App) -> None:
    @udf
    def net(price: float, rate: Annotated[Decimal, "DECIMAL(4, 2)"]) -> float:
        return price

    @udf(aggregate=True)
    def spread(xs: list[float]) -> float:
        return 0.0

    for call, said in [
        ("net(g, 1)", "hint: net takes (DOUBLE, DECIMAL(4,2))"),
        ("net(x)", "there is no net(DOUBLE)"),
        ("nett(x, 1)", "did you mean 'net'?"),
        ("spread(g)", "hint: spread takes (DOUBLE)"),
        ("spread(DISTINCT x)", "it takes no DISTINCT, FILTER or ORDER BY"),
        ("list_transform([x], lambda v: net(v, 1))", "cannot be called in a lambda"),
    ]:
        with pytest.raises(StreamMagicError) as caught:
            app.execute(f"CREATE STREAM r AS SELECT {call} AS y FROM s")
        assert said in str(caught.value)
        assert "^^^" in str(caught.value)


def test_an_outer_join_on_both_sides_is_refused(app: App) -> None:
    @udf
    def close(a: float, b: float) -> bool:
        return True

    with pytest.raises(PlanError) as caught:
        app.execute("CREATE STREAM r AS SELECT a.id FROM s a LEFT JOIN s b ON close(a.x, b.x)")
    assert "close() is called once for each row, and here rows are computed again" in str(caught.value)  # fmt: skip


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("def f(x): return 1", "SM7060"),
        ("def f(x: float): return 1", "SM7060"),
        ("def f(x: Decimal) -> float: return 1", "SM7060"),
        ("def f(*x: float) -> float: return 1", "SM7060"),
        ("def lower(x: str) -> str: return x", "SM7061"),
        ("def initcap(x: str) -> str: return x", "SM7061"),
        ("def order(x: str) -> str: return x", "SM7061"),
    ],
)
def test_a_function_without_types_or_with_a_name_of_sql_is_refused(text: str, code: str) -> None:
    scope: dict[str, Any] = {"Decimal": Decimal}
    exec(text, scope)
    with pytest.raises(ConfigError) as caught:
        udf(scope[text.split("(", maxsplit=1)[0].removeprefix("def ")])
    assert caught.value.code == code


def test_functions_run_in_the_background_and_in_snapshots(
    app: App, capsys: pytest.CaptureFixture[str]
) -> None:
    threads: list[str] = []

    @udf
    def place(x: float) -> str:
        print("seen", x)
        threads.append(threading.current_thread().name)
        return "here"

    app.execute("CREATE STREAM r AS SELECT place(x) AS w FROM s")
    app.start()
    app.push("s", [{"x": 1.0}])
    app.end("s")
    app.drain()
    app.stop()
    assert threads == ["stream_magic udf"]
    assert app.sql("SELECT place(x) AS w FROM s").fetchall() == [("here",)]
    assert "seen 1.0" in capsys.readouterr().out
    assert ("place", "python scalar") in [
        (r["name"], r["kind"]) for r in app.execute("SHOW FUNCTIONS").to_pylist()
    ]
    assert stream_magic.udf is udf
