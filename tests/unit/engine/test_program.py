"""A plan as a graph of operators."""

from __future__ import annotations

import pyarrow as pa

from stream_magic.core.change import SEQ_FIELD, WEIGHT
from stream_magic.engine.operators.bag import Bag
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.state import Database
from stream_magic.planner.nodes import Aggregate, Compute, Constant, Join, Side, Union
from stream_magic.planner.parts import Call
from support.programs import Event, Rig, numbers, out_schema, read

INT = pa.schema([("c", pa.int32())])


def doubled(source: object, name: str = "c") -> Compute:
    schema = out_schema(pa.schema([(name, pa.int32())]))
    return Compute(
        source,
        f"SELECT k * 2 AS {name}, _sm_seq FROM _in",
        (name,),
        ("_sm_seq",),
        schema,
        ("INTEGER",),
    )  # type: ignore[arg-type]


def test_a_node_that_is_read_twice_is_one_operator() -> None:
    s = read("s", "k INTEGER")
    node = doubled(s)
    rig = Rig(Union((node, node), node.schema, ("INTEGER",)), [s])
    assert len(list(rig.program.steps())) == 2
    out = rig.epoch([Event("s", {"k": 1}), Event("s", {"k": 2})])
    assert out.to_pylist() == [{"c": c, "_sm_seq": n} for c, n in [(2, 0), (2, 0), (4, 1), (4, 1)]]


def test_the_result_may_be_a_relation_itself() -> None:
    s = read("s", "k INTEGER")
    rig = Rig(s, [s])
    assert rig.epoch([Event("s", {"k": 1})]).column("k").to_pylist() == [1]


def test_a_union_counts_plain_rows_as_added_and_keeps_the_order_of_arrival() -> None:
    s, c = read("s", "k INTEGER"), read("c", "c INTEGER", is_changelog=True)
    rig = Rig(Union((c, doubled(s)), out_schema(INT, is_changelog=True), ("INTEGER",)), [s, c])
    out = rig.epoch(
        [Event("s", {"k": 1}), Event("c", {"c": 2}), Event("s", {"k": 3}), Event("c", {"c": 2}, -1)]
    )
    assert out.column("c").to_pylist() == [2, 2, 6, 2]
    assert out.column(WEIGHT).to_pylist() == [1, 1, 1, -1]


def test_a_union_has_the_lowest_watermark() -> None:
    s, r = read("s", "t BIGINT", time_column="t"), read("r", "t BIGINT", time_column="t")
    union = Union((s, r), out_schema(s.relation.schema, has_watermark=True), ("BIGINT",))
    rig = Rig(union, [s, r])
    a = Event("s", {"t": 10}, watermark_us=10)
    assert numbers(rig.epoch([a])) == [(0, -(2**63))]
    flows = {x.relation.id: rig._flow(x, [Event("r", {"t": 7}, watermark_us=7)]) for x in (s, r)}
    timeline = rig.wave(flows, 1).run(rig.program, is_first=False).timeline
    assert timeline is not None
    assert (timeline.start_us, timeline.end_us) == (-(2**63), 7)


def test_constant_rows_come_once_and_before_all_others() -> None:
    s = read("s", "k INTEGER")
    values = Constant("SELECT * FROM (VALUES (2::INTEGER), (3)) AS v(c)", out_schema(INT), ("INTEGER",))  # fmt: skip
    rig = Rig(Union((doubled(s), values), out_schema(INT), ("INTEGER",)), [s])
    assert rig.epoch([Event("s", {"k": 1})]).column("_sm_seq").to_pylist() == [-1, -1, 0]
    assert rig.epoch([Event("s", {"k": 1})]).num_rows == 1
    alone = Rig(values, [])
    assert alone.epoch().column("c").to_pylist() == [2, 3]
    assert alone.epoch().num_rows == 0


