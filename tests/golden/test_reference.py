"""Every example of docs/language runs, is what DuckDB answers after each epoch, and shows the result of now."""

from __future__ import annotations

import pyarrow as pa
import pytest
import reference

from stream_magic.language.parser import parse
from stream_magic.language.statements import CreateTable
from support.compare import same
from support.sources import oracle

_SCALE = 1000.0  # of the sample's numbers
_ALL = 1_000_000
QUERIES = [e for p in reference.pages() for e in reference.examples(p) if e.kind == "sql"]


@pytest.fixture(scope="module")
def played() -> tuple[list[str], list[pa.Table]]:
    """What differed, and the last results."""
    differences: list[str] = []
    with reference.sample_app() as app:
        for rows in reference.run_queries(app, QUERIES):
            _load(rows)
            results = [app[reference.name_of(i)].preview(_ALL) for i in range(len(QUERIES))]
            for example, result in zip(QUERIES, results, strict=True):
                try:
                    same(
                        result, oracle().sql(example.oracle).to_arrow_table(), example.text, _SCALE
                    )
                except AssertionError as e:
                    differences.append(f"{example.page}: {e}")
    return differences, results


def test_examples_are_what_duckdb_answers_after_each_epoch(
    played: tuple[list[str], list[pa.Table]],
) -> None:
    assert not played[0], "\n\n".join(played[0])


def test_pages_show_the_results_of_now(played: tuple[list[str], list[pa.Table]]) -> None:
    results = {
        (e.page, e.start): reference.shown(r) for e, r in zip(QUERIES, played[1], strict=True)
    }
    for example, value in reference.run_cells():
        results[example.page, example.start] = reference.shown(value)
    for path in reference.pages():
        assert path.read_text(encoding="utf-8") == reference.with_results(path, results), (
            "run `make docs`"
        )


def _load(rows: dict[str, pa.Table]) -> None:
    """The tables of the examples, as they are in DuckDB."""
    con = oracle()
    for name, table in rows.items():
        con.register("_rows", table)
        con.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS FROM _rows")
        con.unregister("_rows")
    for name in reference.sample().files:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {name.partition('.')[0]} AS FROM read_csv('{name}')"
        )
    for statement in parse(reference.sample().statements):
        if isinstance(statement, CreateTable):
            con.execute(
                f"CREATE OR REPLACE TEMP VIEW {statement.name.text} AS {statement.query.span.fragment}"
            )
