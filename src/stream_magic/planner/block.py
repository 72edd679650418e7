"""One SELECT after the other becomes operations: FROM, WHERE, GROUP BY, OVER, QUALIFY, DISTINCT, ORDER BY, LIMIT."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import duckdb
from sqlglot import exp

from stream_magic.language.binder import explained
from stream_magic.language.catalog import Relation
from stream_magic.language.statements import Emit
from stream_magic.planner.assign import WindowAssigner
from stream_magic.planner.context import Context, Cte, Ctes, Result
from stream_magic.planner.from_clause import FromClause
from stream_magic.planner.grouping import Grouper
from stream_magic.planner.joins import extended, is_plain
from stream_magic.planner.logical import (
    SEVERAL,
    Column,
    Given,
    Group,
    Map,
    Op,
    Product,
    Scan,
    conjuncts,
)
from stream_magic.planner.over import add_windows, first_of_each, top
from stream_magic.planner.scope import OUTER, Item, Scope, resolve_all
from stream_magic.planner.sets import combine
from stream_magic.planner.subqueries import Subqueries, take_links
from stream_magic.planner.text import short, unaliased


class Blocks:
    """Plans queries and the queries inside them."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.windows = WindowAssigner(ctx)
        self._ctes: dict[int, Result] = {}

    def query(
        self, query: exp.Expr, ctes: Ctes, parent: Scope | None = None, *, emit: Emit = "changes"
    ) -> Result:  # fmt: skip
        """A SELECT, a set operation or VALUES."""
        while isinstance(query, exp.Subquery | exp.Paren):
            if isinstance(query, exp.Subquery) and any(
                query.args.get(c) for c in ("order", "limit", "offset", "with_")
            ):
                break
            query = query.this
        ctes = self._with(query, ctes)
        if isinstance(query, exp.Values):
            op = self.values(query)
            return Result(op, list(op.columns))
        if isinstance(query, exp.SetOperation | exp.Subquery):
            if parent is not None and isinstance(query, exp.SetOperation):
                parent = None
            inner = self.query(query.this, ctes, parent) if isinstance(query, exp.Subquery) else combine(self, query, ctes)  # fmt: skip
            return self._ordered_set(query, inner)
        if isinstance(query, exp.Pivot):
            raise self.ctx.refuse(
                "SM3007", "PIVOT is not supported in a continuous query yet",
                "aggregate with FILTER: sum(x) FILTER (WHERE category = 'Toys')", query,
            )  # fmt: skip
        if not isinstance(query, exp.Select):
            raise self.ctx.refuse(
                "SM3012", f"{type(query).__name__.upper()} is not supported in a continuous query yet",
                "write one CREATE STREAM for each SELECT", query,
            )  # fmt: skip
        return _Block(self, query, ctes, parent, emit).plan()

    def cte(self, name: str, ctes: Ctes) -> Result:
        """A CTE: planned once, read under new names by each reader."""
        cte = ctes[name]
        if id(cte) not in self._ctes:
            result = self.query(cte.query, cte.around)
            for column, label in zip(result.columns, cte.columns, strict=False):
                column.label = label
            self._ctes[id(cte)] = result
        known = self._ctes[id(cte)]
        columns = [self.ctx.names.like(c) for c in known.columns]
        ends = {c.name: n.name for c, n in zip(known.columns, columns, strict=True)}
        for c in columns:
            c.window = c.window if c.window == SEVERAL else ends.get(c.window, "")
        op = known.op
        renamed = Map(
            list(columns), op.is_changelog, op.has_watermark, op.lateness_us, op.has_order, input=op,
            items=[(n, c.ref) for n, c in zip(columns, known.columns, strict=True)],
        )  # fmt: skip
        return Result(renamed, columns)

    def scan(self, relation: Relation) -> Scan:
        time = (relation.time_column or "").lower()
        columns = [
            self.ctx.names.new(n, t, is_time=n.lower() == time)
            for n, t in zip(relation.schema.names, relation.types, strict=True)
        ]
        return Scan(
            columns, relation.is_changelog, relation.time_column is not None, relation.lateness_us,
            not relation.is_changelog, relation=relation,
        )  # fmt: skip

    def values(self, node: exp.Values) -> Given:
        bare = node.copy()
        bare.set("alias", None)
        select = exp.select("*").from_(bare)
        bound = self.ctx.bind(select, [])
        columns = [self.ctx.names.new(n, t) for n, t in zip(bound.names, bound.types, strict=True)]
        return Given(columns, select=select)

    def resolve(self, node: exp.Expr, scope: Scope) -> exp.Expr:
        return resolve_all(node, scope, self._unknown)

    def condition(
        self, op: Op, node: exp.Expr, scope: Scope, ctes: Ctes, aliases: dict[str, exp.Expr] | None = None
    ) -> tuple[Op, list[exp.Expr]]:  # fmt: skip
        """The operation with what subqueries of a condition need, and the conjuncts that are left."""
        subqueries = Subqueries(self, scope, ctes)
        left: list[exp.Expr] = []
        for part in conjuncts(node):
            op, rest = subqueries.conjunct(
                op, part, lambda n: self._with_aliases(n, scope, aliases or {})
            )
            left += rest
        return op, left

    def beside(
        self, op: Op, result: Result, scope: Scope, item: Item, condition: exp.Expr | None, kind: str, ctes: Ctes
    ) -> Op:  # fmt: skip
        """A LATERAL that gives one row for each row: its columns beside it."""
        if condition is not None and kind == "LEFT":
            raise self.ctx.refuse(
                "SM3059",
                "LEFT JOIN LATERAL with a condition is not supported yet",
                "put the condition inside",
            )
        op, values = Subqueries(self, scope, ctes).one_row(op, result)
        made = [(self.ctx.names.like(c), v) for c, v in zip(result.columns, values, strict=True)]
        item.columns = [c for c, _ in made]
        if item not in scope.items:
            scope.items.append(item)
        op = extended(op, made)
        if condition is None:
            return op
        named = {c.name: n for c, (n, _) in zip(result.columns, made, strict=True)}
        return _filtered(op, [_renamed(condition, named)])

    def _with_aliases(self, node: exp.Expr, scope: Scope, aliases: dict[str, exp.Expr]) -> exp.Expr:
        def unknown(column: exp.Column) -> exp.Expr:
            if len(column.parts) == 1 and column.name.lower() in aliases:
                return exp.paren(self._with_aliases(aliases[column.name.lower()], scope, aliases))
            return self._unknown(column)

        return resolve_all(node, scope, unknown)

    def _unknown(self, column: exp.Column) -> exp.Expr:
        if column.name.lower() == "rowid":
            raise self.ctx.refuse(
                "SM3053",
                "rows of a stream have no rowid",
                "use a key of the rows themselves",
                column,
            )
        if (
            len(column.parts) == 1
            and not column.this.quoted
            and column.name.lower().startswith(("current_", "local"))
        ):
            return column
        raise self.ctx.refuse(
            "SM3051", f"{column.sql('duckdb')} is a whole row here",
            f"write {column.name}.* for its columns, or name them: {{'id': {column.name}.id, ...}}", column,
        )  # fmt: skip

    def _with(self, query: exp.Expr, ctes: Ctes) -> Ctes:
        clause = query.args.get("with_")
        if clause is None:
            return ctes
        found = dict(ctes)
        for cte in clause.expressions:
            names = tuple(c.name for c in cte.args["alias"].args.get("columns") or [])
            found[cte.alias.lower()] = Cte(cte.this, names, dict(found))
        return found

    def _ordered_set(self, query: exp.Expr, result: Result) -> Result:
        """ORDER BY and LIMIT behind a set operation: they see its columns only."""
        limit, offset = query.args.get("limit"), query.args.get("offset")
        if limit is None and offset is None:
            return result
        scope = Scope()
        by_label = {c.label.lower(): c for c in result.columns}
        order: list[exp.Ordered] = []
        for o in query.args["order"].expressions if query.args.get("order") else []:
            key = o.copy()
            if isinstance(key.this, exp.Literal):
                key.set("this", result.columns[int(key.this.this) - 1].ref)
            else:
                key.set(
                    "this", resolve_all(key.this, scope, lambda c: by_label[c.name.lower()].ref)
                )
            order.append(key)
        op, names = top(
            self.ctx,
            result.op,
            order,
            result.columns,
            *_limits(limit, offset),
            [],
            is_percent=_is_percent(limit),
        )
        return Result(op, [names[c.name] for c in result.columns])


