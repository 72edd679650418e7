"""All queries of a plan: SELECTs, set operations, VALUES, CTEs, and the queries inside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sqlglot import exp

from stream_magic.language.catalog import Relation
from stream_magic.language.statements import Emit
from stream_magic.planner.assign import WindowAssigner
from stream_magic.planner.block import Block
from stream_magic.planner.columns import SEVERAL
from stream_magic.planner.context import Context, Cte, Ctes, Result
from stream_magic.planner.joins import filtered
from stream_magic.planner.logical import (
    Given,
    Map,
    Op,
    Scan,
    conjuncts,
    extended,
    move_ends,
    renamed,
)
from stream_magic.planner.over import top
from stream_magic.planner.scope import Item, Scope, Scoping, resolve_all
from stream_magic.planner.select_list import position
from stream_magic.planner.sets import combine
from stream_magic.planner.subqueries import Subqueries

_INSTEAD = {
    "Summarize": "write the figures that you want: SELECT count(*), min(x), max(x), avg(x), quantile_cont(x, 0.5) FROM ..."
}


class Blocks:
    """Plans queries and the queries inside them."""

    def __init__(self, ctx: Context) -> None:
        self.ctx = ctx
        self.windows = WindowAssigner(ctx)
        self._ctes: dict[tuple[int, Emit], Result] = {}

    def query(
        self, query: exp.Expr, ctes: Ctes, parent: Scoping | None = None, *, emit: Emit = "changes"
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
        if isinstance(query, exp.SetOperation):
            return self._ordered_set(query, combine(self, query, ctes, parent, emit=emit))
        if isinstance(query, exp.Subquery):
            return self._ordered_set(query, self.query(query.this, ctes, parent, emit=emit))
        if not isinstance(query, exp.Select):
            word = "pivots" if isinstance(query, exp.Pivot) else type(query).__name__
            hint = _INSTEAD.get(word, "write one CREATE STREAM for each SELECT")
            raise self.ctx.unsupported(word, query, hint)
        return Block(self, query, ctes, parent, emit).plan()

    def cte(self, name: str, ctes: Ctes, emit: Emit) -> Result:
        """A CTE: planned once, read under new names by each reader."""
        cte = ctes[name]
        at = (id(cte), emit)
        if at not in self._ctes:
            result = self.query(cte.query, cte.around, emit=emit)
            for column, label in zip(result.columns, cte.columns, strict=False):
                column.label = label
            self._ctes[at] = result
        known = self._ctes[at]
        columns = [self.ctx.names.like(c) for c in known.columns]
        move_ends(columns, {c.name: n.name for c, n in zip(known.columns, columns, strict=True)})
        items = [(n, c.ref) for n, c in zip(columns, known.columns, strict=True)]
        return Result(Map.over(known.op, items), columns)

    def scan(self, relation: Relation) -> Scan:
        time = (relation.time_column or "").lower()
        columns = [
            self.ctx.names.new(n, t, is_time=n.lower() == time)
            for n, t in zip(relation.schema.names, relation.types, strict=True)
        ]
        by_name = {c.label: c.name for c in columns} | {SEVERAL: SEVERAL}
        for c in columns:
            c.window = by_name.get(relation.windows.get(c.label, ""), "")
        return Scan(
            columns, relation.is_changelog, relation.time_column is not None, relation.lateness_us,
            relation.has_order and not relation.is_changelog, relation.is_settled, relation=relation,
        )  # fmt: skip

    def values(self, node: exp.Values) -> Given:
        bare = node.copy()
        bare.set("alias", None)
        select = exp.select("*").from_(bare)
        bound = self.ctx.bind(select, [])
        columns = [self.ctx.names.new(n, t) for n, t in zip(bound.names, bound.types, strict=True)]
        return Given(columns, select=select)

    def resolve(
        self, node: exp.Expr, scope: Scope, aliases: Mapping[str, exp.Expr] | None = None
    ) -> exp.Expr:
        """A copy over column names; `aliases` of the SELECT list stand for their expressions where no column has the name."""
        known = aliases or {}

        def unknown(column: exp.Column) -> exp.Expr:
            if len(column.parts) == 1 and column.name.lower() in known:
                return exp.paren(self.resolve(known[column.name.lower()], scope, known))
            return self._unknown(column)

        return resolve_all(node, scope, unknown)

    def condition(
        self, op: Op, node: exp.Expr, scope: Scope, ctes: Ctes, aliases: dict[str, exp.Expr] | None = None
    ) -> tuple[Op, list[exp.Expr]]:  # fmt: skip
        """The operation with what subqueries of a condition need, and the conjuncts that are left."""
        subqueries = Subqueries(self, scope, ctes)
        left: list[exp.Expr] = []
        for part in conjuncts(node):
            op, rest = subqueries.conjunct(op, part, lambda n: self.resolve(n, scope, aliases))
            left += rest
        return op, left

    def beside(
        self, op: Op, result: Result, scope: Scope, item: Item, condition: exp.Expr | None, kind: str, ctes: Ctes
    ) -> Op:  # fmt: skip
        """A LATERAL that gives one row for each row: its columns beside it."""
        op, values = Subqueries(self, scope, ctes).one_row(op, result)
        made = [(self.ctx.names.like(c), v) for c, v in zip(result.columns, values, strict=True)]
        item.columns = [c for c, _ in made]
        if item not in scope.items:
            scope.items.append(item)
        op = extended(op, made)
        if condition is None:
            return op
        named = {c.name: n for c, (n, _) in zip(result.columns, made, strict=True)}
        condition = renamed(condition, named)
        if kind != "LEFT":
            return filtered(op, [condition])
        item.columns = [self.ctx.names.like(c) for c in item.columns]
        found = [exp.Case(ifs=[exp.If(this=condition.copy(), true=c.ref)]) for c, _ in made]
        return extended(op, list(zip(item.columns, found, strict=True)))

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
            "SM3051", f"{column.sql('duckdb')} is not known here: a WITH inside of a subquery does not see the row around it yet",
            "write what it says as a subquery in FROM", column,
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
        by_label = {c.label.lower(): c for c in result.columns}
        order: list[exp.Ordered] = []
        for o in query.args["order"].expressions if query.args.get("order") else []:
            key = o.copy()
            place = position(key.this)
            if place is not None:
                key.set("this", result.columns[place].ref)
            else:
                known = resolve_all(key.this, Scope(), lambda c: by_label[c.name.lower()].ref)
                key.set("this", known)
            order.append(key)
        links = [c for c, _ in result.links]
        op = top(self.ctx, result.op, order, result.columns, limit, offset, links)
        moved = dict(zip((c.name for c in result.op.columns), op.columns, strict=True))
        return replace(
            result, op=op, columns=[moved[c.name] for c in result.columns], is_single=False, keys=None,
            links=[(moved[c.name], o) for c, o in result.links],
        )  # fmt: skip
