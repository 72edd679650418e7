"""Groups and partitions that cannot be computed: what is there is a function of the rows, wherever epochs are cut."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.cases import PROFILE, source
from support.law import Query, Trial

COLUMNS = "k VARCHAR, n INTEGER, v DOUBLE, d DECIMAL(38,0)"
HUGE = 9 * 10**37
# Kurtosis is out of range with infinity among more than 3 values; 128 bits hold not even two of HUGE.
INFINITE = "SELECT k FROM s GROUP BY k HAVING count(v) > 3 AND bool_or(isinf(v))"
DISTINCT = "SELECT k FROM s GROUP BY k HAVING count(DISTINCT v) > 3 AND bool_or(isinf(v))"
OVERFLOWING = "SELECT k FROM s GROUP BY k HAVING abs(sum(d::DOUBLE)) > 1.7e38"
ORDERED = "list_sum(list(d ORDER BY abs(d), i))"
ALTERNATING = "SELECT *, row_number() OVER (PARTITION BY k, d ORDER BY n) AS i FROM s"


def query(select: str, bad: str = "", rows: str = "s") -> Query:
    """The query, and the same without the rows of bad groups (or that are bad)."""
    return Query(select, select.replace("FROM s", f"FROM {rows} WHERE {bad}"))


QUERIES = [
    query("SELECT k, count(*) AS c, kurtosis(v) AS x FROM s GROUP BY k", f"k NOT IN ({INFINITE})"),
    query("SELECT k, kurtosis(DISTINCT v) AS x FROM s GROUP BY k", f"k NOT IN ({DISTINCT})"),
    query("SELECT k, v, kurtosis(v) OVER (PARTITION BY k) AS x FROM s", f"k NOT IN ({INFINITE})"),
    query("SELECT k, n, v, ntile(n) OVER (PARTITION BY k ORDER BY v, n) AS x FROM s", "n > 0"),
    query("SELECT n, count(*) OVER (ORDER BY n ROWS BETWEEN n PRECEDING AND CURRENT ROW) AS x FROM s", "n >= 0"),
    Query(
        "SELECT k, sum(d) AS x FROM s GROUP BY k",
        f"SELECT k, {ORDERED} AS x FROM ({ALTERNATING}) WHERE k NOT IN ({OVERFLOWING}) GROUP BY k",
    ),
]  # fmt: skip

events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from([-1, 0, 1, 2, 3]),
        st.sampled_from([1.0, 2.0, 3.0, 4.0, float("inf")]),
        st.sampled_from([0, 1, -1, HUGE, -HUGE]),
        st.booleans(),  # it is taken back later, where that can be
        st.booleans(),  # an epoch ends here
    ),
    max_size=20,
)


def row(event: Any) -> dict[str, Any]:
    return dict(zip(("k", "n", "v", "d"), event[:4], strict=True))


@PROFILE
@given(events)
def test_what_cannot_be_computed_is_not_there_and_comes_back(given_events: Any) -> None:
    """Sums of decimals over a changelog go by the order of the rows: they are asked of the other source only."""
    with Trial([source(options="changelog = true", columns=COLUMNS)], QUERIES[:-1]) as trial:
        back = []
        for event in given_events:
            trial.push([row(event)], [1])
            back += [row(event)] if event[4] else []
            if event[5]:
                trial.step()
                trial.push(back[:2], [-1] * len(back[:2]))
                back = back[2:]
        trial.step()


@PROFILE
@given(events)
def test_the_same_of_rows_that_stay(given_events: Any) -> None:
    with Trial([source(columns=COLUMNS)], QUERIES) as trial:
        for event in given_events:
            trial.push([row(event)])
            if event[5]:
                trial.step()
        trial.step()
