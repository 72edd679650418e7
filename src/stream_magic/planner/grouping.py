"""GROUP BY: columns before, the aggregates, expressions over their results.

SELECT category, sum(amount) / count(*) AS mean FROM s GROUP BY category HAVING count(*) > 1
before:  category, amount
group:   category: sum(amount) AS c7, count(*) AS c8
after:   c7 / c8 AS mean, where c8 > 1
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from stream_magic.language.statements import Emit
from stream_magic.planner.aggregates import (
    UNSETTLED,
    aggregate_core,
    arguments_of,
    function_name,
    order_of,
)
from stream_magic.planner.columns import SEVERAL, Column
from stream_magic.planner.context import Context
from stream_magic.planner.joins import join
from stream_magic.planner.logical import (
    Aggregation,
    Group,
    Map,
    Op,
    Sessioned,
    Stack,
    comes_whole,
    conjunction,
    extended,
)
from stream_magic.planner.scope import Frame
from stream_magic.planner.sessions import session_of
from stream_magic.planner.ties import settled


@dataclass
class Grouped:
    """The operation over groups, and what expressions of the SELECT have become.

    Attributes:
        links: columns of a correlated subquery's links.
        keys: columns by the text of what is grouped by.
        meant: what columns of the rows are called now, where groups have them.
    """

    op: Op
    expressions: list[exp.Expr]
    links: list[Column]
    keys: dict[str, Column]
    meant: dict[str, Column]


class Grouper:
    """Groups one SELECT whose columns are resolved."""

    def __init__(
        self, ctx: Context, op: Op, group: exp.Group | None, expressions: Sequence[exp.Expr], *,
        columns: Sequence[Column], links: list[Column], emit: Emit, all_keys: Sequence[exp.Expr],
        frame: Frame | None = None,
    ) -> None:  # fmt: skip
        self._ctx = ctx
        self._op = op
        self._group = group
        self._expressions = [e.copy() for e in expressions]
        self._columns = list(columns)
        self._links = links
        self._emit: Emit = emit
        self._all_keys = all_keys
        self._frame = frame
        self._nodes: list[exp.Expr] = []  # the aggregates over columns, in the order of `_calls`
        self._keys: dict[str, exp.Expr] = {}
        self._made: dict[str, Column] = {}
        self._items: list[tuple[Column, exp.Expr]] = []
        self._calls: dict[str, tuple[exp.Expr, Column]] = {}
        self._sessions: Sessioned | None = None

    def run(self) -> Grouped:
        sets = self._read_sets()
        for e in self._expressions:
            self._find_calls(e)
        before_keys = {text: self._before(e) for text, e in self._keys.items()}
        chosen = {before_keys[k].name for k in sets[0]} if len(sets) == 1 else set()
        self._sessions = session_of(self._op, chosen)
        aggregations = [self._aggregation(node, column) for node, column in self._calls.values()]
        before = extended(self._op, self._items)
        if len(sets) == 1:
            op, keys, links = self._one(before, before_keys, aggregations, sets[0])
            groupings: dict[str, Column] = {}
        else:
            op, keys, links, groupings = self._several(before, before_keys, aggregations, sets)
        named = {c.name: new for c, new in zip(self._links, links, strict=True)}
        after = [
            keys[e.sql("duckdb")].ref
            if isinstance(e, exp.Literal) and e.sql("duckdb") in keys
            else self._after(e, {**named, **keys}, groupings)
            for e in self._expressions
        ]
        return Grouped(op, after, links, keys, {**named, **keys})

    # --- keys ------------------------------------------------------------------------------------

    def _read_sets(self) -> list[list[str]]:
        group = self._group
        if group is None:
            return [[]]
        if group.args.get("all"):
            return [list(dict.fromkeys(self._key(e) for e in self._all_keys))]
        clauses = ("grouping_sets", "rollup", "cube")
        given = [*group.expressions, *(e for c in clauses for e in group.args.get(c) or [])]
        parts = [self._sets_of(e) for e in given]
        crossed = [_joined(choice) for choice in itertools.product(*parts)]
        return [list(dict.fromkeys(k)) for k in crossed]

    def _sets_of(self, e: exp.Expr) -> list[list[str]]:
        if isinstance(e, exp.GroupingSets):
            return [s for part in e.expressions for s in self._sets_of(part)]
        if isinstance(e, exp.Rollup):
            units = [self._unit(x) for x in e.expressions]
            return [_joined(units[:n]) for n in range(len(units), -1, -1)]
        if isinstance(e, exp.Cube):
            units = [self._unit(x) for x in e.expressions]
            chosen = itertools.product((True, False), repeat=len(units))
            return [_joined(itertools.compress(units, c)) for c in chosen]
        return [self._unit(e)]

    def _unit(self, e: exp.Expr) -> list[str]:
        if isinstance(e, exp.Tuple):
            return [self._key(x) for x in e.expressions]
        if isinstance(e, exp.Paren):
            return [self._key(e.this)]
        return [self._key(e)]

    def _key(self, e: exp.Expr) -> str:
        text: str = e.sql("duckdb")
        self._keys.setdefault(text, e)
        return text

    # --- aggregates ------------------------------------------------------------------------------

    def _find_calls(self, e: exp.Expr) -> None:
        for call in self._ctx.finder.find(e):
            text = call.sql("duckdb")
            if text not in self._calls:
                kind = self._ctx.types([call], self._op.columns)[0]
                shown = self._ctx.shown(call, self._op.columns)
                self._calls[text] = (call.copy(), self._ctx.names.new(shown, kind))

    def _before(self, e: exp.Expr) -> Column:
        """The column that holds an expression before the groups are made."""
        if isinstance(e, exp.Column):
            return self._op.column(e.name)
        text = e.sql("duckdb")
        if text not in self._made:
            kind = self._ctx.types([e], self._op.columns)[0]
            self._made[text] = self._ctx.names.new(self._ctx.shown(e, self._op.columns), kind)
            self._items.append((self._made[text], e.copy()))
        return self._made[text]

    def _aggregation(self, node: exp.Expr, column: Column) -> Aggregation:
        shown = self._ctx.shown(node, self._op.columns)
        self._refuse(function_name(aggregate_core(node)), node)
        op, columns = self._op, self._columns
        if self._sessions is not None:  # its rows are in order, and their bounds are no tie
            op = replace(op, has_order=True)
            columns = [c for c in columns if c not in self._sessions.bounds]
        node = settled(self._ctx, node.copy(), op, columns)
        core, order = aggregate_core(node), order_of(node)
        where = node.expression if isinstance(node, exp.Filter) else None
        computed = [
            *arguments_of(core),
            *(o.this for o in (order.expressions if order is not None else [])),
        ]
        for part in [*computed, *([where.this] if where is not None else [])]:
            if self._ctx.is_of_row(part) and not isinstance(part, exp.Column):
                part.replace(self._before(part).ref)
        is_mergeable = core.find(exp.Distinct) is None and order is None
        self._nodes.append(node)
        return Aggregation(column, node.sql("duckdb"), is_mergeable, shown)

    def _refuse(self, name: str, node: exp.Expr) -> None:
        if name in UNSETTLED:
            raise self._ctx.refuse(
                "SM3043", f"{name}(...) is not supported in a continuous query: samples have no settled answer",
                UNSETTLED[name], node,
            )  # fmt: skip

    # --- groups ----------------------------------------------------------------------------------

    def _one(
        self,
        before: Op,
        before_keys: dict[str, Column],
        calls: list[Aggregation],
        chosen: list[str],
    ) -> tuple[Op, dict[str, Column], list[Column]]:
        ctx = self._ctx
        links_before = self._links
        if not chosen and self._frame is not None:
            before, calls, links_before = self._over_all(before, calls, self._frame.op)
        end = self._closing_end(before, [before_keys[k] for k in chosen])
        keys = {k: ctx.names.like(before_keys[k]) for k in chosen}
        links = [ctx.names.like(c) for c in links_before]
        pairs = [
            *((keys[k], before_keys[k]) for k in chosen),
            *zip(links, links_before, strict=True),
        ]
        is_whole = self._emit == "close" and comes_whole(before, [c for _, c in pairs])
        is_closing = self._emit == "close" and (end is not None or is_whole)
        is_timed = _follow_end(pairs, end)
        group = Group(
            [*(c for c, _ in pairs), *(c.column for c in calls)], not is_closing, is_timed, has_order=False,
            is_settled=is_timed, lateness_us=0 if is_timed else before.lateness_us,
            input=before, keys=pairs, calls=calls, emit="close" if is_closing else "changes", end=end, is_whole=is_whole,
        )  # fmt: skip
        return group, keys, links

    def _over_all(
        self, before: Op, calls: list[Aggregation], rows: Op
    ) -> tuple[Op, list[Aggregation], list[Column]]:
        """A row around for which there are no rows is a group, too: it is joined to nothing, and nothing is counted."""
        ctx = self._ctx
        around = Map.over(rows, [(ctx.names.like(c), c.ref) for c in rows.columns])
        there = ctx.names.new("there", "BOOLEAN")
        linked = dict(zip((c.name for c in rows.columns), around.columns, strict=True))
        same = [exp.NullSafeEQ(this=linked[c.name].ref, expression=c.ref) for c in self._links]
        joined = join(
            ctx, around, extended(before, [(there, exp.true())]), "LEFT", conjunction(same)
        )
        only = [
            replace(c, sql=_only(node, there).sql("duckdb"))
            for c, node in zip(calls, self._nodes, strict=True)
        ]
        return joined, only, [linked[c.name] for c in self._links]

    def _closing_end(self, before: Op, keys: list[Column]) -> Column | None:
        """The end of the window that is among the keys, if the watermark closes it."""
        if not before.can_close:
            return None
        known = {c.name: c for c in before.columns}
        if any(k.window == SEVERAL for k in keys) and not any(k.window == k.name for k in keys):
            raise self._ctx.refuse(
                "SM3060", "windows of CUMULATE that begin together end one after the other",
                "write GROUP BY window_start, window_end", self._group,
            )  # fmt: skip
        return next((known[k.window] for k in keys if k.window in known), None)

    def _several(
        self,
        before: Op,
        before_keys: dict[str, Column],
        calls: list[Aggregation],
        sets: list[list[str]],
    ) -> tuple[Op, dict[str, Column], list[Column], dict[str, Column]]:
        """One GROUP BY for each grouping set; the keys that it lacks are NULL there."""
        ctx = self._ctx
        asked = (g for e in self._expressions for g in e.find_all(exp.Grouping, exp.GroupingId))
        wanted = {g.sql("duckdb"): g for g in asked}
        keys = {
            k: replace(ctx.names.like(c), is_time=False, window="") for k, c in before_keys.items()
        }
        links = [ctx.names.like(c) for c in self._links]
        marks = {text: ctx.names.new(text, "BIGINT") for text in wanted}
        given = [*keys.values(), *links, *(c.column for c in calls), *marks.values()]
        parts: list[Op] = []
        for chosen in sets:
            renamed = [replace(c, column=ctx.names.like(c.column)) for c in calls]
            group, own, own_links = self._one(before, before_keys, renamed, chosen)
            items: list[exp.Expr] = [
                *(own[k].ref if k in own else _null(c) for k, c in keys.items()),
                *(c.ref for c in own_links),
                *(c.column.ref for c in renamed),
                *(_bigint(self._bits(g, own)) for g in wanted.values()),
            ]
            columns = [ctx.names.like(c) for c in given]
            parts.append(Map.over(group, list(zip(columns, items, strict=True))))
        is_changelog = any(p.is_changelog for p in parts)
        return Stack(given, is_changelog, has_order=False, parts=parts), keys, links, marks

    @staticmethod
    def _bits(grouping: exp.Expr, own: dict[str, Column]) -> int:
        """GROUPING(a, b): a bit for each argument, 1 where it is not grouped by."""
        value = 0
        for e in grouping.expressions:
            value = value * 2 + (e.sql("duckdb") not in own)
        return value

    # --- after -----------------------------------------------------------------------------------

    def _after(
        self, e: exp.Expr, keys: dict[str, Column], groupings: dict[str, Column]
    ) -> exp.Expr:
        """Keys and aggregates become columns of the grouped result."""
        text = e.sql("duckdb")
        if isinstance(e, exp.Grouping | exp.GroupingId):
            return groupings[text].ref if text in groupings else _bigint(0)
        if text in self._calls:
            return self._calls[text][1].ref
        if text in keys and not isinstance(e, exp.Literal):
            return keys[text].ref
        if isinstance(e, exp.Column):
            raise self._ctx.refuse(
                "SM3042", f"'{self._label(e)}' is neither grouped nor aggregated",
                "add it to GROUP BY, or aggregate it: any_value(...)", e,
            )  # fmt: skip
        for name, value in list(e.args.items()):
            if isinstance(value, exp.Expr) and not isinstance(value, exp.Query):
                e.set(name, self._after(value, keys, groupings))
            elif isinstance(value, list):
                e.set(
                    name,
                    [
                        self._after(v, keys, groupings) if isinstance(v, exp.Expr) else v
                        for v in value
                    ],
                )
        return e

    def _label(self, column: exp.Column) -> str:
        return next((c.label for c in self._op.columns if c.name == column.name), column.name)


def _follow_end(pairs: Sequence[tuple[Column, Column]], end: Column | None) -> bool:
    """The end of windows that close is the time that the watermark follows, if it is among the keys."""
    ends = [new for new, old in pairs if end is not None and old.name == end.name]
    for new, old in pairs:
        new.is_time = new in ends[:1]
        if new.window != SEVERAL or not ends:
            new.window = ends[0].name if ends and end is not None and old.window == end.name else ""
    return bool(ends)


def _only(call: exp.Expr, there: Column) -> exp.Expr:
    """The aggregate over rows where this is true."""
    if isinstance(call, exp.Filter):
        both = exp.and_(call.expression.this, there.ref)
        return exp.Filter(this=call.this.copy(), expression=exp.Where(this=both))
    return exp.Filter(this=call.copy(), expression=exp.Where(this=there.ref))


def _null(column: Column) -> exp.Expr:
    return exp.cast(exp.null(), column.type, dialect="duckdb")


def _bigint(value: int) -> exp.Expr:
    return exp.cast(exp.Literal.number(value), "BIGINT")


def _joined(units: Iterable[list[str]]) -> list[str]:
    return list(itertools.chain.from_iterable(units))
