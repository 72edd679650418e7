"""What is put in and taken back again leaves nothing: the result is that of an empty input."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from support.cases import PROFILE, groups, rows, source
from support.law import Query, Trial


@PROFILE
@given(
    st.lists(groups(by_arrival=False), min_size=2, max_size=3),
    st.lists(rows, min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_taking_everything_back_gives_the_empty_result(
    queries: list[Query], given_rows: Any, order: Any
) -> None:
    with Trial([source(options="changelog = true")], queries) as trial:
        empty = [trial.result(i) for i in range(len(queries))]
        trial.push(given_rows)
        trial.step()
        back = list(given_rows)
        order.shuffle(back)
        half = len(back) // 2
        for part in (back[:half], back[half:]):
            trial.push(part, [-1] * len(part))
            trial.step()
        for i, before in enumerate(empty):
            after: pa.Table = trial.result(i)
            assert after.equals(before), queries[i].sql
