"""FOR SYSTEM_TIME AS OF is an ASOF join of the rows that were not late, however early state is forgotten."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from support.cases import PROFILE, START
from support.events import Judge
from support.law import Query, Trial
from support.sources import Source

DELAY = timedelta(seconds=3)
_JOINS = {
    "inner": ("JOIN", "ASOF JOIN", ""),
    "left": ("LEFT JOIN", "ASOF LEFT JOIN", ""),
    "chain": ("", "", ""),
    "where": ("LEFT JOIN", "ASOF LEFT JOIN", " WHERE r.v IS DISTINCT FROM 1 AND o.id > 1"),
}
_SHOWN = "o.id, o.k, r.v, r.ts AS since"


def query(name: str, keys: tuple[str, ...]) -> Query:
    join, asof, where = _JOINS[name]
    on = " AND ".join(f"{k.format('r')} = {k.format('o')}" for k in keys)
    by = ", ".join(k.format("q") for k in keys)
    good = "(SELECT * FROM {}_n WHERE _wm IS NULL OR ts IS NULL OR ts >= _wm)"
    first = f"(SELECT DISTINCT ON ({by}, ts) * FROM {good.format('r')} q ORDER BY {by}, ts, k, g, v NULLS LAST)"
    if name == "chain":
        return Query(
            f"SELECT o.id, r.v, q.v AS w FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts AS r ON {on} "
            "LEFT JOIN r FOR SYSTEM_TIME AS OF o.ts AS q ON q.k = r.v",
            f"SELECT o.id, r.v, q.v AS w FROM {good.format('o')} o ASOF JOIN {first} r ON {on} AND o.ts >= r.ts "
            f"ASOF LEFT JOIN (SELECT DISTINCT ON (k, ts) * FROM {good.format('r')} q ORDER BY k, ts, g, v NULLS LAST) q "
            "ON q.k = r.v AND o.ts >= q.ts",
        )
    return Query(
        f"SELECT {_SHOWN} FROM o {join} r FOR SYSTEM_TIME AS OF o.ts AS r ON {on}{where}",
        f"SELECT {_SHOWN} FROM {good.format('o')} o {asof} {first} r ON {on} AND o.ts >= r.ts{where}",
    )


def times(base: int) -> st.SearchStrategy[Any]:
    return st.integers(0, 6).map(lambda s: START + timedelta(seconds=base + s))


@st.composite
def steps(draw: Any) -> list[list[tuple[str, dict[str, Any]]]]:
    """Time goes on from epoch to epoch; within one it goes to and fro."""
    found = []
    for number in range(draw(st.integers(1, 6))):
        time = times(4 * number)
        key = {"k": st.sampled_from([None, 1, 1, 2]), "g": st.sampled_from(["a", "A", "b"])}
        row = st.tuples(
            st.just("o"),
            st.fixed_dictionaries({"id": st.integers(0, 5), **key, "ts": st.none() | time}),
        )
        version = st.tuples(
            st.just("r"),
            st.fixed_dictionaries({**key, "v": st.none() | st.integers(0, 3), "ts": time}),
        )
        found.append(draw(st.lists(row | version, max_size=8)))
    return found


@PROFILE
@pytest.mark.parametrize("forget_rows", [0, 20_000])
@pytest.mark.parametrize("keys", [("{}.k",), ("{}.k", "upper({}.g)")], ids=["one key", "two keys"])
@pytest.mark.parametrize("name", _JOINS)
@given(steps())
def test_versions_keep_the_law(
    name: str, keys: tuple[str, ...], forget_rows: int, played: Any
) -> None:
    def made(source: str, columns: str) -> Source:
        judge = Judge(1, DELAY, timedelta(0), "ts")
        return Source(source, f"{columns}, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL 3 SECONDS", "", judge)  # fmt: skip

    sources = [made("o", "id INT, k INT, g VARCHAR"), made("r", "k INT, g VARCHAR, v INT")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stream_magic.engine.operators.join._FORGET_ROWS", forget_rows)
        with Trial(sources, [query(name, keys)]) as trial:
            for pushed in played:
                for source, row in pushed:
                    trial.push([row], source=source)
                trial.step()
            for source in ("r", "o"):
                trial.end(source)
