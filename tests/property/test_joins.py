"""Joins of kept rows: after every epoch the sum of what was given is what DuckDB answers."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic.engine.operators.template import fill
from stream_magic.planner.nodes import Join, Read, Side
from support.cases import PROFILE
from support.compare import same
from support.programs import Event, Rig, out_schema, read
from support.sources import oracle

COLUMNS = ("k{} INTEGER", "v{} DOUBLE", "n{} VARCHAR", "h{} HUGEINT")


@dataclass(frozen=True)
class Template:
    """A FROM clause, how many sides, which are compared (with what a change touches), what is shown."""

    sql: str
    sides: int = 2
    touched: tuple[tuple[int, str], ...] = ()
    shown: tuple[int, ...] = (0, 1)
    columns: str = "kvnh"
    seq_sides: tuple[int, ...] = (0, 1)


LEFT = ((1, "EXISTS (SELECT 1 FROM _sm_delta AS d WHERE d.k1 = t0.k0)"),)
FULL = (
    (0, "EXISTS (SELECT 1 FROM _sm_delta AS d WHERE d.k0 IS NOT DISTINCT FROM t0.k0 OR d.k0 = t1.k1)"),
    (1, "EXISTS (SELECT 1 FROM _sm_delta AS d WHERE d.k1 IS NOT DISTINCT FROM t1.k1 OR d.k1 = t0.k0)"),
)  # fmt: skip
TEMPLATES = {
    "inner": Template("{0} AS t0 JOIN {1} AS t1 ON t0.k0 = t1.k1"),
    "inner, residual": Template(
        "{0} AS t0 JOIN {1} AS t1 ON t0.k0 = t1.k1 AND t0.v0 < t1.v1 WHERE t0.n0 <> '{0} WHERE' OR t1.n1 IS NULL"
    ),
    "cross": Template("{0} AS t0 CROSS JOIN {1} AS t1 WHERE t0.v0 IS NOT DISTINCT FROM t1.v1"),
    "left": Template("{0} AS t0 LEFT JOIN {1} AS t1 ON t0.k0 = t1.k1", touched=LEFT),
    "left, all touched": Template(
        "{0} AS t0 LEFT JOIN {1} AS t1 ON t0.k0 > t1.k1", touched=((1, ""),)
    ),
    "left, where": Template(
        "{0} AS t0 LEFT JOIN {1} AS t1 ON t0.k0 = t1.k1 WHERE coalesce(t1.v1, 0) >= 0 OR t0.n0 = 'a'",
        touched=LEFT,
    ),
    "full": Template("{0} AS t0 FULL JOIN {1} AS t1 ON t0.k0 = t1.k1", touched=FULL),
    "full, residual": Template(
        "{0} AS t0 FULL JOIN {1} AS t1 ON t0.k0 = t1.k1 AND t0.n0 = t1.n1", touched=FULL
    ),
    "semi": Template(
        "{0} AS t0 SEMI JOIN {1} AS t1 ON t0.k0 = t1.k1", touched=LEFT, shown=(0,), seq_sides=(0,)
    ),
    "anti": Template(
        "{0} AS t0 ANTI JOIN {1} AS t1 ON t0.k0 = t1.k1 AND t0.v0 > t1.v1", touched=LEFT, shown=(0,), seq_sides=(0,)
    ),
    "asof": Template(
        "{0} AS t0 ASOF JOIN {1} AS t1 ON t0.n0 = t1.n1 AND t0.k0 >= t1.k1", touched=((1, "EXISTS (SELECT 1 FROM _sm_delta AS d WHERE d.n1 = t0.n0)"),), columns="kn"
    ),
    "asof left": Template(
        "{0} AS t0 ASOF LEFT JOIN {1} AS t1 ON t0.k0 >= t1.k1", touched=((1, ""),), columns="k"
    ),
    "three": Template(
        "{0} AS t0 JOIN {1} AS t1 ON t0.k0 = t1.k1 LEFT JOIN {2} AS t2 ON t1.n1 = t2.n2", 3,
        touched=((2, "t1.n1 IN (SELECT d.n2 FROM _sm_delta AS d)"),), shown=(0, 1, 2), columns="kn",
        seq_sides=(0, 1, 2),
    ),
    "three, left twice": Template(
        "{0} AS t0 LEFT JOIN {1} AS t1 ON t0.k0 = t1.k1 LEFT JOIN {2} AS t2 ON t2.k2 = t1.k1 + 1 AND t2.n2 = t0.n0", 3,
        touched=(*LEFT, (2, "t0.n0 IN (SELECT d.n2 FROM _sm_delta AS d)")), shown=(0, 1, 2), columns="kn",
        seq_sides=(0, 1, 2),
    ),
}  # fmt: skip

VALUES = {
    "k": [None, 1, 2, 2, 3, -7],
    "v": [None, 0.0, -0.0, 1.5, math.nan, math.inf],
    "n": [None, "a", "b", "it's {0}"],
    "h": [None, 0, 10**30],
}
changes = st.lists(
    st.tuples(
        st.integers(0, 2),
        st.fixed_dictionaries({n: st.sampled_from(v) for n, v in VALUES.items()}),
        st.sampled_from(["add", "add", "add", "again", "back", "back"]),
        st.booleans(),  # an epoch ends here
    ),
    max_size=40,
)


def make(
    t: Template, *, is_changelog: bool, is_append_only: bool = False
) -> tuple[Join, list[Read]]:
    reads = [
        read(f"s{i}", "; ".join(c.format(i) for c in COLUMNS), is_changelog=is_changelog) for i in range(t.sides)
    ]  # fmt: skip
    touched = dict(t.touched)
    sides = tuple(
        Side(r, tuple(r.relation.schema.names), r.relation.types, i not in touched, touched.get(i, ""))
        for i, r in enumerate(reads)
    )  # fmt: skip
    kinds = {
        f.name: (f, kind)
        for i, r in enumerate(reads)
        if i in t.shown
        for f, kind in zip(r.relation.schema, r.relation.types, strict=True)
        if f.name[0] in t.columns
    }
    schema = out_schema(pa.schema([f for f, _ in kinds.values()]), is_changelog=not is_append_only)
    join = Join(
        sides, t.sql, tuple(kinds), t.seq_sides, schema, tuple(k for _, k in kinds.values())
    )
    return join, reads


def run(rig: Rig, t: Template, drawn: Any, *, is_changelog: bool) -> None:
    waiting: list[Event] = []
    there: dict[str, list[dict[str, Any]]] = {name: [] for name in rig.net}
    for side, values, what, is_cut in drawn:
        name = f"s{side % t.sides}"
        row = {f"{n}{name[1]}": v for n, v in values.items()}
        if what != "add" and there[name]:
            row = there[name][-1] if what == "again" else there[name].pop(len(there[name]) // 2)
        if what == "back" and is_changelog:
            if row not in rig.net[name] and not any(e.row is row for e in waiting):
                continue
            waiting.append(Event(name, row, -1))
        else:
            there[name].append(row)
            waiting.append(Event(name, row))
        if is_cut:
            check(rig, t, waiting)
            waiting = []
    check(rig, t, waiting)


def check(rig: Rig, t: Template, events: list[Event]) -> None:
    rig.epoch(events)
    tables = rig.load(oracle())
    shown = ", ".join(rig.root.shown)  # type: ignore[union-attr]
    same(
        rig.total(),
        oracle().sql(f"SELECT {shown} FROM {fill(t.sql, tables)}").to_arrow_table(),
        t.sql,
    )
    assert rig.errors == []


@pytest.mark.parametrize("name", TEMPLATES)
@PROFILE
@given(changes)
def test_joins_of_changelogs_keep_the_law(name: str, drawn: Any) -> None:
    t = TEMPLATES[name]
    join, reads = make(t, is_changelog=True)
    rig = Rig(join, reads)
    run(rig, t, drawn, is_changelog=True)
    back = [Event(n, row, -1) for n, rows in rig.net.items() for row in rows]
    check(rig, t, back[::2])
    check(rig, t, back[1::2])
    assert rig.state_rows() == 0
    assert rig.total().num_rows == 0
    rig.program.close()
    rig.database.close()


@pytest.mark.parametrize("name", ["inner", "semi", "cross", "left", "three"])
@PROFILE
@given(changes)
def test_joins_of_rows_that_are_only_added_keep_the_law(name: str, drawn: Any) -> None:
    t = TEMPLATES[name]
    is_append_only = name in ("inner", "semi", "cross")
    join, reads = make(t, is_changelog=False, is_append_only=is_append_only)
    run(Rig(join, reads), t, drawn, is_changelog=False)
