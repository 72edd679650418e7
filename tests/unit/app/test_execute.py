from __future__ import annotations

import pytest

from stream_magic import App, StreamMagicError
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import CellError, ConfigError, LanguageError, PlanError

SOURCE = "CREATE SOURCE s (id INT, amount INT) WITH (connector = 'memory');"


def make_app(cell: str = SOURCE) -> App:
    app = App("t", clock=ManualClock("2026-01-01"))
    app.execute(cell)
    return app


def rows(app: App, name: str) -> list[tuple[object, ...]]:
    return sorted(app.sql(f"SELECT * FROM {name}").fetchall())


def test_a_cell_with_an_error_in_its_third_statement_changes_nothing() -> None:
    app = App("t")
    with pytest.raises(LanguageError) as caught:
        app.execute(
            SOURCE
            + "\nCREATE STREAM a AS SELECT id FROM s;\nCREATE STREAM b AS SELECT amout FROM s;"
        )
    assert app.names() == []
    assert app.status() == {}
    assert caught.value.code == "SM2003"
    assert "did you mean 'amount'?" in str(caught.value)
    assert "  3 | CREATE STREAM b AS SELECT amout FROM s;" in str(caught.value)
    assert caught.value.span is not None
    assert caught.value.span.fragment == "amout"


def test_all_errors_of_a_cell_are_told_at_once_but_not_what_follows_from_them() -> None:
    app = App("t")
    with pytest.raises(CellError) as caught:
        app.execute(
            "CREATE SOURCE s (id INT) WITH (connector = 'memry');"
            "CREATE STREAM a AS SELECT id FROM s;"
            "CREATE SOURCE u (id INTT) WITH (connector = 'memory');"
        )
    assert [e.code for e in caught.value.errors] == ["SM1008"] or [
        e.code for e in caught.value.errors
    ] == ["SM7010", "SM2004"]
    assert "Nothing in this cell was applied." in str(caught.value)


def test_running_the_same_cell_twice_changes_nothing_and_keeps_state() -> None:
    app = make_app(SOURCE + "CREATE TABLE r AS SELECT id, sum(amount) AS total FROM s GROUP BY id;")
    app.push("s", [{"id": 1, "amount": 10}])
    app.step()
    app.execute(
        "-- a comment\n"
        + SOURCE
        + "create table r as\nselect id, sum(amount) AS total from s group by id"
    )
    app.push("s", [{"id": 1, "amount": 5}])
    app.step()
    assert rows(app, "r") == [(1, 15)]


def test_a_changed_query_is_built_from_history_with_what_reads_it_and_nothing_else() -> None:
    app = make_app(
        SOURCE
        + "CREATE STREAM a AS SELECT id, amount FROM s WHERE amount > 1;"
        + "CREATE TABLE r AS SELECT count(*) AS n FROM a; CREATE TABLE other AS SELECT count(*) AS n FROM s;"
    )
    app.push("s", [{"id": i, "amount": i} for i in range(5)])
    app.step()
    epochs: list[int] = []
    app["other"].subscribe(lambda epoch, _: epochs.append(epoch))
    epochs.clear()
    app.execute("CREATE STREAM a AS SELECT id, amount FROM s WHERE amount > 3;")
    assert rows(app, "r") == [(1,)]
    assert rows(app, "other") == [(5,)]
    assert epochs == []


def test_a_change_that_breaks_a_reader_is_refused_and_names_it() -> None:
    app = make_app(
        SOURCE
        + "CREATE STREAM a AS SELECT id, amount FROM s; CREATE TABLE r AS SELECT sum(amount) AS n FROM a;"
    )
    with pytest.raises(LanguageError, match="r does not work any more"):
        app.execute("CREATE STREAM a AS SELECT id FROM s")
    app.push("s", [{"id": 1, "amount": 7}])
    app.step()
    assert rows(app, "r") == [(7,)]


