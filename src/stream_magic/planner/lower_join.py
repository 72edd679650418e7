"""A FROM clause of several sides becomes a `Join`: one statement over all of them, each with what it keeps."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
from sqlglot import exp

from stream_magic.core.change import LATE_FIELD, SEQ_FIELD, WEIGHT_FIELD
from stream_magic.planner.as_of import versions_sql
from stream_magic.planner.columns import Column
from stream_magic.planner.logical import Leg, Op, Product, used
from stream_magic.planner.nodes import Compute, Join, Side
from stream_magic.planner.text import with_places


class JoinLowering:
    """Makes joins.

    Args:
        seal: makes a node that gives these columns of an operation.
    """

    def __init__(self, seal: Callable[[Op, Sequence[Column]], Compute]) -> None:
        self._seal = seal

    def join(self, op: Product, needed: set[str]) -> tuple[Join, list[Column]]:
        """The join with the columns that are needed of it, at least one."""
        read = [_read(leg, _asked(op), needed) for leg in op.legs]
        place = {c.name: i for i, columns in enumerate(read) for c in columns}
        sides = [
            _side(leg, self._seal(leg.op, columns), columns, place)
            for leg, columns in zip(op.legs, read, strict=True)
        ]
        shown = [
            c for leg, columns in zip(op.legs, read, strict=True) for c in columns
            if leg.is_shown and c.name in needed
        ] or [c for c in op.legs[0].op.columns if c.name in place][:1]  # fmt: skip
        found = [_field(sides[place[c.name]], c) for c in shown]
        fields, types = [f for f, _ in found], tuple(t for _, t in found)
        hidden = [SEQ_FIELD]
        if op.has_watermark:
            hidden.append(LATE_FIELD)
        if op.is_changelog:
            hidden.append(WEIGHT_FIELD)
        made = Join(
            tuple(sides), _from_sql(op, sides, place), tuple(c.name for c in shown),
            tuple(i for i, leg in enumerate(op.legs) if leg.is_shown),
            pa.schema([*fields, *hidden]), types, rule="join", bound=op.bound,
        )  # fmt: skip
        return made, shown


def _asked(op: Product) -> set[str]:
    """Names of the columns that the join itself reads."""
    asked = used([*op.where, *(j.args["on"] for j in op.joins)])
    for leg in op.legs:
        asked |= {c.name for c in leg.op.columns} if leg.moment else set()
        asked |= used([e for e in (leg.touched, leg.late_us, leg.forget_us) if e is not None])
    return asked


def _read(leg: Leg, asked: set[str], needed: set[str]) -> list[Column]:
    """The columns of a side that somebody reads, at least one."""
    columns = leg.op.columns
    return [c for c in columns if c.name in asked or (leg.is_shown and c.name in needed)] or columns[:1]  # fmt: skip


def _side(leg: Leg, node: Compute, columns: Sequence[Column], place: dict[str, int]) -> Side:
    touched = _place(leg.touched, place).sql("duckdb") if leg.touched is not None else ""
    late = leg.late_us.sql("duckdb") if leg.late_us is not None else ""
    forget = leg.forget_us.sql("duckdb") if leg.forget_us is not None else ""
    names = tuple(c.name for c in columns)
    return Side(node, names, node.types, leg.is_linear, touched, late, forget)


def _field(side: Side, column: Column) -> tuple[pa.Field, str]:
    """A column's Arrow field, and its DuckDB type."""
    return side.input.schema.field(column.name), side.types[side.columns.index(column.name)]


def _from_sql(op: Product, sides: Sequence[Side], place: dict[str, int]) -> str:
    """What stands behind FROM, with `{0}`, `{1}` ... for the sides."""
    select = exp.select("1")
    select.set("from_", exp.From(this=exp.alias_(exp.to_table("_sm_s0"), "t0", table=True)))
    for i, j in enumerate(op.joins, 1):
        copied = j.copy()
        table: exp.Expr = exp.to_table(f"_sm_s{i}")
        if op.legs[i].moment:
            table = versions_sql(op.legs[i], table.name, list(sides[i].columns))
        copied.set("this", exp.alias_(table, f"t{i}", table=True))
        copied.set("on", _place(j.args["on"], place))
        select.append("joins", copied)
    for w in op.where:
        select.where(_place(w, place), copy=False)
    text = select.sql("duckdb").partition(" FROM ")[2]
    return with_places(text, "_sm_s", len(sides))


def _place(node: exp.Expr, place: dict[str, int]) -> exp.Expr:
    """Columns with the side that they are of."""

    def change(n: exp.Expr) -> exp.Expr:
        if isinstance(n, exp.Column) and not n.table and n.name in place:
            return exp.column(n.this.copy(), table=f"t{place[n.name]}")
        return n

    return node.copy().transform(change)
