"""Subqueries become joins: EXISTS and IN a semi join, a scalar one a column beside the row.

A subquery that reads only caches, or the lists of a row, stays where it is: it is a lookup.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sqlglot import exp

from stream_magic.language.catalog import Relation
from stream_magic.planner.aggregates import aggregate_core, function_name
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Ctes, Result
from stream_magic.planner.correlated import plan_inside
from stream_magic.planner.in_row import relations, resolve_in_row
from stream_magic.planner.joins import join
from stream_magic.planner.logical import Aggregation, Group, Map, Op, Stack, extended
from stream_magic.planner.references import PLACE, table_name
from stream_magic.planner.scope import Scoping
from stream_magic.planner.text import unaliased

if TYPE_CHECKING:
    from stream_magic.planner.blocks import Blocks

_COUNTS = frozenset(
    {"count", "count_star", "count_if", "countif", "regr_count", "approx_count_distinct"}
)


@dataclass(frozen=True)
class Asked:
    """A condition over all rows of a subquery: EXISTS, IN, or a comparison with ANY or ALL of them.

    Attributes:
        node: the condition.
        query: gives the rows.
        value: what is compared with them; None for EXISTS.
        compare: the comparison.
        is_all: it must hold for all of them, not for one.
    """

    node: exp.Expr
    query: exp.Expr
    value: exp.Expr | None = None
    compare: type[exp.Expr] = exp.EQ
    is_all: bool = False

    @classmethod
    def read(cls, node: exp.Expr | None) -> Asked | None:
        """None if a node asks for a value, or for none."""
        if isinstance(node, exp.Exists) and isinstance(node.this, exp.Query):
            return cls(node, node.this)
        if isinstance(node, exp.In) and node.args.get("query") is not None:
            return cls(node, node.args["query"], node.this)
        if isinstance(node, exp.Binary) and isinstance(node.expression, exp.Any | exp.All):
            query = node.expression.this
            if isinstance(query, exp.Query):
                is_all = isinstance(node.expression, exp.All)
                return cls(node, query, node.this, type(node), is_all)
        return None

    @classmethod
    def around(cls, query: exp.Expr) -> Asked | None:
        """The condition that a subquery belongs to, if it is no value."""
        above = query.parent
        return cls.read(above) or cls.read(above.parent if above is not None else None)

    def tests(self, value: exp.Expr, columns: list[Column]) -> tuple[exp.Expr, exp.Expr]:
        """Conditions over a row of the subquery: it decides the answer; for all that is known it may do so."""
        is_row = isinstance(value, exp.Tuple) and len(columns) > 1
        pairs = list(zip(value.expressions if is_row else [value], columns, strict=True))
        compare = exp.EQ if is_row else self.compare
        met = [compare(this=v.copy(), expression=c.ref) for v, c in pairs]
        if self.is_all and not is_row:
            met = [exp.Not(this=exp.paren(m)) for m in met]
        open_ = [
            exp.or_(m, _is_null(v), _is_null(c.ref)) for m, (v, c) in zip(met, pairs, strict=True)
        ]
        return exp.and_(*met), exp.and_(*open_)


class Subqueries:
    """The subqueries in the expressions of one SELECT."""

    def __init__(self, blocks: Blocks, scope: Scoping, ctes: Ctes) -> None:
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
        asked = Asked.read(node)
        if asked is None or self._is_lookup(asked.query):
            op, rest = self.expression(op, resolve(part))
            return op, [rest]
        op, value = (op, None) if asked.value is None else self.expression(op, resolve(asked.value))
        right = self._rows(op, asked)
        wants_none = is_not != asked.is_all
        on = right.condition
        if value is not None:  # a row that may decide it is enough to leave a row out
            on = _both(asked.tests(value, right.columns)[wants_none], on)
        return join(self._ctx, op, right.op, "ANTI" if wants_none else "SEMI", on, part), []

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
        if isinstance(above, exp.Array):
            return self._array(op, query, above)
        asked = Asked.around(query)
        if asked is None:
            op, column = self._scalar(op, query)
            return op, column, query
        yes, no = ("false", "true") if asked.is_all else ("true", "false")
        if asked.value is None:
            right = self._rows(op, asked)
            op, mark = self._marked(op, [(right.condition, yes)], right.op, no)
            return op, mark.ref, asked.node
        op, value = self.expression(op, asked.value.copy())
        right = self._rows(op, asked)
        decides, may = (_both(t, right.condition) for t in asked.tests(value, right.columns))
        tests = [(decides, yes), (may, "CAST(NULL AS BOOLEAN)")]
        op, mark = self._marked(op, tests, right.op, no)
        return op, mark.ref, asked.node

    def _rows(self, op: Op, asked: Asked) -> Result:
        """The rows of the subquery; refused if rows are compared with them as a whole by more than equality."""
        equality = exp.NEQ if asked.is_all else exp.EQ
        if isinstance(asked.value, exp.Tuple) and asked.compare is not equality:
            raise self._ctx.refuse(
                "SM3059", "rows of several columns are compared with ANY or ALL by = ANY and <> ALL only",
                "write EXISTS (SELECT 1 FROM ... WHERE ...)", asked.node,
            )  # fmt: skip
        return plan_inside(
            self._blocks, op, asked.query, self._ctes, self._scope, takes_defaults=False
        )

    def _array(self, op: Op, query: exp.Expr, above: exp.Array) -> tuple[Op, exp.Expr, exp.Expr]:
        """ARRAY(SELECT x ... ORDER BY y): a list of the values, empty without any."""
        inner = query.this if isinstance(query, exp.Subquery) else query
        clauses = ("group", "distinct", "limit", "offset", "having", "qualify")
        if not isinstance(inner, exp.Select) or any(inner.args.get(c) for c in clauses):
            raise self._ctx.refuse(
                "SM3059", "ARRAY(...) takes a plain SELECT in a continuous query",
                "write (SELECT list(x ORDER BY y) FROM (SELECT ...))", above,
            )  # fmt: skip
        select = inner.copy()
        order = select.args.pop("order", None)
        value = unaliased(select.expressions[0])
        listed = (
            exp.Order(this=value, expressions=order.expressions) if order is not None else value
        )
        select.set("expressions", [exp.ArrayAgg(this=listed)])
        op, column = self._scalar(op, select)
        empty = exp.Array(expressions=[])
        return op, exp.func("coalesce", column, empty), above

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
        result = plan_inside(
            self._blocks, op, query, self._ctes, self._scope, takes_conditions=False
        )
        if not result.is_single:
            result = self._single(result)
        op, values = self.one_row(op, result)
        return op, values[0]

    def one_row(self, op: Op, result: Result) -> tuple[Op, list[exp.Expr]]:
        """The row that a subquery gives for each row, beside it."""
        values: list[exp.Expr] = [c.ref for c in result.columns]
        if not result.links:
            return join(self._ctx, op, result.op, "INNER", None), values
        joined = join(self._ctx, op, result.op, "LEFT", result.condition)
        if result.is_framed:  # it knows an answer for each row, if it is no NULL
            return joined, values
        is_missing = _is_null(result.links[0][0].ref)
        values = []
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
        return Result(made, [one], links=renamed, is_framed=result.is_framed, is_single=True)

    # --- caches ----------------------------------------------------------------------------------

    def _is_lookup(self, query: exp.Expr) -> bool:
        """It reads caches or what is in the row, and nothing else."""
        tables = relations(query)
        return all(self._cache(t) is not None or self._is_own_cte(t, query) for t in tables)

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
        asked = Asked.around(query)
        place = (
            asked.node if asked is not None else above if isinstance(above, exp.Array) else query
        )
        node = place.copy()
        caches: list[Relation] = []
        resolve_in_row(self._ctx, self._scope, node)
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


def _outermost(holder: exp.Expr) -> exp.Expr | None:
    for node in holder.walk(prune=lambda n: isinstance(n, exp.Query)):
        if isinstance(node, exp.Query):
            return node
    return None


def _both(test: exp.Expr, linked: exp.Expr | None) -> exp.Expr:
    return test if linked is None else exp.and_(test, linked)


def _is_null(e: exp.Expr) -> exp.Expr:
    return exp.Is(this=e.copy(), expression=exp.null())