def _limits(
    limit: exp.Expr | None, offset: exp.Expr | None
) -> tuple[exp.Expr | None, exp.Expr | None]:
    return (
        limit.expression if limit is not None else None,
        offset.expression if offset is not None else None,
    )


def _is_percent(limit: exp.Expr | None) -> bool:
    options = limit.args.get("limit_options") if limit is not None else None
    return bool(options is not None and options.args.get("percent"))


class _Block:
    """One SELECT."""

    def __init__(
        self, blocks: Blocks, select: exp.Select, ctes: Ctes, parent: Scope | None, emit: Emit
    ) -> None:
        self._blocks = blocks
        self._ctx = blocks.ctx
        self._select = select
        self._ctes = ctes
        self._parent = parent
        self._emit: Emit = emit
        self._links: list[tuple[Column, exp.Expr]] = []
        self._residual: list[exp.Expr] = []
        self._moved: dict[str, Column] = {}

    def plan(self) -> Result:
        select, ctx = self._select, self._ctx
        self._refuse_clauses()
        clause = FromClause(self._blocks, select, self._ctes, self._parent)
        op = clause.read()
        self._scope = scope = clause.scope
        self._aliases = {
            e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias)
        }
        where = select.args.get("where")
        if where is not None:
            op = self._filter(op, where.this)
            ctx.details.append("WHERE " + short(where.this))
        row = scope.columns()
        items = self._items()
        subqueries = Subqueries(self._blocks, scope, self._ctes)
        resolved = [(n, self._resolve(e)) for n, e in items]
        order = self._order(resolved)
        having = self._optional("having")
        qualify = self._optional("qualify")
        expressions = [*(e for _, e in resolved), *having, *qualify, *(o.this for o in order)]
        distinct_on = [
            self._resolve(self._position(e, resolved))
            if not isinstance(e, exp.Literal)
            else self._position(e, resolved)
            for e in self._distinct_on()
        ]
        expressions += distinct_on
        expressions = [self._named_windows(e) for e in expressions]
        links = [c for c, _ in self._links]
        keys: tuple[str, ...] | None = None
        is_grouped = self._is_grouped(expressions)
        empty: list[exp.Expr] = []
        if is_grouped:
            op, expressions = self._before_groups(op, expressions, subqueries)
            empty = [e.copy() for e in expressions[: len(resolved)]]
            op, expressions, links, keys = self._grouped(op, expressions, resolved, row, links)
            row = [c for c in op.columns if c not in links]
        else:
            made = []
            for e in expressions:
                op, e2 = subqueries.expression(op, e)
                made.append(e2)
            expressions = made
        op, expressions = self._windowed(op, expressions, row, links)
        n, h, q, o = len(resolved), len(having), len(qualify), len(order)
        outputs, havings, qualifies = (
            expressions[:n],
            expressions[n : n + h],
            expressions[n + h : n + h + q],
        )
        sorts = [
            _resorted(s, e)
            for s, e in zip(order, expressions[n + h + q : n + h + q + o], strict=True)
        ]
        ons = expressions[n + h + q + o :]
        if havings or qualifies:
            op = _filtered(op, [c for e in (*havings, *qualifies) for c in conjuncts(e)])
        return self._finish(
            op, [n for n, _ in resolved], outputs, sorts, ons, links, keys, is_grouped, empty
        )

    # --- pieces ----------------------------------------------------------------------------------

    def _refuse_clauses(self) -> None:
        known = {
            "sample": ("SM3006", "SAMPLE", "filter by a hash: WHERE hash(id) % 100 < 10"),
            "connect": ("SM3008", "CONNECT BY", "there is no streaming form"),
            "match": ("SM3009", "MATCH_RECOGNIZE", "it comes with a later version"),
            "pivots": (
                "SM3007",
                "PIVOT",
                "aggregate with FILTER: sum(x) FILTER (WHERE category = 'Toys')",
            ),
        }
        allowed = {"expressions", "from_", "joins", "where", "group", "having", "with_", "distinct", "qualify",
                   "order", "limit", "offset", "windows", "kind", "hint", "operation_modifiers"}  # fmt: skip
        for clause, value in self._select.args.items():
            if value and clause not in allowed:
                code, what, hint = known.get(clause, ("SM3012", clause.upper(), ""))
                place = value[0] if isinstance(value, list) else value
                raise self._ctx.refuse(
                    code, f"{what} is not supported in a continuous query yet", hint,
                    place if isinstance(place, exp.Expr) else self._select,
                )  # fmt: skip

    def _resolve(self, node: exp.Expr) -> exp.Expr:
        return self._blocks._with_aliases(node, self._scope, self._aliases)  # noqa: SLF001  # one planner, two classes

    def _optional(self, clause: str) -> list[exp.Expr]:
        node = self._select.args.get(clause)
        return [self._resolve(node.this)] if node is not None else []

    def _filter(self, op: Op, condition: exp.Expr) -> Op:
        parts = conjuncts(condition)
        if self._parent is not None:
            self._links, parts, op = take_links(self._blocks, parts, self._scope, op)
            parts = [p for p in parts if not self._is_residual(p)]
        if not parts:
            return op
        node = exp.and_(*parts, copy=True)
        op, where = self._blocks.condition(op, node, self._scope, self._ctes, self._aliases)
        return _filtered(op, where, "WHERE " + short(condition))

    def _is_residual(self, part: exp.Expr) -> bool:
        """A condition that needs the row around: it becomes part of the join with it."""
        resolved = self._resolve(part)
        if not any(c.meta.get(OUTER) for c in resolved.find_all(exp.Column)):
            return False
        select = self._select
        if any(
            select.args.get(c)
            for c in ("group", "having", "distinct", "limit", "offset", "qualify")
        ) or any(any(self._ctx.finder.find(e)) or e.find(exp.Window) for e in select.expressions):
            raise self._ctx.refuse(
                "SM3059", "this subquery depends on the row around it by more than equalities",
                "write it as a join with GROUP BY", part,
            )  # fmt: skip
        self._residual.append(resolved)
        return True

    def _items(self) -> list[tuple[str, exp.Expr]]:
        """The SELECT list with its stars spelled out, under the names that DuckDB gives."""
        found: list[tuple[str, exp.Expr]] = []
        for item in self._select.expressions:
            found += self._expanded(item)
        return found

    def _expanded(self, item: exp.Expr) -> list[tuple[str, exp.Expr]]:
        star = item.this if isinstance(item, exp.Column) and item.is_star else item
        if isinstance(star, exp.Star):
            return self._star(item, star)
        stars = [s for s in item.find_all(exp.Star) if not isinstance(s.parent, exp.Count)]
        if item.find(exp.Columns) is not None or stars:
            return self._columns_expression(item)
        return [(self._label(item), unaliased(item))]

    def _label(self, item: exp.Expr) -> str:
        if isinstance(item, exp.Alias):
            return str(item.alias)
        if isinstance(item, exp.Column):
            return str(item.parts[-1].name)
        if isinstance(item, exp.Dot):
            return str(item.expression.name)
        return self._auto_label(item)

    def _auto_label(self, item: exp.Expr) -> str:
        """What DuckDB calls an expression without a name."""
        try:
            columns = [replace(c, name=c.label) for c in self._scope.columns()]
            seen: dict[str, Column] = {c.name.lower(): c for c in columns}
            select = exp.select(item.copy()).from_("_sm_row")
            return self._ctx.binder.columns(
                select.sql("duckdb"), [self._ctx.row(list(seen.values()))]
            ).names[0]
        except duckdb.Error:
            return item.sql("duckdb").lower()

    def _star(self, item: exp.Expr, star: exp.Star) -> list[tuple[str, exp.Expr]]:
        table = item.table if isinstance(item, exp.Column) else ""
        if table:
            of_item = self._scope.of_item(table)
            shown = of_item if of_item is not None else self._fields(item)
        else:
            shown = self._scope.shown()
        left = {e.name.lower() for e in star.args.get("except_") or []}
        changed = {e.alias.lower(): e.this for e in star.args.get("replace") or []}
        renamed = {e.this.name.lower(): e.alias for e in star.args.get("rename") or []}
        return [
            (renamed.get(n.lower(), n), changed.get(n.lower(), e))
            for n, e in shown
            if n.lower() not in left
        ]

    def _fields(self, item: exp.Expr) -> list[tuple[str, exp.Expr]]:
        """`after.*` of a STRUCT."""
        parts = list(item.parts) if isinstance(item, exp.Column) else []
        row = self._scope.resolve(parts[:-1]) if parts else None
        if row is None:
            raise self._ctx.refuse(
                "SM3011", "this * stands for nothing here", "name the columns", item
            )
        kind = self._ctx.types([row], self._scope.columns())[0]
        bound = self._ctx.binder.columns(f"SELECT unnest(CAST(NULL AS {kind})) LIMIT 0")
        return [
            (n, exp.Dot.build([row.copy(), exp.to_identifier(n, quoted=True)])) for n in bound.names
        ]

    def _columns_expression(self, item: exp.Expr) -> list[tuple[str, exp.Expr]]:
        """`min(COLUMNS('x.*'))`: once for each column that is meant."""
        node = item.find(exp.Columns) or item.find(exp.Star)
        assert node is not None  # noqa: S101  # asked before
        shown: dict[str, exp.Expr] = {}
        for n, e in self._scope.shown():
            shown.setdefault(n, e)
        fake = [Column(n, n, c.type) for n in shown for c in [self._column_of(shown[n])]]
        columns = node if isinstance(node, exp.Columns) else exp.Columns(this=node.copy())
        asked = exp.select(columns.copy()).from_("_sm_row")
        try:
            tables = [self._ctx.row(fake)]
            names = self._ctx.binder.columns(asked.sql("duckdb"), tables).names
            whole = exp.select(item.copy()).from_("_sm_row")
            labels = self._ctx.binder.columns(whole.sql("duckdb"), tables).names
        except duckdb.Error as e:
            raise self._ctx.refuse(
                "SM3011", f"COLUMNS(...): {explained(e)}", "name the columns", item
            ) from None
        if len(labels) != len(names):
            raise self._ctx.refuse(
                "SM3011", "two COLUMNS(...) in one expression", "name the columns", item
            )
        found = []
        for name, label in zip(names, labels, strict=True):
            copied = unaliased(item).copy()
            place = copied.find(exp.Columns) or copied.find(exp.Star)
            column = exp.column(exp.to_identifier(name, quoted=True))
            if place is copied:
                copied = column
            elif place is not None:
                place.replace(column)
            found.append((label, copied))
        return found

    def _column_of(self, e: exp.Expr) -> Column:
        if isinstance(e, exp.Column):
            return next(c for c in self._scope.columns() if c.name == e.name)
        return Column("", "", self._ctx.types([e], self._scope.columns())[0])

    def _order(self, items: list[tuple[str, exp.Expr]]) -> list[exp.Ordered]:
        """ORDER BY, where it decides which rows there are: before LIMIT and DISTINCT ON."""
        node = self._select.args.get("order")
        limited = (
            any(self._select.args.get(c) is not None for c in ("limit", "offset"))
            or self._distinct_on()
        )
        if node is None or not limited:
            return []
        aliases = {n.lower(): e for n, e in items}
        found: list[exp.Ordered] = []
        for o in node.expressions:
            copied = o.copy()
            key = copied.this
            if (
                isinstance(key, exp.Var | exp.Column)
                and key.name.upper() == "ALL"
                and "all" not in aliases
            ):
                found += [exp.Ordered(this=e.copy(), desc=o.args.get("desc"), nulls_first=o.args.get("nulls_first")) for _, e in items]  # fmt: skip
                continue
            if isinstance(key, exp.Literal) and not key.is_string:
                copied.set("this", items[int(key.this) - 1][1].copy())
            elif (
                isinstance(key, exp.Column) and len(key.parts) == 1 and key.name.lower() in aliases
            ):
                copied.set("this", aliases[key.name.lower()].copy())
            else:
                copied.set("this", self._resolve(key))
            found.append(copied)
        return found

    def _distinct_on(self) -> list[exp.Expr]:
        distinct = self._select.args.get("distinct")
        on = distinct.args.get("on") if distinct is not None else None
        if on is None:
            return []
        return list(on.expressions) if isinstance(on, exp.Tuple) else [on]

    def _position(self, e: exp.Expr, items: list[tuple[str, exp.Expr]]) -> exp.Expr:
        if isinstance(e, exp.Literal) and not e.is_string:
            return items[int(e.this) - 1][1].copy()
        return e

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
        self, op: Op, expressions: list[exp.Expr], subqueries: Subqueries
    ) -> tuple[Op, list[exp.Expr]]:
        """Subqueries inside aggregates come before the groups, those beside them after."""
        made: list[exp.Expr] = []
        for e in expressions:
            holder = exp.paren(e.copy())
            for call in list(self._ctx.finder.find(holder)):
                if call.find(exp.Query) is not None:
                    op, inner = subqueries.expression(op, call.copy())
                    call.replace(inner)
            made.append(holder.this)
        return op, made

    def _grouped(
        self, op: Op, expressions: list[exp.Expr], items: list[tuple[str, exp.Expr]], row: list[Column], links: list[Column]
    ) -> tuple[Op, list[exp.Expr], list[Column], tuple[str, ...] | None]:  # fmt: skip
        group = self._select.args.get("group")
        resolved = self._resolved_group(group, items) if group is not None else None
        plain = [
            e
            for (_, e), x in zip(items, expressions, strict=False)
            if not any(self._ctx.finder.find(x)) and not isinstance(x, exp.Literal)
        ]
        grouper = Grouper(
            self._ctx,
            op,
            resolved,
            expressions,
            columns=row,
            links=links,
            emit=self._emit,
            all_keys=plain,
        )
        grouped = grouper.run()
        if (
            resolved is not None
            and not grouped.keys
            and not resolved.find(exp.GroupingSets, exp.Rollup, exp.Cube)
        ):
            raise self._ctx.refuse(
                "SM3048", "GROUP BY a constant makes no groups", "leave GROUP BY out, or group by a column", group
            )  # fmt: skip
        self._links = [
            (new, outer) for new, (_, outer) in zip(grouped.links, self._links, strict=True)
        ]
        subqueries = Subqueries(self._blocks, Scope(parent=None), self._ctes)
        made = []
        op = grouped.op
        for e in grouped.expressions:
            op, e2 = subqueries.expression(op, e)
            made.append(e2)
        shown = {e.sql("duckdb"): n for n, e in items}
        key_names = tuple(shown[k] for k in grouped.keys if k in shown)
        detail = [k for k, c in grouped.keys.items() if not c.window]
        for text, c in grouped.keys.items():
            c.label = shown.get(text, c.label)
        self._ctx.details.append(
            "by " + ", ".join(self._shown_key(k) for k in detail) if detail else "aggregate"
        )
        return op, made, grouped.links, key_names if len(key_names) == len(grouped.keys) else None

    def _shown_key(self, text: str) -> str:
        labels = {c.name: c.label for c in self._scope.columns()}
        return re.sub(r"\bc\d+\b", lambda m: labels.get(m.group(), m.group()), text)

    def _resolved_group(self, group: exp.Group, items: list[tuple[str, exp.Expr]]) -> exp.Group:
        def change(e: exp.Expr) -> exp.Expr:
            if isinstance(e, exp.GroupingSets | exp.Rollup | exp.Cube | exp.Tuple):
                copied = e.copy()
                copied.set("expressions", [change(x) for x in e.expressions])
                return copied
            if isinstance(e, exp.Paren):
                return exp.paren(change(e.this), copy=False)
            if isinstance(e, exp.Literal) and not e.is_string:
                return items[int(e.this) - 1][1].copy()
            resolved = self._resolve(e)
            return (
                resolved.this
                if isinstance(resolved, exp.Paren) and not isinstance(e, exp.Paren)
                else resolved
            )

        copied = group.copy()
        copied.set("expressions", [change(e) for e in group.expressions])
        for clause in ("grouping_sets", "rollup", "cube"):
            if group.args.get(clause):
                copied.set(clause, [change(e) for e in group.args[clause]])
        return copied

    def _windowed(
        self, op: Op, expressions: list[exp.Expr], row: list[Column], links: list[Column]
    ) -> tuple[Op, list[exp.Expr]]:
        holders = [exp.paren(e, copy=False) for e in expressions]
        places = [w for h in holders for w in h.find_all(exp.Window)]
        if not places:
            return op, expressions
        unique = {w.sql("duckdb"): w for w in places}
        before = list(op.columns)
        op, found = add_windows(self._ctx, op, [w.copy() for w in unique.values()], row, links)
        by_text = dict(zip(unique, found, strict=True))
        texts = [w.sql("duckdb") for w in places]
        for place, text in zip(places, texts, strict=True):
            place.replace(by_text[text].ref)
        # The operation gives its input under new names.
        renamed = {old.name: new for old, new in zip(before, op.columns, strict=False)}
        for i, c in enumerate(links):
            links[i] = renamed[c.name]
        self._links = [(renamed.get(c.name, c), o) for c, o in self._links]
        changed = [_renamed(h.this, renamed) for h in holders]
        row[:] = [renamed.get(c.name, c) for c in row]
        return op, changed

    def _finish(
        self, op: Op, names: list[str], outputs: list[exp.Expr], sorts: list[exp.Ordered], ons: list[exp.Expr],
        links: list[Column], keys: tuple[str, ...] | None, is_grouped: bool, empty: list[exp.Expr],
    ) -> Result:  # fmt: skip
        ctx, select = self._ctx, self._select
        types = ctx.types(outputs, op.columns)
        known = {c.name: c for c in op.columns}
        columns: list[Column] = []
        for n, e, t in zip(names, outputs, types, strict=True):
            source = known.get(e.name) if isinstance(e, exp.Column) else None
            columns.append(ctx.names.like(source, n) if source is not None else ctx.names.new(n, t))
        renamed = {
            e.name: c.name
            for e, c in zip(outputs, columns, strict=True)
            if isinstance(e, exp.Column)
        }
        kept_ends = [
            known[c.window]
            for c in columns
            if c.window and c.window not in renamed and c.window in known
        ]
        inner = [known[n] for n in sorted(self._inner_names()) if n in known]
        carried = {c.name: ctx.names.like(c) for c in dict.fromkeys([*kept_ends, *links, *inner])}
        for c in [*columns, *carried.values()]:
            c.window = (SEVERAL if c.window == SEVERAL else renamed.get(c.window)) or (
                carried[c.window].name if c.window in carried else ""
            )
        items: list[tuple[Column, exp.Expr]] = [
            *zip(columns, outputs, strict=True), *((c, known[n].ref) for n, c in carried.items())
        ]  # fmt: skip
        extra: list[Column] = []
        for s in [*sorts, *(exp.Ordered(this=e) for e in ons)]:
            if not any(s.this == e for e in outputs):
                column = ctx.names.new(s.this.sql("duckdb"), ctx.types([s.this], op.columns)[0])
                extra.append(column)
                items.append((column, s.this.copy()))
        places = {e.sql("duckdb"): c for c, e in reversed(items)}
        op = Map(
            [c for c, _ in items], op.is_changelog, op.has_watermark, op.lateness_us, op.has_order, input=op, items=items
        )  # fmt: skip
        self._links = [(carried.get(c.name, c), o) for c, o in self._links]
        new_links = [c for c, _ in self._links]
        sorts = [_resorted(s, places[s.this.sql("duckdb")].ref) for s in sorts]
        residual = [_renamed_inner(r, carried) for r in self._residual]
        result = Result(op, columns, keys, self._links, residual)
        result.is_single = (
            is_grouped
            and not self._select.args.get("group")
            and not self._select.args.get("having")
            and not self._select.args.get("qualify")
        )
        if result.is_single:
            result.empty = {c.name: e for c, e in zip(columns, empty, strict=True)}
        distinct = select.args.get("distinct")
        if ons:
            op = self._with(
                result,
                first_of_each(
                    ctx,
                    op,
                    [*new_links, *(places[e.sql("duckdb")] for e in ons)],
                    sorts,
                    by_arrival=not sorts and op.has_order,
                ),
                op,
            )
        elif distinct is not None:
            op = self._distinct(result, op)
        limit, offset = select.args.get("limit"), select.args.get("offset")
        if limit is not None or offset is not None:
            resort = (
                [_resorted(s, _renamed(s.this.copy(), self._moved)) for s in sorts]
                if (ons or distinct is not None)
                else sorts
            )
            made, _ = top(
                ctx,
                op,
                resort,
                result.columns,
                *_limits(limit, offset),
                [c for c, _ in result.links],
                is_percent=_is_percent(limit),
            )
            op = self._with(result, made, op)
            result.is_single = False
        result.op = op
        return result

    def _inner_names(self) -> set[str]:
        return {
            c.name for r in self._residual for c in r.find_all(exp.Column) if not c.meta.get(OUTER)
        }

    def _with(self, result: Result, op: Op, before: Op) -> Op:
        """The result's columns under the names that an operation over the whole row gives them."""
        self._moved = {old.name: new for old, new in zip(before.columns, op.columns, strict=True)}
        result.columns = [self._moved[c.name] for c in result.columns]
        result.links = [(self._moved[c.name], o) for c, o in result.links]
        return op

    def _distinct(self, result: Result, op: Op) -> Op:
        ctx = self._ctx
        shown = [*result.columns, *(c for c, _ in result.links)]
        pairs = [(ctx.names.like(c), c) for c in dict.fromkeys(shown)]
        group = Group(
            [n for n, _ in pairs],
            True,
            has_order=False,
            lateness_us=op.lateness_us,
            input=op,
            keys=pairs,
            calls=[],
        )
        self._moved = {c.name: n for n, c in pairs}
        result.columns = [self._moved[c.name] for c in result.columns]
        result.links = [(self._moved[c.name], o) for c, o in result.links]
        return group


