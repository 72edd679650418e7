"""SQL texts in which the engine puts its tables."""

from __future__ import annotations

import pytest

from stream_magic.engine.operators.template import fill, with_condition


def test_places_in_strings_and_structs_are_none() -> None:
    sql = "SELECT {'a': 1}, '{0}''{1}' FROM {1} JOIN {0}"
    assert fill(sql, ["x", "y"]) == "SELECT {'a': 1}, '{0}''{1}' FROM y JOIN x"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("a JOIN b ON x", "a JOIN b ON x WHERE c"),
        ("a WHERE x OR y", "a WHERE (x OR y) AND (c)"),
        ("(SELECT 1 WHERE z) AS a where x", "(SELECT 1 WHERE z) AS a WHERE (x) AND (c)"),
        ("(SELECT count(*) FILTER (WHERE z)) AS a", "(SELECT count(*) FILTER (WHERE z)) AS a WHERE c"),
        ("a JOIN b ON x = ' WHERE (' AND \"where\" = 1", "a JOIN b ON x = ' WHERE (' AND \"where\" = 1 WHERE c"),
    ],
)  # fmt: skip
def test_a_condition_is_added_to_the_outer_where(given: str, expected: str) -> None:
    assert with_condition(given, "c") == expected
    assert with_condition(given, "") == given
