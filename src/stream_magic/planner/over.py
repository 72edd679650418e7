"""Window functions, QUALIFY, DISTINCT ON, ORDER BY with LIMIT: touched partitions are computed again.

What SQL leaves open is settled here (DESIGN 3.3 d): ties are broken by the row's other columns in
their order, and LIMIT without ORDER BY goes by arrival.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import exp

from stream_magic.core.change import SEQ
from stream_magic.language.binder import lost_in_arrow
from stream_magic.language.statements import Emit
from stream_magic.planner.aggregates import (
    BY_ARRIVAL,
    TIED,
    aggregate_core,
    arguments_of,
    function_name,
    order_of,
    with_order,
)
from stream_magic.planner.columns import Column, Names
from stream_magic.planner.context import Context
from stream_magic.planner.logical import Op, Parted, extended, used
from stream_magic.planner.order import arrival, over, require_arrival, sorted_by, ties
from stream_magic.planner.over_close import closing

# With these a tie is no tie: their answer is the same for peers.
_PEERS = frozenset({"rank", "dense_rank", "percent_rank", "cume_dist"})
# These number rows one by one, whatever the frame.
_ROW_WISE = frozenset({"row_number", "ntile", "lag", "lead"})
# In a frame of RANGE or GROUPS, where peers come together, they go by the window's order and then by ties.
_ORDERED = frozenset({"first_value", "last_value", "nth_value"}) | BY_ARRIVAL


def add_windows(
    ctx: Context,
    op: Op,
    windows: list[exp.Window],
    columns: Sequence[Column],
    links: list[Column],
    *,
    emit: Emit,
) -> tuple[Op, list[Column]]:
    """The operation with a column for each window function.

    Args:
        ctx: of the query.
        op: gives the rows.
        windows: resolved, without named windows.
        columns: of the rows that the functions see, for ties.
        links: keys of a correlated subquery: they part all windows.
        emit: 'close' tells rows when the watermark has passed them, or the end of the window that parts them.
    """
    op = _with_arguments(ctx, op, windows)
    keys = [c for c in _common_keys(op, windows) if c not in links] + links
    settled = [_settled(op, w, columns, links) for w in windows]
    types = ctx.types(settled, [*op.columns, Column(SEQ, "", "BIGINT")])
    _refuse_types(ctx, op, windows, types)
    found = [ctx.names.new(w.sql("duckdb"), t) for w, t in zip(windows, types, strict=True)]
    by_arrival = SEQ in used(settled)
    if by_arrival and not op.has_order:
        raise ctx.refuse(
            "SM3056", "the order of arrival is not settled here, where rows are changed or joined",
            "say in OVER (ORDER BY ...) which row comes first", windows[0],
        )  # fmt: skip
    parted = Parted.over(
        ctx.names, op, keys, "FROM _sm_i0", by_arrival=by_arrival,
        more=[(c, w.sql("duckdb")) for c, w in zip(found, settled, strict=True)],
        rule=f"{', '.join(function_name(w.this) for w in windows)} over partitions",
    )  # fmt: skip
    if emit == "close" and parted.end is not None:
        parted.emit, parted.is_changelog = "close", False
    elif emit == "close" and op.has_watermark and not op.is_changelog:
        parted.has_watermark = parted.is_settled = False
        parted.closing, parted.is_changelog = closing(ctx, op, settled), False
    return parted, found


def _refuse_types(ctx: Context, op: Op, windows: list[exp.Window], types: Sequence[str]) -> None:
    for window, kind in zip(windows, types, strict=True):
        if lost_in_arrow(kind):
            raise ctx.refuse(
                "SM3052", f"{ctx.shown(window, op.columns)} is {kind}, which does not travel through a stream",
                "use a function that gives another type", window,
            )  # fmt: skip


def _with_arguments(ctx: Context, op: Op, windows: list[exp.Window]) -> Op:
    """What window functions compute of a row becomes a column before, where a failing row is found."""
    made: list[tuple[Column, exp.Expr]] = []
    known: dict[str, Column] = {}
    for window in windows:
        core = aggregate_core(window.this)
        parts = window.args.get("partition_by") or []
        for node in [*arguments_of(core), *parts, *_sorts(window), *_sorts(window.this)]:
            if isinstance(node, exp.Column) or not ctx.is_of_row(node):
                continue
            text = node.sql("duckdb")
            if text not in known:
                known[text] = ctx.names.new(text, ctx.types([node], op.columns)[0])
                made.append((known[text], node.copy()))
            node.replace(known[text].ref)
    return extended(op, made)


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
    op: Op, window: exp.Window, columns: Sequence[Column], links: list[Column]
) -> exp.Window:
    """The window with its ties broken."""
    copied = window.copy()
    if links:
        copied.set(
            "partition_by", [*(copied.args.get("partition_by") or []), *(c.ref for c in links)]
        )
    core = aggregate_core(copied.this)
    name, inner = function_name(core), order_of(copied.this)
    if name in _PEERS:
        return copied
    if inner is not None:
        inner.set("expressions", [*inner.expressions, *ties(columns, sorted_by(inner.expressions))])
    elif name in TIED:
        with_order(core, ties(columns))
    spec, order = copied.args.get("spec"), copied.args.get("order")
    kind = str(spec.args.get("kind") or "RANGE").upper() if spec is not None else "RANGE"
    given = order.expressions if order is not None else []
    others = ties(columns, sorted_by(given))
    if kind == "ROWS" or (name in _ROW_WISE and inner is None):
        first = [arrival()] if order is None and op.has_order else [*given, *others]
        copied.set("order", exp.Order(expressions=first))
    elif name in _ORDERED and inner is None:
        if order is None:
            return _with_whole_frame(copied, [arrival()] if op.has_order else others)
        with_order(core, [*(o.copy() for o in given), *others])
    return copied


def _with_whole_frame(window: exp.Window, keys: list[exp.Ordered]) -> exp.Window:
    """Without ORDER BY the frame is the whole partition; with one it must be said."""
    window.set("order", exp.Order(expressions=keys))
    spec = exp.WindowSpec(
        kind="ROWS", start="UNBOUNDED", start_side="PRECEDING", end="UNBOUNDED", end_side="FOLLOWING"
    )  # fmt: skip
    window.set("spec", spec)
    return window


def first_of_each(
    op: Op, keys: list[Column], order: Sequence[exp.Ordered] = (), names: Names | None = None
) -> Parted:
    """One row for each value of the keys: the first by `order`, then by the other columns. Under its own names without `names`."""
    named = {k.name for k in keys} | sorted_by(order)
    sort = [*order, *ties(op.columns, named)]
    return Parted.over(
        names, op, keys, f"FROM _sm_i0 QUALIFY row_number() {over(keys, sort)} = 1",
        by_arrival=SEQ in used(sort), rule="first row of each key",
    )  # fmt: skip


def top(
    ctx: Context, op: Op, order: Sequence[exp.Ordered], columns: Sequence[Column], limit: exp.Limit | None,
    offset: exp.Offset | None, links: list[Column],
) -> Op:  # fmt: skip
    """ORDER BY ... LIMIT, for each value of the links; all columns of `op` under new names, in their order."""
    for clause in (limit, offset):
        asked = clause.find(exp.Query) if clause is not None else None
        if asked is not None and asked.find(exp.Table) is not None:
            raise ctx.refuse(
                "SM3067", "a LIMIT or OFFSET that reads rows is not supported in a continuous query yet",
                "number the rows: SELECT ... FROM (SELECT *, row_number() OVER (ORDER BY ...) AS n FROM ...) "
                "WHERE n <= (SELECT ...)", asked,
            )  # fmt: skip
    if not order:
        what = "LIMIT" if limit is not None else "OFFSET"
        require_arrival(ctx, op, what, "say with ORDER BY which rows come first", limit or offset)
    sort = list(order) or [arrival()]
    row = f"row_number() {over(links, [*sort, *ties(columns, sorted_by(sort))])}"
    start = f"coalesce({offset.expression.sql('duckdb')}, 0)" if offset is not None else "0"
    tests = [f"{row} > {start}"] if offset is not None else []
    if limit is not None:
        tests.append(f"{row} <= {start} + {_count(limit, links)}")
    return Parted.over(
        ctx.names, op, links, f"FROM _sm_i0 QUALIFY {' AND '.join(tests)}", by_arrival=not order, rule="top rows"
    )  # fmt: skip


def _count(limit: exp.Limit | exp.Fetch, links: list[Column]) -> str:
    """How many rows LIMIT or FETCH FIRST lets through."""
    count = limit.args.get("count") if isinstance(limit, exp.Fetch) else limit.expression
    given = count.sql("duckdb") if count is not None else "1"
    options = limit.args.get("limit_options")
    if options is not None and options.args.get("percent"):
        return f"floor(count(*) {over(links)} * {given} / 100)::BIGINT"
    return f"coalesce({given}, 9223372036854770000)"