def _filtered(op: Op, where: list[exp.Expr], rule: str = "") -> Op:
    if not where:
        return op
    if isinstance(op, Product) and not op.where:
        plain = [w for w in where if is_plain(w)]
        where = [w for w in where if not is_plain(w)]
        op = replace(op, where=plain, columns=list(op.columns))
        if not where:
            return op
    return Map(
        list(op.columns), op.is_changelog, op.has_watermark, op.lateness_us, op.has_order, input=op, keeps=True, where=where,
        rule=rule,
    )  # fmt: skip


def _resorted(order: exp.Ordered, key: exp.Expr) -> exp.Ordered:
    copied = order.copy()
    copied.set("this", key.copy())
    return copied


def _renamed(node: exp.Expr, names: dict[str, Column]) -> exp.Expr:
    def change(n: exp.Expr) -> exp.Expr:
        return names[n.name].ref if isinstance(n, exp.Column) and n.name in names else n

    return node.transform(change)


def _renamed_inner(node: exp.Expr, names: dict[str, Column]) -> exp.Expr:
    """The condition over the names that inner columns have now; outer ones stay."""

    def change(n: exp.Expr) -> exp.Expr:
        is_inner = isinstance(n, exp.Column) and not n.meta.get(OUTER) and n.name in names
        return names[n.name].ref if is_inner else n

    return node.copy().transform(change)
