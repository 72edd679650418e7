"""SELECTs over partitions of kept rows: the sum of what was given is what DuckDB answers over all rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream_magic.engine.operators.template import fill
from stream_magic.planner.nodes import Part, Partition, Read
from support.cases import PROFILE
from support.compare import same
from support.programs import Event, Rig, described, out_schema, read
from support.sources import oracle

COLUMNS = "k{} INTEGER; g{} VARCHAR; v{} DOUBLE; l{} INTEGER[]"


@dataclass(frozen=True)
class Template:
    """A SELECT over parts, the keys of each part, and the keys in the result."""

    sql: str
    keys: tuple[tuple[str, ...], ...] = ((),)


TEMPLATES = {
    "over": Template(
        "SELECT {p}, g0, k0, rank() OVER (PARTITION BY g0 ORDER BY k0) AS r, sum(v0) OVER (PARTITION BY g0 ORDER BY k0 "
        "RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) AS t FROM {0}", (("g0",),)
    ),
    "over two keys": Template(
        "SELECT {p}, g0, l0, count(*) OVER (PARTITION BY g0, l0) AS n FROM {0} AS q", (("g0", "l0"),)
    ),
    "over a float": Template("SELECT {p}, v0, max(k0) OVER (PARTITION BY v0) AS m FROM {0}", (("v0",),)),
    "qualify": Template(
        "SELECT {p}, g0, k0 FROM {0} QUALIFY dense_rank() OVER (PARTITION BY g0 ORDER BY k0 DESC NULLS LAST) <= 2", (("g0",),)
    ),
    "distinct on": Template("SELECT DISTINCT ON (g0) {p}, g0, max(k0) OVER (PARTITION BY g0) AS k FROM {0}", (("g0",),)),
    "limit": Template("SELECT k0 FROM {0} ORDER BY k0 DESC NULLS LAST LIMIT 3"),
    "scalar": Template("SELECT count(*) AS n, sum(v0) AS t, median(k0) AS m, max(l0) AS l FROM {0}"),
    "over all": Template("SELECT k0, row_number() OVER (ORDER BY k0) AS n FROM {0}"),
    "except all": Template(
        "WITH q AS (SELECT k0, g0 FROM {0} EXCEPT ALL SELECT k1, g1 FROM {1}) SELECT {p}, k0, g0 FROM q", (("k0", "g0"), ("k1", "g1"))
    ),
    "except": Template("SELECT {p}, k0 FROM (SELECT k0 FROM {0} EXCEPT SELECT k1 FROM {1})", (("k0",), ("k1",))),
    "intersect all": Template("SELECT {p}, k0 FROM (SELECT k0 FROM {0} INTERSECT ALL SELECT k1 FROM {1})", (("k0",), ("k1",))),
    "groups, correlated": Template(
        "SELECT {p}, g0, count(*) AS n, (SELECT count(*) FROM {1} AS b WHERE b.g1 IS NOT DISTINCT FROM a.g0) AS m FROM {0} AS a GROUP BY g0",
        (("g0",), ("g1",)),
    ),
    "scalar of two": Template("SELECT (SELECT count(*) FROM {0}) AS n, (SELECT max(k1) FROM {1}) AS m", ((), ())),
}  # fmt: skip

VALUES = {
    "k": [None, 1, 2, 2, 3, 4, -7],
    "g": [None, "a", "b", ""],
    "v": [None, 0.0, -0.0, 0.1, 1e6, math.nan],
    "l": [None, [], [1, None]],
}
changes = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.fixed_dictionaries({n: st.sampled_from(v) for n, v in VALUES.items()}),
        st.sampled_from(["add", "add", "again", "back"]),
        st.booleans(),
    ),
    max_size=40,
)


def make(t: Template, *, is_changelog: bool) -> tuple[Partition, list[Read], str]:
    """The node, what it reads, and the text that means the same."""
    reads = [
        read(f"s{i}", COLUMNS.format(i, i, i, i), is_changelog=is_changelog) for i in range(len(t.keys))
    ]  # fmt: skip
    rig = Rig(reads[0], reads)
    tables = rig.load(oracle())
    pairs = ", ".join(f"{k} AS _sm_p{i}" for i, k in enumerate(t.keys[0]))
    sql = t.sql.replace("{p}", pairs)
    plain = fill(t.sql.replace("{p}, ", ""), tables)
    kinds = described(plain)
    key_kinds = [
        reads[0].relation.types[reads[0].relation.schema.names.index(k)] for k in t.keys[0]
    ]
    parts = tuple(
        Part(r, tuple(r.relation.schema.names), r.relation.types, keys)
        for r, keys in zip(reads, t.keys, strict=True)
    )
    schema = out_schema(oracle().sql(plain).to_arrow_table().schema, is_changelog=True)
    return Partition(parts, sql, schema, tuple(kinds.values()), tuple(key_kinds)), reads, plain


@pytest.mark.parametrize("is_changelog", [True, False])
@pytest.mark.parametrize("name", TEMPLATES)
@PROFILE
@given(changes)
def test_partitions_keep_the_law(name: str, is_changelog: bool, drawn: Any) -> None:
    node, reads, plain = make(TEMPLATES[name], is_changelog=is_changelog)
    rig = Rig(node, reads)
    rig.epoch()  # over nothing
    same(rig.total(), _expected(rig, plain), plain)
    empty, empty_rows = rig.total(), rig.state_rows()
    waiting: list[Event] = []
    there: dict[str, list[Any]] = {n: [] for n in rig.net}
    for side, values, what, is_cut in drawn:
        of = f"s{side % len(reads)}"
        row = {f"{n}{of[1]}": v for n, v in values.items()}
        if what != "add" and there[of]:
            row = there[of][-1]
        if what == "back" and is_changelog and there[of]:
            waiting.append(Event(of, there[of].pop(), -1))
        else:
            there[of].append(row)
            waiting.append(Event(of, row))
        if is_cut:
            rig.epoch(waiting)
            waiting = []
            same(rig.total(), _expected(rig, plain), plain)
    rig.epoch(waiting)
    same(rig.total(), _expected(rig, plain), plain)
    assert rig.errors == []
    if is_changelog:
        rig.epoch([Event(n, row, -1) for n, rows in rig.net.items() for row in rows])
        assert rig.total().equals(empty)
        assert rig.state_rows() == empty_rows
    rig.program.close()
    rig.database.close()


def _expected(rig: Rig, plain: str) -> pa.Table:
    rig.load(oracle())
    return oracle().sql(plain).to_arrow_table()
