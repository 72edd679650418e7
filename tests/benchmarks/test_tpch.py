"""TPC-H: its 22 queries over streams of inserts and deletes are the batch answer after every refresh.

One app runs all of them over changelogs of the eight tables; DuckDB answers the same texts over the
rows that are there.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import stream_magic
from support.compare import same, same_deltas

pytestmark = pytest.mark.services

SCRIPT = Path(__file__).parents[1] / "services" / "tpch.sh"
QUERIES = range(1, 23)
# Of the rows that are not there so many come, of those that are there so many go, in each refresh.
REFRESHES = ((0.5, 0.0), (0.3, 0.02), (0.02, 0.3), (1.0, 0.0), (0.0, 0.01), (0.5, 0.5))
_SMALL = ("region", "nation")  # all there from the first refresh on, and never leave


class Tables:
    """All rows of the tables, and which of them are there."""

    def __init__(self, folder: Path) -> None:
        self.rows = {p.stem: pq.read_table(p) for p in sorted(folder.glob("*.parquet"))}
        self.there = {name: np.zeros(t.num_rows, bool) for name, t in self.rows.items()}
        self._random = np.random.default_rng(1)

    def declare(self, name: str) -> str:
        described = duckdb.from_arrow(self.rows[name])
        columns = zip(described.columns, described.types, strict=True)
        listed = ", ".join(f"{column} {kind}" for column, kind in columns)
        return f"CREATE SOURCE {name} ({listed}) WITH (connector = 'memory', changelog = true)"

    def refresh(self, name: str, come: float, go: float) -> tuple[pa.Table, list[int]]:
        """The change of one table: rows and their weights, mixed."""
        there, dice = self.there[name], self._random.random(self.rows[name].num_rows)
        is_new, is_gone = ~there & (dice < come), there & (dice < go)
        if name in _SMALL:
            is_new, is_gone = ~there, there & False
        self.there[name] = (there | is_new) & ~is_gone
        changed = self._random.permutation(np.flatnonzero(is_new | is_gone))
        return self.rows[name].take(changed), np.where(is_gone[changed], -1, 1).tolist()

    def batch(self, text: str) -> pa.Table:
        with duckdb.connect() as con:
            for name, rows in self.rows.items():
                con.register(name, rows.filter(pa.array(self.there[name])))
            return con.sql(text).to_arrow_table()


@pytest.fixture(scope="module")
def folder() -> Path:
    made = subprocess.run(["bash", SCRIPT], capture_output=True, text=True, check=True)
    return Path(made.stdout.split()[-1])


@pytest.fixture(scope="module")
def texts(folder: Path) -> dict[int, str]:
    return {n: (folder / f"q{n:02}.sql").read_text().strip().rstrip(";") for n in QUERIES}


Answers = dict[int, list[tuple[pa.Table, pa.Table, list[pa.Table]]]]


@pytest.fixture(scope="module")
def answers(folder: Path, texts: dict[int, str]) -> Iterator[Answers]:
    """Of each query after each refresh: the app's result, DuckDB's, and the deltas so far."""
    tables, app = Tables(folder), stream_magic.App("tpch")
    deltas: dict[int, list[pa.Table]] = {n: [] for n in QUERIES}
    for name in tables.rows:
        app.execute(tables.declare(name))
    for n in QUERIES:
        app.execute(f"CREATE TABLE q{n} AS {texts[n]}")
        app[f"q{n}"].subscribe(lambda _epoch, delta, n=n: deltas[n].append(delta))
    found: Answers = {n: [] for n in QUERIES}
    for come, go in REFRESHES:
        for name in tables.rows:
            app.push(name, *tables.refresh(name, come, go))
        app.step()
        status = app.status()
        assert not {n: s["message"] for n, s in status.items() if s["state"] == "failed"}
        assert not [n for n, s in status.items() if s["errors"]]
        for n in QUERIES:
            ours = app[f"q{n}"].preview(1_000_000)
            found[n].append((ours, tables.batch(texts[n]), list(deltas[n])))
    yield found
    app.close()


@pytest.mark.parametrize("n", QUERIES)
def test_a_query_is_the_batch_answer_after_every_refresh(n: int, answers: Answers) -> None:
    for number, (ours, batch, deltas) in enumerate(answers[n]):
        same(ours, batch, f"q{n} after refresh {number}")
        same_deltas(deltas, ours, f"q{n} after refresh {number}")
    assert any(batch.num_rows for _, batch, _ in answers[n]), "a query without rows shows nothing"
