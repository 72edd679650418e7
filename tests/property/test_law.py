"""After every epoch: the sum of the deltas = the table = DuckDB over all input so far."""

from __future__ import annotations

import tempfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given
from hypothesis import strategies as st

from support.cases import PROFILE, epochs, groups, projections, rows, source
from support.law import Query, Row, Trial


def run(queries: list[Query], pushes: list[list[Row]], **options: Any) -> None:
    with Trial([source(**options)], queries) as trial:
        trial.check()
        for rows in pushes:
            trial.push(rows)
            trial.step()


@PROFILE
@given(st.lists(projections(), min_size=3, max_size=5), epochs)
def test_projections_and_filters_keep_the_law(queries: list[Query], pushes: Any) -> None:
    run(queries, pushes)


@PROFILE
@given(st.lists(groups(), min_size=3, max_size=5), epochs)
def test_groups_keep_the_law(queries: list[Query], pushes: Any) -> None:
    run(queries, pushes)


@PROFILE
@given(
    st.lists(groups(by_arrival=False), min_size=2, max_size=3),
    st.lists(st.lists(st.tuples(rows, st.booleans()), max_size=5), min_size=1, max_size=4),
)
def test_groups_and_filters_over_a_changelog_keep_the_law(
    queries: list[Query], pushes: Any
) -> None:
    """Rows come with +1 and -1; a second query reads the result of the first (group over group)."""
    more = [
        Query("SELECT id, g, o.a AS a FROM s WHERE id > 0 OR g IS NULL"),
        Query(
            "SELECT n, count(*) AS m, min(g) AS lo FROM grouped GROUP BY n",
            "SELECT n, count(*) AS m, min(g) AS lo FROM (SELECT g, count(*) AS n FROM s GROUP BY g) GROUP BY n",
        ),
        Query("SELECT * FROM grouped WHERE n > 1", "SELECT g, count(*) AS n FROM s GROUP BY g HAVING n > 1"),
    ]  # fmt: skip
    setup = ["CREATE TABLE grouped AS SELECT g, count(*) AS n FROM s GROUP BY g"]
    with Trial([source(options="changelog = true")], [*queries, *more], setup) as trial:
        trial.check()
        there: list[Row] = []
        for changes in pushes:
            sent, weights = [], []
            for row, takes_back in changes:
                if takes_back and there:
                    sent.append(there.pop(len(there) // 2))
                    weights.append(-1)
                else:
                    there.append(row)
                    sent.append(row)
                    weights.append(1)
            trial.push(sent, weights)
            trial.step()


LOOKUPS = [
    "SELECT s.id, s.g, c.name FROM s JOIN c ON c.id = s.id",
    "SELECT s.id, c.name, c.g AS other FROM s LEFT JOIN c ON c.id = s.id AND c.id < 3",
    "SELECT id, name FROM s JOIN c USING (id)",
    "SELECT s.g FROM s SEMI JOIN c USING (id)",
    "SELECT s.id, s.g FROM s ANTI JOIN c ON c.id = s.id",
    "SELECT name, count(*) AS n, sum(s.id) AS t FROM s JOIN c ON c.id = s.id GROUP BY name",
    "SELECT id FROM s WHERE id IN (SELECT id FROM c)",
    "SELECT s.id, q.name FROM c q RIGHT JOIN s ON q.id = s.id",
    "SELECT id, (SELECT max(name) FROM c WHERE c.id <= s.id) AS m FROM s",
]


@PROFILE
@given(st.lists(st.sampled_from(LOOKUPS), min_size=3, max_size=4, unique=True), epochs)
def test_lookups_in_a_cache_keep_the_law(queries: list[str], pushes: Any) -> None:
    known = pa.table({"id": [1, 2, 3, 3], "name": ["one", "two", "three", "drei"], "g": ["a"] * 4})
    last_wins = known.take([0, 1, 3])
    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(known, f"{folder}/c.parquet")
        cache = f"CREATE CACHE c KEY (id) WITH (connector = 'file', path = '{folder}/c.parquet')"
        with Trial([source()], [Query(q) for q in queries], [cache], {"c": last_wins}) as trial:
            for rows_pushed in pushes:
                trial.push(rows_pushed)
                trial.step()
