from __future__ import annotations

import pytest

from stream_magic import App
from stream_magic.errors import ConfigError, LanguageError, PlanError, StreamMagicError

SOURCE = "CREATE SOURCE s (i INT, k VARCHAR) WITH (connector = 'memory');"


@pytest.mark.parametrize(
    ("select", "code"),
    [
        ("SELECT rowid FROM s", "SM3053"),
        ("SELECT i::BIT AS b FROM s", "SM3052"),
        ("SELECT ('12:00:00+0' || i)::TIMETZ AS t FROM s", "SM3052"),
        ("SELECT union_value(a := i) AS u FROM s", "SM3052"),
        ("SELECT k COLLATE NOCASE AS kk, count(*) AS n FROM s GROUP BY kk", "SM3054"),
        ("SELECT count(DISTINCT k COLLATE NOCASE) AS n FROM s", "SM3054"),
    ],
)
def test_what_would_be_wrong_is_refused_and_changes_nothing(select: str, code: str) -> None:
    app = App("t")
    app.execute(SOURCE)
    with pytest.raises(PlanError) as caught:
        app.execute(f"CREATE STREAM ok AS SELECT i FROM s; CREATE TABLE r AS {select}")
    assert caught.value.code == code
    assert caught.value.hint
    assert list(app.status()) == ["s"]


@pytest.mark.parametrize(
    "kind", ["BIT", "TIMETZ", "UNION(a INT, b VARCHAR)", "ENUM('x', 'y')[]", "STRUCT(e ENUM('x'))"]
)
def test_columns_that_do_not_travel_through_arrow_are_refused(kind: str) -> None:
    with pytest.raises(LanguageError, match="does not travel"):
        App("t").execute(f"CREATE SOURCE s (c {kind}) WITH (connector = 'memory')")


def test_a_name_with_a_dot_is_refused() -> None:
    with pytest.raises(LanguageError, match="no dot"):
        App("t").execute("CREATE SOURCE \"a.b\" (i INT) WITH (connector = 'memory')")


@pytest.mark.parametrize(
    ("clause", "query", "code", "said"),
    [
        (
            "WITH (connector = 'file', path = 'PATH') FORMAT parquet",
            "SELECT i, INTERVAL 1 DAY AS age FROM s",
            "SM4114",
            "files of this format (parquet) cannot hold the column 'age' INTERVAL",
        ),
        (
            "WITH (connector = 'file', path = 'PATH/x.parquet')",
            "SELECT i, [INTERVAL 1 DAY] AS ages FROM s",
            "SM4114",
            "files of this format (parquet) cannot hold the column 'ages' LIST with INTERVAL",
        ),
        (
            "WITH (connector = 'kafka', brokers = 'embedded', topic = 't') FORMAT parquet",
            "SELECT i FROM s",
            "SM7410",
            "parquet is a format of files, not of messages",
        ),
    ],
)
def test_a_target_that_could_not_write_is_refused_in_the_cell(
    tmp_path: object, clause: str, query: str, code: str, said: str
) -> None:
    app = App("t")
    with pytest.raises(StreamMagicError) as caught:
        app.execute(
            f"{SOURCE}\nCREATE STREAM q AS {query};\n"
            f"CREATE TARGET out FROM q {clause.replace('PATH', str(tmp_path))}"
        )
    error = caught.value
    assert (error.code, error.message) == (code, said)
    assert error.span is not None
    assert (error.span.fragment, error.span.line) == ("out", 3)
    assert error.hint
    assert app.status() == {}


def test_what_parquet_cannot_hold_passes_when_it_is_cast(tmp_path: object) -> None:
    app = App("t")
    app.execute(
        f"{SOURCE} CREATE STREAM q AS SELECT CAST(INTERVAL 1 DAY AS VARCHAR) AS age FROM s;"
        f"CREATE TARGET out FROM q WITH (connector = 'file', path = '{tmp_path}') FORMAT parquet"
    )
    assert list(app.status()) == ["s", "q", "out"]


def test_a_format_of_files_is_refused_for_messages() -> None:
    app = App("t")
    for columns in ("", "(i INT)"):
        with pytest.raises(ConfigError, match="parquet is a format of files") as caught:
            app.execute(
                f"CREATE SOURCE k {columns} "
                "WITH (connector = 'kafka', brokers = 'embedded', topic = 't') FORMAT parquet"
            )
        assert caught.value.span is not None
        assert caught.value.span.fragment == "parquet"
    assert app.status() == {}


def test_two_file_targets_do_not_share_a_place(tmp_path: object) -> None:
    app = App("t")
    target = f"FROM s WITH (connector = 'file', path = '{tmp_path}/x.csv') FORMAT csv;"
    with pytest.raises(ConfigError, match="writes to the same place"):
        app.execute(SOURCE + f"CREATE TARGET a {target} CREATE TARGET b {target}")
