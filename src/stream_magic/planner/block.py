"""One SELECT becomes operations: FROM, WHERE, GROUP BY, OVER, QUALIFY; what comes then is in `ending.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sqlglot import exp

from stream_magic.language.statements import Emit
from stream_magic.planner.columns import COLUMN_NAME, Column
from stream_magic.planner.context import Ctes, Result
from stream_magic.planner.correlated import Links, has_outer, split_links, with_links
from stream_magic.planner.ending import Ending, Expressions, lets_one, resorted
from stream_magic.planner.from_clause import FromClause
from stream_magic.planner.grouping import Grouped, Grouper
from stream_magic.planner.joins import filtered
from stream_magic.planner.logical import Op, conjuncts, renamed
from stream_magic.planner.over import add_windows
from stream_magic.planner.scope import Correlated, Frame, Scoping, View
from stream_magic.planner.select_list import Items, SelectList, position
from stream_magic.planner.subqueries import Subqueries
from stream_magic.planner.text import short

if TYPE_CHECKING:
    from stream_magic.planner.blocks import Blocks

_CLAUSES = frozenset(
    {"expressions", "from_", "joins", "where", "group", "having", "with_", "distinct", "qualify",
     "order", "limit", "offset", "windows", "kind", "hint", "operation_modifiers"}
)  # fmt: skip


class Block:
    """One SELECT."""

    def __init__(
        self, blocks: Blocks, select: exp.Select, ctes: Ctes, parent: Scoping | None, emit: Emit
    ) -> None:
        self._blocks = blocks
        self._ctx = blocks.ctx
        self._select = select
        self._ctes = ctes
        self._frame = parent.anew(blocks.ctx.names) if isinstance(parent, Frame) else None
        self._parent = self._frame or parent
        self._emit: Emit = emit
        self._links: Links = self._frame.links if self._frame is not None else []
        self._residual: list[exp.Expr] = []
        self._before: dict[str, exp.Expr] = {}  # columns for what is grouped by, by its text

    def plan(self) -> Result:
        select = self._select
        self._refuse_clauses()
        clause = FromClause(self._blocks, select, self._ctes, self._parent, self._emit)
        op = clause.read()
        self._scope = clause.scope
        self._aliases = {
            e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias)
        }
        where = select.args.get("where")
        if where is not None:
            op = self._filter(op, where.this)
            self._ctx.details.append("WHERE " + short(where.this))
        items = [(n, self._resolve(e)) for n, e in SelectList(self._ctx, self._scope).items(select)]
        order = self._order(items)
        given = Expressions(
            [e for _, e in items], self._having(), self._optional("qualify"),
            [o.this for o in order], self._distinct_on(items),
        )  # fmt: skip
        expressions = given.changed([self._named_windows(e) for e in given.all()])
        row = self._scope.columns()
        keys: tuple[str, ...] | None = None
        empty: list[exp.Expr] | None = None
        subqueries = Subqueries(self._blocks, self._scope, self._ctes)
        if self._is_grouped(expressions.all()):
            op, expressions, items = self._keys_before(op, expressions, items, subqueries)
            op, expressions = self._before_groups(op, expressions, subqueries)
            if not any(select.args.get(c) for c in ("group", "having", "qualify")):
                empty = [e.copy() for e in expressions.outputs]
            self._refuse_partly_linked(expressions)
            grouped, expressions, keys = self._grouped(op, expressions, items, row)
            op, row = grouped.op, [c for c in grouped.op.columns if c not in grouped.links]
            subqueries = Subqueries(self._blocks, View(self._scope, grouped.meant), self._ctes)
        op, beside = subqueries.expressions(op, expressions.all())
        op, changed = self._windowed(op, beside, row)
        expressions = expressions.changed(changed)
        conditions = [*expressions.having, *expressions.qualify]
        op = filtered(op, [c for e in conditions for c in conjuncts(e)])
        ending = Ending(self._ctx, select, op, self._links, self._residual)
        result = ending.result([n for n, _ in items], expressions, order, keys, empty)
        return replace(result, is_framed=self._frame is not None)

    # --- pieces ----------------------------------------------------------------------------------

    def _refuse_clauses(self) -> None:
        for clause, value in self._select.args.items():
            if value and clause not in _CLAUSES:
                place = value[0] if isinstance(value, list) else value
                node = place if isinstance(place, exp.Expr) else self._select
                raise self._ctx.unsupported(clause, node)

    def _resolve(self, node: exp.Expr) -> exp.Expr:
        return self._blocks.resolve(node, self._scope, self._aliases)

    def _optional(self, clause: str) -> list[exp.Expr]:
        node = self._select.args.get(clause)
        return [self._resolve(node.this)] if node is not None else []

    def _having(self) -> list[exp.Expr]:
        """A name that stands for itself is the SELECT list's, if it is not grouped by: as DuckDB reads HAVING."""
        node = self._select.args.get("having")
        if node is None:
            return []
        group = self._select.args.get("group")
        given = [*group.expressions, *(self._select.expressions if group.args.get("all") else [])] if group is not None else []  # fmt: skip
        grouped = {e.name.lower() for e in given if isinstance(e, exp.Column)}

        def meant(e: exp.Expr) -> exp.Expr:
            if isinstance(e, exp.Query) or self._ctx.finder.is_aggregate(e):
                return e
            name = e.name.lower() if isinstance(e, exp.Column) and len(e.parts) == 1 else ""
            if name in self._aliases and name not in grouped:
                alias: exp.Expr = self._aliases[name].copy()
                return alias
            for child in list(e.iter_expressions()):
                replaced = meant(child)
                if replaced is not child:
                    child.replace(exp.paren(replaced))
            return e

        return [self._resolve(meant(node.this.copy()))]

    def _filter(self, op: Op, condition: exp.Expr) -> Op:
        parts = conjuncts(condition)
        links: list[tuple[exp.Expr, exp.Expr]] = []
        if self._parent is not None and self._frame is None:
            links, parts = split_links(self._blocks, parts, self._scope)
            parts = [p for p in parts if not self._is_residual(p)]
        if parts:
            node = exp.and_(*parts, copy=True)
            op, where = self._blocks.condition(op, node, self._scope, self._ctes, self._aliases)
            op = filtered(op, where, "WHERE " + short(condition))
        op, made = with_links(self._blocks, op, links)
        self._links += made
        return op

    def _is_residual(self, part: exp.Expr) -> bool:
        """A condition that needs the row around: it becomes part of the join with it."""
        with self._scope.seeing_outer():
            resolved = self._resolve(part)
        if not has_outer(resolved):
            return False
        if resolved.find(exp.Query) is not None:
            raise Correlated
        select = self._select
        if any(
            select.args.get(c)
            for c in ("group", "having", "distinct", "limit", "offset", "qualify")
        ) or any(any(self._ctx.finder.find(e)) or e.find(exp.Window) for e in select.expressions):
            raise Correlated
        self._residual.append(resolved)
        return True

    def _order(self, items: Items) -> list[exp.Ordered]:
        """ORDER BY, where it decides which rows there are: before LIMIT and DISTINCT ON."""
        select = self._select
        node = select.args.get("order")
        is_limited = any(select.args.get(c) is not None for c in ("limit", "offset"))
        if node is None or not (is_limited or _distinct_on(select)):
            return []
        return [key for o in node.expressions for key in self._sort_keys(o, items)]

    def _sort_keys(self, given: exp.Ordered, items: Items) -> list[exp.Ordered]:
        aliases = {n.lower(): e for n, e in items}
        key = given.this
        is_bare = isinstance(key, exp.Column) and len(key.parts) == 1
        if (
            (is_bare or isinstance(key, exp.Var))
            and key.name.upper() == "ALL"
            and "all" not in aliases
        ):
            keys = [e for _, e in items]
        elif is_bare and key.name.lower() in aliases:
            keys = [aliases[key.name.lower()]]
        else:
            keys = [self._at(key, items) or self._resolve(key)]
        return [resorted(given, k) for k in keys]

    def _at(self, e: exp.Expr, items: Items) -> exp.Expr | None:
        """The expression of the SELECT list that a number stands for."""
        place = position(e)
        return None if place is None else items[place][1].copy()

    def _distinct_on(self, items: Items) -> list[exp.Expr]:
        return [self._at(e, items) or self._resolve(e) for e in _distinct_on(self._select)]

    def _named_windows(self, e: exp.Expr) -> exp.Expr:
        """`OVER w` becomes what w says."""
        named = {w.this.name.lower(): w for w in self._select.args.get("windows") or []}
        for window in list(e.find_all(exp.Window)):
            alias = window.args.get("alias")
            if alias is None:
                continue
            known = named[alias.name.lower()]
            base = known
            while base.args.get("alias") is not None:
                base = named[base.args["alias"].name.lower()]
            for clause in ("partition_by", "order", "spec"):
                value = window.args.get(clause) or known.args.get(clause) or base.args.get(clause)
                if value:
                    node = value if window.args.get(clause) else self._resolved_clause(value)
                    window.set(clause, node)
            window.set("alias", None)
        return e

    def _resolved_clause(self, value: object) -> object:
        if isinstance(value, list):
            return [self._resolve(v) for v in value]
        return self._resolve(value) if isinstance(value, exp.Expr) else value

    # --- groups and windows ------------------------------------------------------------------------

    def _is_grouped(self, expressions: Sequence[exp.Expr]) -> bool:
        if self._select.args.get("group") or self._select.args.get("having"):
            return True
        return any(True for e in expressions for _ in self._ctx.finder.find(e))

    def _before_groups(
        self, op: Op, expressions: Expressions, subqueries: Subqueries
    ) -> tuple[Op, Expressions]:
        """Subqueries inside aggregates come before the groups, those beside them after."""
        made: list[exp.Expr] = []
        for e in expressions.all():
            holder = exp.paren(e.copy())
            for call in list(self._ctx.finder.find(holder)):
                if call.find(exp.Query) is not None:
                    op, inner = subqueries.expression(op, call.copy())
                    call.replace(inner)
            made.append(holder.this)
        return op, expressions.changed(made)

    def _keys_before(
        self, op: Op, expressions: Expressions, items: Items, subqueries: Subqueries
    ) -> tuple[Op, Expressions, Items]:
        """What is grouped by and holds a subquery is computed before the groups."""
        group = self._select.args.get("group")
        if group is None or group.args.get("all"):
            keys = self._plain(expressions, items) if group is not None else []
        else:
            keys = list(_leaves(self._resolved_group(group, items)))
        for key in keys:
            text = key.sql("duckdb")
            if key.find(exp.Query) is not None and text not in self._before:
                op, self._before[text] = subqueries.expression(op, key.copy())
        if not self._before:
            return op, expressions, items
        changed = expressions.changed([self._with_keys(e) for e in expressions.all()])
        return op, changed, [(n, self._with_keys(e)) for n, e in items]

    def _with_keys(self, e: exp.Expr) -> exp.Expr:
        """Over the columns that `_keys_before` has made."""

        def over_column(n: exp.Expr) -> exp.Expr:
            made = self._before.get(n.sql("duckdb"))
            return n if made is None else made.copy()

        return e.transform(over_column) if self._before else e

    def _plain(self, expressions: Expressions, items: Items) -> list[exp.Expr]:
        """What GROUP BY ALL groups by."""
        return [
            e
            for (_, e), x in zip(items, expressions.outputs, strict=True)
            if not any(self._ctx.finder.find(x)) and x.find(exp.Column, exp.Query) is not None
        ]

    def _grouped(
        self, op: Op, expressions: Expressions, items: Items, row: list[Column]
    ) -> tuple[Grouped, Expressions, tuple[str, ...] | None]:
        group = self._select.args.get("group")
        resolved = self._resolved_group(group, items) if group is not None else None
        plain = self._plain(expressions, items)
        grouped = Grouper(
            self._ctx, op, resolved, expressions.all(), columns=row, links=[c for c, _ in self._links],
            emit=self._emit, all_keys=plain, frame=self._frame,
        ).run()  # fmt: skip
        outer = [o for _, o in self._links]
        self._links = list(zip(grouped.links, outer, strict=True))
        shown = {e.sql("duckdb"): n for n, e in items}
        for text, c in grouped.keys.items():
            c.label = shown.get(text, c.label)
        detail = ", ".join(self._shown_key(k) for k, c in grouped.keys.items() if not c.window)
        self._ctx.details.append(f"by {detail}" if detail else "aggregate")
        names = tuple(shown[k] for k in grouped.keys if k in shown)
        keys = names if len(names) == len(grouped.keys) else None
        return grouped, expressions.changed(grouped.expressions), keys

    def _refuse_partly_linked(self, expressions: Expressions) -> None:
        """Of no rows there is a group too: what it says beside its aggregates needs the rows around themselves."""
        if not self._links or self._frame is not None:
            return
        args = self._select.args
        group = args.get("group")
        is_whole = group is None or group.find(exp.GroupingSets, exp.Rollup, exp.Cube) is not None
        more = any(args.get(c) for c in ("having", "qualify", "group")) or not lets_one(
            self._select
        )
        if is_whole and (more or any(e.find(exp.Window) for e in expressions.outputs)):
            raise Correlated

    def _shown_key(self, text: str) -> str:
        labels = {c.name: c.label for c in self._scope.columns()}
        return COLUMN_NAME.sub(lambda m: labels.get(m.group(), m.group()), text)

    def _resolved_group(self, group: exp.Group, items: Items) -> exp.Group:
        def change(e: exp.Expr) -> exp.Expr:
            if isinstance(e, exp.GroupingSets | exp.Rollup | exp.Cube | exp.Tuple):
                copied = e.copy()
                copied.set("expressions", [change(x) for x in e.expressions])
                return copied
            if isinstance(e, exp.Paren):
                return exp.paren(change(e.this), copy=False)
            placed = self._at(e, items)
            if placed is not None:
                return placed
            resolved = self._resolve(e)
            return self._with_keys(resolved.this if isinstance(resolved, exp.Paren) else resolved)

        copied = group.copy()
        copied.set("expressions", [change(e) for e in group.expressions])
        for clause in ("grouping_sets", "rollup", "cube"):
            if group.args.get(clause):
                copied.set(clause, [change(e) for e in group.args[clause]])
        return copied

    def _windowed(
        self, op: Op, expressions: list[exp.Expr], row: list[Column]
    ) -> tuple[Op, list[exp.Expr]]:
        holders = [exp.paren(e, copy=False) for e in expressions]
        places = [(w, w.sql("duckdb")) for h in holders for w in h.find_all(exp.Window)]
        if not places:
            return op, expressions
        unique: dict[str, exp.Window] = {}
        for window, text in places:
            unique.setdefault(text, window.copy())
        links = [c for c, _ in self._links]
        parted, found = add_windows(
            self._ctx, op, list(unique.values()), row, links, emit=self._emit
        )
        by_text = dict(zip(unique, found, strict=True))
        for place, text in places:
            place.replace(by_text[text].ref)
        # The operation gives its input under new names.
        moved = {old.name: new for old, new in zip(op.columns, parted.columns, strict=False)}
        self._links = [(moved[c.name], o) for c, o in self._links]
        return parted, [renamed(h.this, moved) for h in holders]


def _leaves(group: exp.Expr) -> Iterator[exp.Expr]:
    """What is grouped by, in whatever sets."""
    clauses = ("expressions", "grouping_sets", "rollup", "cube")
    for e in (e for c in clauses for e in group.args.get(c) or []):
        part = e.this if isinstance(e, exp.Paren) else e
        if isinstance(part, exp.GroupingSets | exp.Rollup | exp.Cube | exp.Tuple):
            yield from _leaves(part)
        else:
            yield part


def _distinct_on(select: exp.Select) -> list[exp.Expr]:
    distinct = select.args.get("distinct")
    on = distinct.args.get("on") if distinct is not None else None
    if on is None:
        return []
    return list(on.expressions) if isinstance(on, exp.Tuple) else [on]
