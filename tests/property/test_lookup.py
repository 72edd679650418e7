"""A lookup by key gives what the join gives, row for row and in order of arrival."""

from __future__ import annotations

import dataclasses
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic.core.change import SEQ, SEQ_FIELD
from stream_magic.engine.key_index import make_index
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.operators.compute import ComputeOperator
from stream_magic.engine.row_errors import RowErrors
from stream_magic.engine.state import Database
from stream_magic.language.catalog import Relation
from stream_magic.planner.nodes import Compute, Read
from stream_magic.planner.parts import Lookup
from support.cases import PROFILE, epochs, source
from support.law import Query, Trial

ROWS = pa.schema([("k", pa.int64()), ("g", pa.string()), SEQ_FIELD])
CACHE = pa.schema([("k", pa.int64()), ("g", pa.string()), ("v", pa.int64())])
GIVEN = pa.schema([*CACHE, ("part", pa.int64()), SEQ_FIELD])
numbers = st.none() | st.integers(-2, 6) | st.sampled_from([10**12, -(10**12)])
texts = st.none() | st.sampled_from(["", "a", "b", "ä", "\N{GRINNING FACE}"])
rows = st.lists(st.tuples(numbers, texts), max_size=30)
loads = st.dictionaries(st.tuples(numbers, texts), st.none() | st.integers(0, 9), max_size=12)


def operators(database: Database, key: tuple[str, ...], *, is_inner: bool) -> list[ComputeOperator]:
    """The same query with the join, and with the lookup."""
    test = " AND ".join(f"c.{k} = _in.{k}" for k in key)
    select = "SELECT _in.k, _in.g, c.v, 10 // c.v AS part, _in._sm_seq FROM _in"
    join = Compute(
        input=Read(Relation("s", "source", ROWS, ("BIGINT", "VARCHAR", "BIGINT"))),
        sql=f'{select} {"" if is_inner else "LEFT"} JOIN "caches"."c" AS c ON {test}',
        visible=("k", "g", "v", "part"), hidden=(SEQ,), schema=GIVEN, types=("BIGINT", "VARCHAR", "BIGINT", "BIGINT"),
        caches=("c",),
    )  # fmt: skip
    lookup = dataclasses.replace(
        join,
        lookups=(Lookup("c", tuple((k,) for k in key), ("v",), is_inner),),
        lookup_sql=f"{select} POSITIONAL JOIN _found0 AS c",
    )
    return [ComputeOperator(plan, ROWS, database) for plan in (join, lookup)]


@PROFILE
@given(
    st.sampled_from([("k",), ("g",), ("k", "g")]), st.booleans(),
    st.lists(st.tuples(loads, rows), min_size=1, max_size=20),
)  # fmt: skip
def test_a_lookup_is_the_join_also_after_the_cache_was_swapped(
    key: tuple[str, ...], is_inner: bool, epochs_: Any
) -> None:
    database = Database()
    database.replace_cache("c", CACHE.empty_table(), make_index(CACHE.empty_table(), key))
    pair = operators(database, key, is_inner=is_inner)
    for load, taken in epochs_:
        by_key = {
            tuple(dict(zip("kg", k, strict=True))[n] for n in key): (*k, v) for k, v in load.items()
        }
        cache = pa.Table.from_pylist(
            [dict(zip("kgv", row, strict=True)) for row in by_key.values()], schema=CACHE
        )
        database.replace_cache("c", cache, make_index(cache, key))
        delta = pa.Table.from_pylist(
            [{"k": k, "g": g, SEQ: i} for i, (k, g) in enumerate(taken)], schema=ROWS
        )
        turns = [Turn(RowErrors((delta,)), len(taken)) for _ in pair]
        joined, looked_up = (o.run((delta,), t) for o, t in zip(pair, turns, strict=True))
        assert looked_up.equals(joined)
    database.close()


def test_many_rows_stay_beside_what_they_found() -> None:
    """More than one chunk on both sides, and rows that are left out in between."""
    rng = np.random.default_rng(1)
    keys = rng.permutation(200_000)[:100_000] * 10**6
    cache = pa.table({"k": keys, "g": ["x"] * len(keys), "v": rng.integers(1, 5, len(keys))})
    database = Database()
    database.replace_cache("c", cache, make_index(cache, ("k",)))
    asked = np.append(rng.choice(keys, 90_000), rng.integers(0, 10**9, 10_000))
    rng.shuffle(asked)
    delta = pa.table(
        {"k": asked, "g": [None] * len(asked), SEQ: np.arange(len(asked))}, schema=ROWS
    )
    for is_inner in (True, False):
        pair = operators(database, ("k",), is_inner=is_inner)
        joined, looked_up = (o.run((delta,), Turn(RowErrors((delta,)), 0)) for o in pair)
        assert looked_up.equals(joined)
    database.close()


