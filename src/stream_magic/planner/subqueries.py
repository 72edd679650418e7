"""Subqueries become joins: EXISTS and IN a semi join, a scalar one a column beside the row.

A subquery that reads only caches stays where it is: it is a lookup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from sqlglot import exp

from stream_magic.language.catalog import Relation
from stream_magic.planner.aggregates import aggregate_core, function_name
from stream_magic.planner.context import Ctes, Result
from stream_magic.planner.joins import join
from stream_magic.planner.logical import (
    Aggregation,
    Column,
    Group,
    Map,
    Op,
    Stack,
    extended,
    used,
)
from stream_magic.planner.references import PLACE, table_name
from stream_magic.planner.scope import OUTER, Scope
from stream_magic.planner.text import from_items

if TYPE_CHECKING:
    from stream_magic.planner.blocks import Blocks

_COUNTS = frozenset(
    {"count", "count_star", "count_if", "countif", "regr_count", "approx_count_distinct"}
)


def split_links(
    blocks: Blocks, parts: list[exp.Expr], scope: Scope
) -> tuple[list[tuple[exp.Expr, exp.Expr]], list[exp.Expr]]:
    """Splits `inner = outer` off a correlated WHERE: both sides of each, and what is left."""
    links: list[tuple[exp.Expr, exp.Expr]] = []
    rest: list[exp.Expr] = []
    for part in parts:
        link = None
        if isinstance(part, exp.EQ) and part.find(exp.Query) is None:
            a, b = (blocks.resolve(e, scope) for e in (part.this, part.expression))
            for inner, outer in ((a, b), (b, a)):
                if _is_outer(outer) and not _has_outer(inner) and used([inner]):
                    link = (inner, outer)
        if link is None:
            rest.append(part)
        else:
            links.append(link)
    return links, rest


def with_links(
    blocks: Blocks, op: Op, links: Sequence[tuple[exp.Expr, exp.Expr]]
) -> tuple[Op, list[tuple[Column, exp.Expr]]]:
    """The operation with a column for the inner side of each link, beside the outer sides.

    They come after the conditions: of a comma join those are what joins it.
    """
    made = [
        (blocks.ctx.names.new(inner.sql("duckdb"), blocks.ctx.types([inner], op.columns)[0]), inner)
        for inner, _ in links
    ]
    outer = [o for _, o in links]
    return extended(op, made), [(c, o) for (c, _), o in zip(made, outer, strict=True)]


def _is_outer(e: exp.Expr) -> bool:
    columns = list(e.find_all(exp.Column))
    return bool(columns) and all(c.meta.get(OUTER) for c in columns)


def _has_outer(e: exp.Expr) -> bool:
    return any(c.meta.get(OUTER) for c in e.find_all(exp.Column))


class Subqueries:
    """The subqueries in the expressions of one SELECT."""

    def __init__(self, blocks: Blocks, scope: Scope, ctes: Ctes) -> None:
        self._blocks = blocks
        self._ctx = blocks.ctx
        self._scope = scope
        self._ctes = ctes

    def conjunct(
        self, op: Op, part: exp.Expr, resolve: Callable[[exp.Expr], exp.Expr]
    ) -> tuple[Op, list[exp.Expr]]:
        """A condition of WHERE: an EXISTS or IN of its own is a join, of anything else the rest is left."""
        node, is_not = part, False
        while isinstance(node, exp.Not | exp.Paren):
            is_not ^= isinstance(node, exp.Not)
            node = node.this
        if (
            isinstance(node, exp.Exists)
            and isinstance(node.this, exp.Query)
            and not self._is_lookup(node.this)
        ):
            right, on = self._exists(node.this)
            return join(self._ctx, op, right, "ANTI" if is_not else "SEMI", on, part), []
        query = node.args.get("query") if isinstance(node, exp.In) else None
        if query is not None and not self._is_lookup(query):
            op, value = self.expression(op, resolve(node.this))
            right, on, ys = self._in(query)
            same = _equal(value, ys)
            if is_not:
                same = exp.paren(exp.or_(same, self._unknown(value, ys, query)), copy=False)
            condition = same if on is None else exp.and_(same, on)
            return join(self._ctx, op, right, "ANTI" if is_not else "SEMI", condition, part), []
        op, rest = self.expression(op, resolve(part))
        return op, [rest]

    def expression(self, op: Op, e: exp.Expr) -> tuple[Op, exp.Expr]:
        """The operation with a column for each subquery in a resolved expression, and the expression over them."""
        holder = exp.paren(e, copy=False)
        while (query := _outermost(holder)) is not None:
            op, made, place = self._one(op, query)
            place.replace(made)
        return op, holder.this

    def expressions(self, op: Op, given: list[exp.Expr]) -> tuple[Op, list[exp.Expr]]:
        """The same for several."""
        made = []
        for e in given:
            op, over_columns = self.expression(op, e)
            made.append(over_columns)
        return op, made

    # --- kinds -----------------------------------------------------------------------------------

    def _one(self, op: Op, query: exp.Expr) -> tuple[Op, exp.Expr, exp.Expr]:
        above = query.parent
        if self._is_lookup(query):
            return self._lookup(op, query)
        if isinstance(above, exp.Exists):
            right, on = self._exists(query)
            op, mark = self._marked(op, [(on, "true")], right, "false")
            return op, mark.ref, above
        if isinstance(above, exp.In):
            op, value = self.expression(op, above.this.copy())
            right, on, ys = self._in(query)
            tests = [
                (_equal(value, ys), "true"),
                (self._unknown(value, ys, query), "CAST(NULL AS BOOLEAN)"),
            ]
            both = [(t if on is None else exp.and_(t, on.copy()), v) for t, v in tests]
            op, mark = self._marked(op, both, right, "false")
            return op, mark.ref, above
        if isinstance(above, exp.Any | exp.All):
            raise self._ctx.refuse(
                "SM3059",
                "ANY and ALL over a subquery are not supported yet",
                "write IN, EXISTS, or compare with max(...)",
                above,
            )
        op, column = self._scalar(op, query)
        return op, column, query

    def _exists(self, query: exp.Expr) -> tuple[Op, exp.Expr | None]:
        result = self._blocks.query(query, self._ctes, self._scope)
        return result.op, self._linked(result)

    def _in(self, query: exp.Expr) -> tuple[Op, exp.Expr | None, list[Column]]:
        result = self._blocks.query(query, self._ctes, self._scope)
        return result.op, self._linked(result), result.columns

    def _unknown(self, value: exp.Expr, ys: list[Column], query: exp.Expr) -> exp.Expr:
        """Where SQL says neither yes nor no: a NULL on either side."""
        if len(ys) > 1:
            raise self._ctx.refuse(
                "SM3059",
                "NOT IN over several columns is not supported yet",
                "write NOT EXISTS",
                query,
            )
        return exp.paren(exp.or_(_is_null(value), _is_null(ys[0].ref)), copy=False)

    @staticmethod
    def _linked(result: Result) -> exp.Expr | None:
        equal = [exp.EQ(this=outer.copy(), expression=inner.ref) for inner, outer in result.links]
        parts = [*equal, *(r.copy() for r in result.residual)]
        return exp.and_(*parts, copy=False) if parts else None

    def _marked(
        self, op: Op, tests: Sequence[tuple[exp.Expr | None, str]], right: Op, otherwise: str
    ) -> tuple[Op, Column]:
        """Each row once, with the value of the first test that a row of `right` meets."""
        mark = self._ctx.names.new("mark", "BOOLEAN")
        parts: list[Op] = []
        rest = op
        for on, value in tests:
            semi = join(self._ctx, rest, right, "SEMI", on)
            parts.append(self._with_value(semi, value))
            rest = join(self._ctx, rest, right, "ANTI", on)
        parts.append(self._with_value(rest, otherwise))
        stacked = Stack(
            [*op.columns, mark],
            True,
            op.has_watermark,
            op.lateness_us,
            has_order=False,
            parts=parts,
        )
        return stacked, mark

    def _with_value(self, op: Op, value: str) -> Op:
        column = self._ctx.names.new("mark", "BOOLEAN")
        return extended(op, [(column, exp.maybe_parse(value, dialect="duckdb"))])

    def _scalar(self, op: Op, query: exp.Expr) -> tuple[Op, exp.Expr]:
        result = self._blocks.query(query, self._ctes, self._scope)
        if result.residual:
            raise self._ctx.refuse(
                "SM3059", "this subquery depends on the row around it by more than equalities",
                "write it as a join with GROUP BY", query,
            )  # fmt: skip
        if not result.is_single:
            result = self._single(result)
        op, values = self.one_row(op, result)
        return op, values[0]

    def one_row(self, op: Op, result: Result) -> tuple[Op, list[exp.Expr]]:
        """The row that a subquery gives for each row, beside it."""
        if not result.links:
            return join(self._ctx, op, result.op, "INNER", None), [c.ref for c in result.columns]
        joined = join(self._ctx, op, result.op, "LEFT", self._linked(result))
        is_missing = _is_null(result.links[0][0].ref)
        values: list[exp.Expr] = []
        for c in result.columns:
            nothing = self._over_nothing(result.empty.get(c.name, exp.null()))
            default = exp.cast(nothing, c.type, dialect="duckdb")
            values.append(
                exp.Case(ifs=[exp.If(this=is_missing.copy(), true=default)], default=c.ref)
            )
        return joined, values

    def _over_nothing(self, e: exp.Expr) -> exp.Expr:
        """What an expression over aggregates is where there are no rows."""
        holder = exp.paren(e.copy())
        for call in list(self._ctx.finder.find(holder)):
            is_count = function_name(aggregate_core(call)) in _COUNTS
            call.replace(exp.Literal.number(0) if is_count else exp.null())
        inner: exp.Expr = holder.this
        return inner

    def _single(self, result: Result) -> Result:
        """A subquery that may give several rows: its value, or an error if there are several."""
        ctx, op, value = self._ctx, result.op, result.columns[0]
        links = [(ctx.names.like(c), c) for c, _ in result.links]
        highest = ctx.names.new(value.label, value.type)
        count = ctx.names.new("count", "BIGINT")
        calls = [
            Aggregation(highest, f"max({value.name})", True, f"max({value.label})"),
            Aggregation(count, "count(*)", True, "count(*)"),
        ]
        group = Group(
            [*(n for n, _ in links), highest, count],
            True,
            has_order=False,
            input=op,
            keys=links,
            calls=calls,
        )
        one = ctx.names.like(highest)
        checked: exp.Expr = exp.maybe_parse(
            f"CASE WHEN {count.name} > 1 THEN error('More than one row returned by a subquery used as an expression') ELSE {highest.name} END",
            dialect="duckdb",
        )
        value_or_error = exp.cast(checked, one.type, dialect="duckdb")
        made = Map.over(group, [(one, value_or_error), *((n, n.ref) for n, _ in links)])
        renamed = [(n, o) for (n, _), (_, o) in zip(links, result.links, strict=True)]
        return Result(made, [one], links=renamed, is_single=True)

    # --- caches ----------------------------------------------------------------------------------

    def _is_lookup(self, query: exp.Expr) -> bool:
        """It reads caches, and nothing else."""
        tables = list(query.find_all(exp.Table))
        return bool(tables) and all(
            self._cache(t) is not None or self._is_own_cte(t, query) for t in tables
        )

    @staticmethod
    def _is_own_cte(table: exp.Table, query: exp.Expr) -> bool:
        return table_name(table).lower() in {c.alias.lower() for c in query.find_all(exp.CTE)}

    def _cache(self, table: exp.Table) -> Relation | None:
        if PLACE in table.meta or table_name(table).lower() in self._ctes:
            return None
        relation = self._ctx.catalog.get(table_name(table))
        return relation if relation is not None and relation.kind == "cache" else None

    def _lookup(self, op: Op, query: exp.Expr) -> tuple[Op, exp.Expr, exp.Expr]:
        above = query.parent
        place = above if isinstance(above, exp.Exists | exp.In) else query
        node = place.copy()
        caches: list[Relation] = []
        for select in node.find_all(exp.Select):
            self._resolve_lookup(select)
        for table in list(node.find_all(exp.Table)):
            relation = self._cache(table)
            if relation is not None:
                caches.append(relation)
                alias = table.alias or table.name
                table.replace(
                    exp.alias_(exp.table_(relation.id, db="caches", quoted=True), alias, table=True)
                )
        self._ctx.details += [f"lookup in {c.name}" for c in caches]
        column = self._ctx.names.new(node.sql("duckdb"), self._ctx.types([node], op.columns)[0])
        return Map.over(op, [(column, node)], keeps=True, caches=caches), column.ref, place

    def _resolve_lookup(self, select: exp.Select) -> None:
        """Columns of the SELECT around it get their names; those of the caches keep theirs."""
        own: set[str] = {e.alias.lower() for e in select.find_all(exp.Alias)}
        aliases: set[str] = set()
        at: exp.Expr | None = select
        while at is not None:
            if isinstance(at, exp.Select) and at.args.get("from_") is not None:
                for item in from_items(at):
                    relation = (
                        self._ctx.catalog.get(table_name(item))
                        if isinstance(item, exp.Table)
                        else None
                    )
                    aliases.add(item.alias_or_name.lower())
                    if relation is not None:
                        own |= {n.lower() for n in relation.schema.names}
                    elif isinstance(item, exp.Subquery):
                        own |= {n.lower() for n in item.this.named_selects}
            at = at.parent
        for column in list(select.find_all(exp.Column)):
            if column.find_ancestor(exp.Select) is not select or column.is_star:
                continue
            first = column.parts[0].name.lower()
            if (len(column.parts) > 1 and first in aliases) or first in own:
                continue
            found = self._scope.resolve(list(column.parts))
            if found is not None:
                for c in found.find_all(exp.Column):
                    c.meta.pop(OUTER, None)
                column.replace(found)


def _outermost(holder: exp.Expr) -> exp.Expr | None:
    for node in holder.walk(prune=lambda n: isinstance(n, exp.Query)):
        if isinstance(node, exp.Query):
            return node
    return None


def _equal(value: exp.Expr, ys: list[Column]) -> exp.Expr:
    if len(ys) == 1:
        return exp.EQ(this=value, expression=ys[0].ref)
    parts = value.expressions if isinstance(value, exp.Tuple) else [value]
    return exp.and_(
        *(exp.EQ(this=v.copy(), expression=y.ref) for v, y in zip(parts, ys, strict=True)),
        copy=False,
    )


def _is_null(e: exp.Expr) -> exp.Expr:
    return exp.Is(this=e.copy(), expression=exp.null())
