"""What a row of a changelog found or drew goes with it when it is taken back, whatever has changed since."""

from __future__ import annotations

import tempfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import stream_magic
from stream_magic.contracts.testkit import ManualClock
from stream_magic.engine.key_index import make_index
from support.cases import PROFILE
from support.compare import same_deltas

QUERIES = {
    "random": "SELECT k, random() AS r FROM c",
    "uuid": "SELECT uuid() AS u, k FROM c WHERE random() < 0.7",
    "now": "SELECT k, now() AS at, current_date AS day FROM c",
    "found": "SELECT c.k, p.name FROM c LEFT JOIN p ON p.k = c.k",
    "several": "SELECT c.k, p.name, random() AS r FROM c JOIN p ON p.k >= c.k",
    "semi": "SELECT k FROM c WHERE EXISTS (SELECT 1 FROM p WHERE p.k = c.k)",
    "scalar": "SELECT k, (SELECT max(name) FROM p WHERE p.k <= c.k) AS m FROM c",
    "over groups": "SELECT k, count(*) AS n, uuid() AS u FROM c GROUP BY k HAVING random() < 0.8",
    "below groups": "SELECT p.name, count(*) AS n, sum(random()) AS s FROM c LEFT JOIN p ON p.k = c.k GROUP BY p.name",
    "below a join": "SELECT x.k, x.r, y.n FROM (SELECT k, random() AS r FROM c) x "
    "JOIN (SELECT k, count(*) AS n FROM c GROUP BY k) y USING (k)",
    "condition": "SELECT a.k FROM c a JOIN c b ON a.k = b.k AND random() < 0.5",
    "top": "SELECT k, random() AS r FROM c ORDER BY r LIMIT 2",
    "unnest": "SELECT k, e, random() AS r FROM c, unnest([1, 2]) AS n(e)",
}  # fmt: skip
keys = st.integers(0, 4)
# Each step pushes keys, takes some of them back, and may swap the cache.
steps = st.lists(
    st.tuples(st.lists(keys, max_size=5), st.lists(st.integers(0, 10), max_size=4), st.dictionaries(keys, keys)),
    min_size=1, max_size=4,
)  # fmt: skip


CACHE = pa.schema([("k", pa.int32()), ("name", pa.string())])


class Play:
    """An app with a changelog `c`, a cache `p` and one query; what it gave so far."""

    def __init__(self, folder: str, query: str) -> None:
        path = f"{folder}/p.parquet"
        pq.write_table(CACHE.empty_table(), path)
        self.clock = ManualClock("2026-01-01 00:00:00")
        self.app = stream_magic.App("remember", clock=self.clock)
        self.there: list[int] = []
        self.deltas: list[pa.Table] = []
        self.app.execute(
            "CREATE SOURCE c (k INT) WITH (connector = 'memory', changelog = true);"
            f"CREATE CACHE p KEY (k) WITH (connector = 'file', path = '{path}');"
            f"CREATE TABLE r AS {query}"
        )
        self.app.step()
        self.empty = self.app["r"].preview()
        self.app["r"].subscribe(lambda _epoch, delta: self.deltas.append(delta))

    def swap(self, names: dict[int, int]) -> None:
        """Other rows in the cache from now on."""
        rows = [{"k": k, "name": f"n{v}"} for k, v in names.items()]
        table = pa.Table.from_pylist(rows, schema=CACHE)
        engine = self.app._engine
        with engine.between_epochs():
            engine.database.replace_cache("p", table, make_index(table, ("k",)))

    def step(self, added: list[int], taken: list[int]) -> None:
        back = [self.there.pop(i % len(self.there)) for i in taken if self.there]
        self.there += added
        weights = [1] * len(added) + [-1] * len(back)
        self.app.push("c", [{"k": k} for k in (*added, *back)], weights)
        self.clock.advance(1)
        self.app.step()

    def check(self) -> None:
        status = self.app.status()["r"]
        assert (status["state"], status["errors"]) == ("stopped", 0), status["message"]
        same_deltas(self.deltas, self.app["r"].preview(), "deltas")

    def kept_rows(self) -> int:
        """In all tables of the query's state."""
        con = self.app._engine.database.cursor()
        tables = con.execute(
            "SELECT table_name FROM duckdb_tables() WHERE regexp_matches(table_name, '^[bg][0-9]+$')"
        ).fetchall()
        assert tables
        return sum(con.execute(f"SELECT count(*) FROM {t}").fetchall()[0][0] for (t,) in tables)


@PROFILE
@pytest.mark.parametrize("name", QUERIES)
@given(steps)
def test_what_is_taken_back_is_what_was_given(name: str, played: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        play = Play(folder, QUERIES[name])
        for added, taken, names in played:
            play.swap(names)
            play.step(added, taken)
            play.check()
        play.step([], [0] * len(play.there))
        play.check()
        assert play.app["r"].preview().equals(play.empty)
        assert play.kept_rows() == 0
        play.app.close()


def test_a_row_that_stays_keeps_what_it_drew() -> None:
    with tempfile.TemporaryDirectory() as folder:
        play = Play(folder, "SELECT c.k, p.name, random() AS r FROM c LEFT JOIN p ON p.k = c.k")
        play.swap({1: 1, 2: 2})
        play.step([1, 2], [])
        before = play.app["r"].preview().to_pylist()
        play.swap({1: 7})
        play.step([1], [1])
        after = play.app["r"].preview().to_pylist()
        assert before[0] in after
        assert sorted((row["k"], row["name"]) for row in after) == [(1, "n1"), (1, "n7")]
        play.app.close()
