"""Random queries over random rows, from fixed seeds: a small part of what `make law` runs at length."""

from __future__ import annotations

import random

import duckdb
import pyarrow as pa
import pytest

from law.run import one_history
from support.compare import same
from support.grammar.figures import Figures
from support.grammar.golden import as_golden
from support.grammar.history import draw_history
from support.grammar.play import Difference, happen, shrink
from support.grammar.python import defined
from support.grammar.shapes import SHAPES, draw_query
from support.grammar.world import World
from support.law import Batch, Query
from support.sources import oracle

# What may be refused. The list only gets shorter: take out what has a rule.
REFUSED = frozenset(
    {
        "SM3011", "SM3043", "SM3046", "SM3052", "SM3056",
        "SM3062",
    }
)  # fmt: skip
_UNSUITED = 0.06  # of the queries may be none for DuckDB


@pytest.fixture(scope="module")
def run() -> tuple[Figures, list[Difference]]:
    total, differences = Figures(), []
    for seed in range(40):
        found, more = one_history(seed, queries=10, epochs=7)
        total.add(found)
        differences += more
    return total, differences


@pytest.fixture
def figures(run: tuple[Figures, list[Difference]]) -> Figures:
    return run[0]


def test_results_are_duckdbs_after_every_epoch(run: tuple[Figures, list[Difference]]) -> None:
    figures, differences = run
    texts = [f"{as_golden(small)}\n{small.message}" for small in map(shrink, differences[:3])]
    assert not texts, "\n\n".join(texts)
    assert figures.comparisons > 500
    assert figures.met["undo:nothing is left in the state"] > 20
    assert figures.met["cuts:a row an epoch"]
    assert figures.met["cuts:all in one epoch"]


def test_only_what_is_listed_is_refused(figures: Figures) -> None:
    new = {code: text for code, text in figures.refusals.items() if code not in REFUSED}
    assert not new


def test_the_grammar_speaks_duckdb(figures: Figures) -> None:
    asked = figures.queries + figures.refused.total() + figures.unsuited.total()
    assert figures.unsuited.total() < _UNSUITED * asked, figures.unsuited.most_common(5)


@pytest.mark.parametrize("form", [shape.__name__ for _, shape in SHAPES])
def test_a_twin_has_one_answer(form: str) -> None:
    """The same rows in another order in DuckDB's tables: every tie is written out."""
    with defined():
        _twins_have_one_answer(form)


def _twins_have_one_answer(form: str) -> None:
    for seed in range(6):
        rng = random.Random(seed)
        world = World.draw(rng)
        drawn = [draw_query(rng, world, form) for _ in range(8)]
        tables = {"c0": world.cache} if world.cache else {}
        batch = Batch([t.source() for t in world.sources], tables, world.joins)
        for event in draw_history(rng, world, 8):
            happen(batch, event)
        answers = [_answer(batch, d.twin) for d in drawn]
        for name in (*batch.sources, *(j.name for j in batch.joined)):
            oracle().execute(
                f"CREATE OR REPLACE TEMP TABLE {name}_n AS FROM {name}_n ORDER BY hash(_n)"
            )
        for d, answer in zip(drawn, answers, strict=True):
            if answer is not None:
                again = oracle().sql(d.twin).to_arrow_table()
                same(again, answer, d.twin, batch.scale())


def _answer(batch: Batch, twin: str) -> pa.Table | None:
    try:
        return batch.expected(Query(twin))
    except duckdb.Error:
        return None  # counted by the run above