def test_a_cell_may_change_a_stream_and_its_reader_together() -> None:
    app = make_app(
        SOURCE
        + "CREATE STREAM a AS SELECT id, amount FROM s; CREATE TABLE r AS SELECT sum(amount) AS n FROM a;"
    )
    app.execute(
        "CREATE STREAM a AS SELECT id FROM s; CREATE TABLE r AS SELECT sum(id) AS n FROM a;"
    )
    app.push("s", [{"id": 3, "amount": 7}])
    app.step()
    assert rows(app, "r") == [(3,)]


def test_drop_is_refused_while_something_reads_it() -> None:
    app = make_app(SOURCE + "CREATE STREAM a AS SELECT id FROM s;")
    with pytest.raises(LanguageError, match="a reads s"):
        app.execute("DROP SOURCE s")
    with pytest.raises(LanguageError, match="s is a source"):
        app.execute("DROP STREAM s")
    app.execute("DROP STREAM a; DROP SOURCE s; DROP STREAM IF EXISTS a;")
    assert app.status() == {}


def test_a_stream_cannot_read_itself() -> None:
    app = make_app(
        SOURCE + "CREATE STREAM a AS SELECT id FROM s; CREATE STREAM b AS SELECT id FROM a;"
    )
    with pytest.raises(LanguageError, match="would read itself"):
        app.execute("CREATE STREAM a AS SELECT id FROM b")


def test_names_are_compared_without_case_and_may_be_quoted() -> None:
    app = make_app('CREATE SOURCE "My Orders" ("the id" INT) WITH (connector = \'memory\')')
    app.execute('CREATE TABLE r AS SELECT "The ID" + 1 AS next FROM "my orders"')
    app.push("My Orders", [{"the id": 1}])
    app.step()
    assert rows(app, "R") == [(2,)]


def test_a_changelog_into_a_target_that_appends_is_refused_with_what_to_write(
    tmp_path: object,
) -> None:
    app = make_app(SOURCE + "CREATE TABLE r AS SELECT id, sum(amount) AS total FROM s GROUP BY id;")
    with pytest.raises(PlanError) as caught:
        app.execute(
            f"CREATE TARGET f FROM r WITH (connector = 'file', path = '{tmp_path}') FORMAT csv"
        )
    assert caught.value.code == "SM3031"
    assert "EMIT ON WINDOW CLOSE" in str(caught.value.hint)


def test_a_global_aggregate_over_no_input_is_one_row_at_once() -> None:
    app = make_app(SOURCE + "CREATE TABLE r AS SELECT count(*) AS n, sum(amount) AS total FROM s;")
    assert rows(app, "r") == [(0, None)]


def test_state_in_a_folder_is_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="not supported yet"):
        App("t", state="/nowhere")


def test_secrets_come_from_the_environment_and_are_never_shown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KAFKA_PW", "hunter2")
    app = App("t")
    with pytest.raises(StreamMagicError) as caught:
        app.execute(
            "CREATE SOURCE k (a INT) WITH (connector = 'kafka', brokers = '127.0.0.1:1', topic = 't', username = 'u',"
            " password = secret('KAFKA_PW'), colour = 'red')"
        )
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ConfigError, match="there is no secret 'NOPE'") as missing:
        app.execute(
            "CREATE SOURCE k (a INT) WITH (connector = 'kafka', brokers = 'x', topic = 't', password = secret('NOPE'))"
        )
    assert "environment variable NOPE" in str(missing.value.hint)
    with pytest.raises(ConfigError, match="no environment variable NOPE"):
        app.execute(
            "CREATE SOURCE k (a INT) WITH (connector = 'kafka', brokers = '${NOPE}', topic = 't')"
        )
    app.execute("CREATE SECRET pw WITH (env = 'KAFKA_PW')")
    assert app.execute("SHOW SECRETS").to_pylist() == [{"name": "pw"}]


