from __future__ import annotations

from typing import Any

import pytest

from stream_magic import App
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import LanguageError

CELL = """
CREATE SOURCE s (id INT, amount INT) WITH (connector = 'memory', changelog = true);
CREATE TABLE totals AS SELECT id, sum(amount) AS total FROM s GROUP BY id;
"""


def make_app(target: str) -> App:
    app = App("t", clock=ManualClock("2026-01-01"))
    app.execute(CELL + target)
    return app


def delivered(app: App) -> list[dict[str, Any]]:
    app.drain()
    rows: list[dict[str, Any]] = app._engine.flow["t"].deliverer.target.rows().to_pylist()
    return rows


def test_an_upsert_gets_the_new_row_of_a_key_and_its_deletion() -> None:
    app = make_app("CREATE TARGET t FROM totals WITH (connector = 'memory', key = 'id')")
    app.push("s", [{"id": 1, "amount": 5}, {"id": 2, "amount": 7}], weights=[1, 1])
    app.step()
    assert len(delivered(app)) == 2  # two epochs may be delivered as one
    app.push("s", [{"id": 1, "amount": 6}, {"id": 2, "amount": 7}], weights=[1, -1])
    app.step()
    rows = delivered(app)
    assert sorted(rows[:2], key=lambda r: r["id"]) == [
        {"id": 1, "total": 5, "_weight": 1},
        {"id": 2, "total": 7, "_weight": 1},
    ]
    assert sorted(rows[2:], key=lambda r: r["id"]) == [
        {"id": 1, "total": 11, "_weight": 1},
        {"id": 2, "total": 7, "_weight": -1},
    ]
    app.close()


def test_a_changelog_is_delivered_change_by_change_where_the_target_takes_it() -> None:
    app = make_app("CREATE TARGET t FROM totals WITH (connector = 'memory')")
    app.push("s", [{"id": 1, "amount": 5}], weights=[1])
    app.step()
    app.push("s", [{"id": 1, "amount": 6}], weights=[1])
    app.step()
    assert delivered(app) == [
        {"id": 1, "total": 5, "_weight": 1},
        {"id": 1, "total": 5, "_weight": -1},
        {"id": 1, "total": 11, "_weight": 1},
    ]
    app.close()


def test_a_target_that_comes_later_first_gets_what_was_kept() -> None:
    app = make_app("CREATE SOURCE a (id INT) WITH (connector = 'memory')")
    app.push("a", [{"id": 1}, {"id": 2}])
    app.step()
    app.execute("CREATE TARGET t FROM a WITH (connector = 'memory')")
    app.push("a", [{"id": 3}])
    app.step()
    assert delivered(app) == [{"id": 1}, {"id": 2}, {"id": 3}]
    app.close()


def test_a_target_whose_stream_was_changed_goes_on_with_what_comes() -> None:
    app = make_app(
        "CREATE SOURCE a (id INT) WITH (connector = 'memory'); CREATE STREAM b AS SELECT id FROM a;"
        "CREATE TARGET t FROM b WITH (connector = 'memory')"
    )
    app.push("a", [{"id": 1}])
    app.step()
    before = delivered(app)
    app.execute("CREATE STREAM b AS SELECT id * 10 AS id FROM a")
    app.push("a", [{"id": 2}])
    app.step()
    assert before == [{"id": 1}]
    assert delivered(app) == [{"id": 20}]
    app.close()


def test_the_key_of_a_target_is_a_column() -> None:
    with pytest.raises(LanguageError, match="unknown column 'idd'"):
        make_app("CREATE TARGET t FROM totals WITH (connector = 'memory', key = 'idd')")
