"""Window functions, QUALIFY, DISTINCT ON, ORDER BY with LIMIT: touched partitions are computed again.

What SQL leaves open is settled here (DESIGN 3.3 d): ties are broken by the row's other columns in
their order, and LIMIT without ORDER BY goes by arrival.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from stream_magic.core.change import SEQ
from stream_magic.planner.aggregates import function_name
from stream_magic.planner.context import Context
from stream_magic.planner.joins import extended
from stream_magic.planner.logical import Column, Op, Parted

# With these a tie is no tie: their answer is the same for peers.
_PEERS = frozenset({"rank", "dense_rank", "percent_rank", "cume_dist"})
# With a frame of RANGE or GROUPS their answer depends on the order of peers.
_ORDERED = frozenset({"first_value", "last_value", "nth_value", "first", "last", "any_value", "arbitrary", "list",
                      "array_agg", "string_agg", "group_concat", "listagg"})  # fmt: skip


def add_windows(
    ctx: Context, op: Op, windows: list[exp.Window], columns: Sequence[Column], links: list[Column]
) -> tuple[Op, list[Column]]:
    """The operation with a column for each window function.

    Args:
        ctx: of the query.
        op: gives the rows.
        windows: resolved, without named windows.
        columns: of the rows that the functions see, for ties.
        links: keys of a correlated subquery: they part all windows.
    """
    op = _with_arguments(ctx, op, windows)
    keys = [c for c in _common_keys(op, windows) if c not in links] + links
    settled = [_settled(ctx, op, w, columns, links) for w in windows]
    types = ctx.types(settled, [*op.columns, Column(SEQ, "", "BIGINT")])
    found = [ctx.names.new(w.sql("duckdb"), t) for w, t in zip(windows, types, strict=True)]
    by_arrival = any(
        w.find(exp.Column, bfs=False) and SEQ in {c.name for c in w.find_all(exp.Column)}
        for w in settled
    )
    if by_arrival and not op.has_order:
        raise ctx.refuse(
            "SM3056", "the order of arrival is not settled here, where rows are changed",
            "say in OVER (ORDER BY ...) which row comes first", windows[0],
        )  # fmt: skip
    kept = [ctx.names.like(c) for c in op.columns]
    parted = Parted(
        [*kept, *found], True, has_order=False,
        inputs=[op], keys=[keys], key_sql=[k.name for k in keys],
        items=[
            *((k, c.name) for k, c in zip(kept, op.columns, strict=True)),
            *((c, w.sql("duckdb")) for c, w in zip(found, settled, strict=True)),
        ],
        body="FROM _sm_i0", by_arrival=by_arrival, rule=f"{', '.join(function_name(w.this) for w in windows)} over partitions",
    )  # fmt: skip
    return parted, found


def _with_arguments(ctx: Context, op: Op, windows: list[exp.Window]) -> Op:
    """What window functions compute of a row becomes a column before, where a failing row is found."""
    made: list[tuple[Column, exp.Expr]] = []
    known: dict[str, Column] = {}
    for window in windows:
        core = window.this
        for node in [
            *_values(core),
            *(window.args.get("partition_by") or []),
            *_sorts(window),
            *_sorts(core),
        ]:
            if isinstance(node, exp.Column) or not node.find(exp.Column):
                continue
            text = node.sql("duckdb")
            if text not in known:
                known[text] = ctx.names.new(text, ctx.types([node], op.columns)[0])
                made.append((known[text], node.copy()))
            node.replace(known[text].ref)
    return extended(op, made)


def _values(core: exp.Expr) -> list[exp.Expr]:
    while isinstance(core, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        core = core.this
    found = []
    for value in core.args.values():
        for v in value if isinstance(value, list) else [value]:
            if isinstance(v, exp.Distinct):
                found += v.expressions
            elif isinstance(v, exp.Expr) and not isinstance(v, exp.Star | exp.Order):
                found.append(v)
    return found


def _sorts(node: exp.Expr) -> list[exp.Expr]:
    order = node.args.get("order") if isinstance(node, exp.Window) else node.find(exp.Order)
    return [o.this for o in order.expressions] if order is not None else []


def _common_keys(op: Op, windows: list[exp.Window]) -> list[Column]:
    """Columns that part all of the windows."""
    sets = [
        [c.name for c in w.args.get("partition_by") or [] if isinstance(c, exp.Column)]
        for w in windows
    ]
    common = [n for n in sets[0] if all(n in s for s in sets)]
    return [op.column(n) for n in dict.fromkeys(common)]


def _settled(
    ctx: Context, op: Op, window: exp.Window, columns: Sequence[Column], links: list[Column]
) -> exp.Window:
    """The window with its ties broken."""
    copied = window.copy()
    if links:
        copied.set(
            "partition_by", [*(copied.args.get("partition_by") or []), *(c.ref for c in links)]
        )
    core = copied.this
    while isinstance(core, exp.Filter | exp.IgnoreNulls | exp.RespectNulls):
        core = core.this
    name = function_name(core)
    spec = copied.args.get("spec")
    kind = str(spec.args.get("kind") or "RANGE").upper() if spec is not None else "RANGE"
    order = copied.args.get("order")
    is_row_wise = name in ("row_number", "ntile", "lag", "lead")
    if name in _PEERS:
        return copied
    if kind == "ROWS" or is_row_wise:
        keys = [*(order.expressions if order is not None else []), *_ties(order, columns)]
        if order is None and op.has_order:
            keys = [exp.Ordered(this=exp.column(SEQ), nulls_first=False)]
        copied.set("order", exp.Order(expressions=keys))
        return copied
    if name in _ORDERED and order is not None and core.find(exp.Order) is None:
        raise ctx.refuse(
            "SM3057", f"{name}(...) over a frame of {kind} has no settled answer: peers have no order",
            "write the frame with ROWS: ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW", window,
        )  # fmt: skip
    if name in _ORDERED and order is None and core.find(exp.Order) is None:
        if not op.has_order:
            return _with_whole_frame(copied, _ties(None, columns))
        return _with_whole_frame(copied, [exp.Ordered(this=exp.column(SEQ), nulls_first=False)])
    return copied


def _with_whole_frame(window: exp.Window, keys: list[exp.Ordered]) -> exp.Window:
    """Without ORDER BY the frame is the whole partition; with one it must be said."""
    window.set("order", exp.Order(expressions=keys))
    spec = exp.WindowSpec(
        kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="UNBOUNDED", end_side="FOLLOWING"
    )  # fmt: skip
    window.set("spec", spec)
    return window


def _ties(order: exp.Order | None, columns: Sequence[Column]) -> list[exp.Ordered]:
    """The row's other columns in their order."""
    named = (
        {o.this.name for o in order.expressions if isinstance(o.this, exp.Column)}
        if order
        else set()
    )
    return [exp.Ordered(this=c.ref, nulls_first=False) for c in columns if c.name not in named]