def test_show_describe_and_explain_answer() -> None:
    app = make_app(SOURCE + "CREATE TABLE r AS SELECT id, sum(amount) AS total FROM s GROUP BY id;")
    assert app.execute("SHOW ALL").to_pylist() == [
        {"name": "s", "kind": "source", "state": "stopped"},
        {"name": "r", "kind": "table", "state": "stopped"},
    ]
    described = app.execute("DESCRIBE r").to_pylist()
    assert [(d["column"], d["type"], d["note"]) for d in described] == [
        ("id", "INTEGER", "key"),
        ("total", "HUGEINT", ""),
    ]
    assert "partials merged" in app.execute("EXPLAIN r")
    assert "linear" in app.execute("EXPLAIN SELECT id + 1 AS n FROM s")
    options = app.execute("DESCRIBE CONNECTOR kafka").to_pylist()
    assert {"brokers", "topic"} <= {o["option"] for o in options}
    assert app.execute("SELECT count(*) AS n FROM r").to_pylist() == [{"n": 0}]


def test_a_new_query_first_gets_what_its_input_kept() -> None:
    app = make_app()
    app.push("s", [{"id": i, "amount": 1} for i in range(10)])
    app.step()
    app.execute("CREATE TABLE late AS SELECT count(*) AS n FROM s")
    assert rows(app, "late") == [(10,)]
    app.push("s", [{"id": 1, "amount": 1}])
    app.step()
    assert rows(app, "late") == [(11,)]


def test_a_result_from_cut_history_says_from_when_it_is_complete() -> None:
    app = make_app("SET retention = '5 rows';" + SOURCE)
    app.push("s", [{"id": i, "amount": 1} for i in range(10)])
    app.step()
    app.execute("CREATE TABLE late AS SELECT count(*) AS n FROM s")
    assert rows(app, "late") == [(5,)]
    assert "complete from epoch 2" in app.execute("DESCRIBE late").to_pylist()[0]["note"]


def test_errors_of_a_node_are_a_stream_that_queries_read() -> None:
    app = make_app(
        "CREATE SOURCE s (t VARCHAR) WITH (connector = 'memory');"
        "CREATE STREAM n AS SELECT CAST(t AS INT) AS i FROM s;"
        "CREATE TABLE bad AS SELECT code, count(*) AS n FROM errors.n GROUP BY code;"
    )
    app.push("s", [{"t": "1"}, {"t": "x"}, {"t": "3"}, {"t": "y"}])
    app.step()
    assert rows(app, "n") == [(1,), (3,)]
    assert rows(app, "bad") == [("SM5001", 2)]
    raw = app.sql("SELECT decode(raw), reason FROM errors.n").fetchall()
    assert raw[0][0] == '{"t": "x"}'
    assert "Could not convert string 'x' to INT32" in raw[0][1]
    assert app.status()["n"]["errors"] == 2


def test_a_query_over_cut_history_says_from_which_row_on_it_is() -> None:
    app = make_app("SET retention = '3 rows';" + SOURCE)
    app.push("s", [{"id": i, "amount": 1} for i in range(5)])
    app.step()
    app.execute("CREATE TABLE t AS SELECT count(*) AS n FROM s")
    assert rows(app, "t") == [(3,)]
    [warning] = app.warnings
    assert warning == (
        "t: its history begins at row 3 of s, older ones were let go; "
        "to keep more, SET retention = '6 rows' before s is created"
    )
    app.execute("CREATE TABLE u AS SELECT n + 1 AS m FROM t")
    assert app.warnings == [f"u: t is complete only from epoch {app.epoch - 1} on"]


def test_a_query_over_whole_history_is_not_warned_of() -> None:
    app = make_app("SET retention = '5 rows';" + SOURCE)
    app.push("s", [{"id": i, "amount": 1} for i in range(5)])
    app.step()
    app.execute("CREATE TABLE t AS SELECT count(*) AS n FROM s")
    assert app.warnings == []
