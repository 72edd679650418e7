"""EXPLAIN: the plan of a query, with each node's rule and what its state costs."""

from __future__ import annotations

from typing import Any

import stream_magic

SECTIONS = ("cell", "query", "plan")


def test_plan_is_explained(golden: Any) -> None:
    app = stream_magic.App("golden")
    app.execute(golden["cell"])
    queries = [s for s in golden.sections if s.name == "query"]
    plans = [s for s in golden.sections if s.name == "plan"]
    assert len(queries) == len(plans), "write an empty `plan` after each query"
    for query, plan in zip(queries, plans, strict=True):
        golden.check(plan, app.execute(f"EXPLAIN {query.body}"))
    app.close()