def test_a_global_aggregate_gives_one_row_over_nothing_and_once() -> None:
    s = read("s", "k INTEGER", is_changelog=True)
    schema = out_schema(pa.schema([("n", pa.int64()), ("m", pa.int32())]), is_changelog=True)
    for is_mergeable in (True, False):
        calls = (Call("n", "count(*)", is_mergeable), Call("m", "max(k)", is_mergeable))
        aggregate = Aggregate(s, (), calls, schema, ("BIGINT", "INTEGER"), "_in", ("k",), "changes", False, 0, not is_mergeable)  # fmt: skip
        rig = Rig(aggregate, [s])
        assert rig.epoch().to_pylist() == [{"n": 0, "m": None, "_sm_seq": -1, WEIGHT: 1}]
        assert rig.epoch().num_rows == 0
        rig.epoch([Event("s", {"k": 5})])
        assert rig.total().to_pylist() == [{"n": 1, "m": 5}]


def test_watermarks_end_where_rows_carry_none() -> None:
    s = read("s", "t BIGINT", time_column="t")
    out = Compute(s, "SELECT t, _sm_seq FROM _in", ("t",), ("_sm_seq",), out_schema(s.relation.schema), ("BIGINT",))  # fmt: skip
    rig = Rig(out, [s])
    flows = {"s": rig._flow(s, [Event("s", {"t": 1}, watermark_us=1)])}
    flow = rig.wave(flows).run(rig.program, is_first=True)
    assert flow.timeline is None


def test_operators_above_close_with_the_join_and_not_with_one_side() -> None:
    a, b = (read(n, f"k{n} INTEGER; t{n} BIGINT", time_column=f"t{n}") for n in "ab")
    sides = tuple(Side(r, tuple(r.relation.schema.names), r.relation.types) for r in (a, b))
    visible = pa.schema([*a.relation.schema, *b.relation.schema])
    join = Join(sides, "{0} AS t0 JOIN {1} AS t1 ON t0.ka = t1.kb", tuple(visible.names), (0, 1),
                out_schema(visible, has_watermark=True), (*a.relation.types, *b.relation.types))  # fmt: skip
    windowed = Compute(
        join, "SELECT ka, _sm_seq, _sm_wm, ta // 10 * 10 + 10 AS _sm_wend FROM _in", ("ka",), ("_sm_seq", "_sm_wm", "_sm_wend"),
        pa.schema([("ka", pa.int32()), SEQ_FIELD, ("_sm_wm", pa.int64()), ("_sm_wend", pa.int64())]), ("INTEGER",), is_windowed=True,
    )  # fmt: skip
    counted = Aggregate(
        windowed, ("_sm_wend",), (Call("n", "count(*)", True),), out_schema(pa.schema([("n", pa.int64())])),
        ("BIGINT",), "_in", (), "close", True, 0, False,
    )  # fmt: skip
    rig = Rig(counted, [a, b])
    rig.epoch([Event("a", {"ka": 1, "ta": 5}, watermark_us=5), Event("b", {"kb": 1, "tb": 6}, watermark_us=6)])  # fmt: skip
    assert rig.epoch([Event("a", {"ka": 2, "ta": 30}, watermark_us=30)]).num_rows == 0
    out = rig.epoch([Event("b", {"kb": 1, "tb": 25}, watermark_us=25)])
    assert out.column("n").to_pylist() == [2]  # the second pair came with this row: just in time
    assert rig.errors == []
    rig.epoch([Event("b", {"kb": 1, "tb": 26}, watermark_us=26)])
    assert rig.errors == [("SM5003", 4)]


def test_equal_rows_are_taken_back_oldest_first() -> None:
    database = Database()
    schema = out_schema(INT, is_changelog=True)
    bag = Bag(database, schema, ("c",), ("INTEGER",))
    bag.apply(bag.change(pa.table([[1, 1, 2], [4, 7, 8], [1, 1, 1]], schema=schema), Turn()))
    bag.apply(bag.change(pa.table([[1], [9], [-1]], schema=schema), Turn()))
    assert sorted(database.arrow(f"FROM {bag.rows}").to_pylist(), key=str) == [
        {"c": 1, "_sm_seq": 7}, {"c": 2, "_sm_seq": 8},
    ]  # fmt: skip