def test_without_an_index_the_join_is_run() -> None:
    database = Database()
    cache = pa.table({"k": [1], "g": ["a"], "v": [2]}, schema=CACHE)
    database.replace_cache("c", cache, make_index(cache, ("k",)))
    operator = operators(database, ("k",), is_inner=True)[1]
    database.replace_cache("c", cache, None)
    delta = pa.table({"k": [1, 3], "g": ["x", "y"], SEQ: [1, 2]}, schema=ROWS)
    assert operator.run((delta,), Turn(RowErrors((delta,)), 2)).column("v").to_pylist() == [2]
    database.close()


KEYS = {
    "c_id": ("id", [1, 2, -(2**20), 2**20, 7]), "c_b": ("b", [0, 2**62, -1]), "c_g": ("g", ["", "a", "日本"]),
    "c_t": ("t", [True]), "c_n": ("day", None), "c_2": ("id, g", None),
}  # fmt: skip
QUERIES = [
    "SELECT s.id, c_id.name FROM s JOIN c_id ON c_id.id = s.id",
    "SELECT * FROM s LEFT JOIN c_id USING (id)",
    "SELECT s.g, name FROM s LEFT JOIN c_g ON s.g = c_g.g WHERE name IS NULL OR s.id > 0",
    "SELECT s.id FROM s JOIN c_g USING (g)",
    "SELECT s.*, c_b.name FROM s JOIN c_b ON c_b.b = s.id",
    "SELECT s.id, c_b.* FROM s LEFT JOIN c_b ON c_b.b = s.o.a",
    "SELECT o.id, 1 // (o.id - 1) AS x, c_t.name FROM s AS o JOIN c_t ON o.t = c_t.t",
    "SELECT name, count(*) AS n, sum(s.id) AS total FROM s LEFT JOIN c_2 ON c_2.g = s.g AND c_2.id = s.id GROUP BY name",
    "SELECT s.id, a.name, b.name AS other FROM s LEFT JOIN c_id a ON a.id = s.id JOIN c_g b ON b.g = s.g",
    "SELECT q.id + 1 AS next, q.name FROM (SELECT s.id, name FROM s JOIN c_id ON c_id.id = s.b) q WHERE q.id IS NOT NULL",
]  # fmt: skip


def caches() -> dict[str, pa.Table]:
    two = {"id": [1, 2, 2], "g": ["a", "a", None]}
    tables = {n: {k: v} for n, (k, v) in KEYS.items() if v is not None}
    tables["c_2"] = two
    return {
        n: pa.table({**t, "name": [f"{n}{i}" for i in range(len(next(iter(t.values()))))]})
        for n, t in tables.items()
    }


@PROFILE
@given(st.lists(st.sampled_from(QUERIES), min_size=4, max_size=5, unique=True), epochs)
def test_lookups_by_key_keep_the_law(queries: list[str], pushes: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        setup = []
        for name, table in caches().items():
            pq.write_table(table, f"{folder}/{name}.parquet")
            setup.append(
                f"CREATE CACHE {name} KEY ({KEYS[name][0]}) WITH (connector = 'file', path = '{folder}/{name}.parquet')"
            )
        with Trial([source()], [Query(q) for q in queries], setup, caches()) as trial:
            for pushed in pushes:
                trial.push(pushed)
                trial.step()


@pytest.mark.parametrize("query", [
    "SELECT id FROM s WHERE b IN (SELECT _c{} FROM c WHERE c.id = s.id)",
    "SELECT id, (SELECT count(*) FROM c WHERE _c{} > b) AS n FROM s",
    "SELECT id, b NOT IN (SELECT _c{} FROM c) AS n FROM s",
])  # fmt: skip
@pytest.mark.parametrize("number", range(6))
def test_a_cache_may_have_columns_that_are_called_like_those_of_a_plan(
    query: str, number: int, tmp_path: Path
) -> None:
    table = pa.table({"id": [0, 1, 2], f"_c{number}": [2, 0, 1]})
    pq.write_table(table, tmp_path / "c.parquet")
    setup = f"CREATE CACHE c KEY (id) WITH (connector = 'file', path = '{tmp_path}/c.parquet')"
    with Trial([source()], [Query(query.format(number))], [setup], {"c": table}) as trial:
        trial.push([{"id": i % 3, "b": i // 3} for i in range(9)])
        trial.step()