def first_of_each(
    ctx: Context, op: Op, keys: list[Column], order: Sequence[exp.Ordered] = (), *, by_arrival: bool = False,
    keeps_names: bool = False,
) -> Op:  # fmt: skip
    """One row for each value of the keys: the first by `order`, then by the other columns (or by arrival)."""
    sort = list(order)
    if by_arrival:
        sort.append(exp.Ordered(this=exp.column(SEQ), nulls_first=False))
    named = {k.name for k in keys} | {o.this.name for o in sort}
    sort += [exp.Ordered(this=c.ref, nulls_first=False) for c in op.columns if c.name not in named]
    parts = ", ".join(k.name for k in keys)
    by = ", ".join(o.sql("duckdb") for o in sort) or "1"
    body = f"FROM _sm_i0 QUALIFY row_number() OVER ({f'PARTITION BY {parts} ' if keys else ''}ORDER BY {by}) = 1"
    kept = list(op.columns) if keeps_names else [ctx.names.like(c) for c in op.columns]
    return Parted(
        kept, True, has_order=False,
        inputs=[op], keys=[keys], key_sql=[k.name for k in keys],
        items=[(k, c.name) for k, c in zip(kept, op.columns, strict=True)], body=body,
        by_arrival=by_arrival, rule="first row of each key",
    )  # fmt: skip


def top(
    ctx: Context, op: Op, order: Sequence[exp.Ordered], columns: Sequence[Column], limit: exp.Expr | None,
    offset: exp.Expr | None, links: list[Column], *, is_percent: bool = False,
) -> tuple[Op, dict[str, Column]]:  # fmt: skip
    """ORDER BY ... LIMIT, for each value of the links. Returns also what the columns are called now."""
    sort = list(order)
    by_arrival = not sort
    if by_arrival:
        if not op.has_order:
            raise ctx.refuse(
                "SM3056", "LIMIT goes by arrival, and that is not settled where rows are changed",
                "say with ORDER BY which rows come first", limit or offset,
            )  # fmt: skip
        sort = [exp.Ordered(this=exp.column(SEQ), nulls_first=False)]
    named = {o.this.name for o in sort}
    sort += [exp.Ordered(this=c.ref, nulls_first=False) for c in columns if c.name not in named]
    parts = ", ".join(k.name for k in links)
    by = ", ".join(o.sql("duckdb") for o in sort)
    over = f"OVER ({f'PARTITION BY {parts} ' if links else ''}ORDER BY {by})"
    start = f"coalesce({offset.sql('duckdb')}, 0)" if offset is not None else "0"
    tests = [f"row_number() {over} > {start}"] if offset is not None else []
    if limit is not None and is_percent:
        whole = f"count(*) OVER ({f'PARTITION BY {parts}' if links else ''})"
        tests.append(
            f"row_number() {over} <= {start} + ({whole} * {limit.sql('duckdb')} / 100)::BIGINT"
        )
    elif limit is not None:
        tests.append(
            f"row_number() {over} <= {start} + coalesce({limit.sql('duckdb')}, 9223372036854770000)"
        )
    kept = {c.name: ctx.names.like(c) for c in op.columns}
    parted = Parted(
        list(kept.values()), True, has_order=False,
        inputs=[op], keys=[links], key_sql=[k.name for k in links],
        items=[(k, n) for n, k in kept.items()], body=f"FROM _sm_i0 QUALIFY {' AND '.join(tests)}",
        by_arrival=by_arrival, rule="top rows",
    )  # fmt: skip
    return parted, kept
