"""What all parts of the planner share while one query is planned."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import duckdb
from sqlglot import exp

from stream_magic.contracts.function import Function
from stream_magic.errors import PlanError, Span
from stream_magic.language.binder import Binder, Columns, EmptyTable, explained, typed_columns
from stream_magic.language.catalog import Catalog
from stream_magic.language.python import called, sql_name
from stream_magic.language.spans import span_of
from stream_magic.language.statements import Query
from stream_magic.planner.aggregates import AggregateFinder, function_name
from stream_magic.planner.clock import CLOCK_TABLE, with_clock
from stream_magic.planner.columns import Column, Names
from stream_magic.planner.logical import Op, conjunction
from stream_magic.planner.references import References
from stream_magic.planner.refuse import CLAUSES, Unsupported
from stream_magic.planner.volatile import VolatileFinder

_ROW = "_sm_row"


@dataclass(frozen=True)
class Cte:
    """A WITH item: the query, and the ones that it may read."""

    query: exp.Query
    columns: tuple[str, ...]
    around: Ctes


Ctes = dict[str, Cte]


@dataclass
class Result:
    """A planned SELECT: an operation, and which of its columns the user sees, in order.

    Attributes:
        keys: the grouping columns among them, or None if it does not group.
        links: for a correlated subquery, its columns and the outer expressions that they equal.
        is_framed: the links are the row around itself: NULL is the same as NULL, and of each row the query knows the answer.
        residual: further conditions of a correlated subquery, over its columns and outer ones.
        is_single: it gives exactly one row (for each value of its links).
        empty: what its columns are over no input, as SQL; only of a single row.
    """

    op: Op
    columns: list[Column]
    keys: tuple[str, ...] | None = None
    links: list[tuple[Column, exp.Expr]] = field(default_factory=list)
    residual: list[exp.Expr] = field(default_factory=list)
    is_framed: bool = False
    is_single: bool = False
    empty: dict[str, exp.Expr] = field(default_factory=dict)

    @property
    def condition(self) -> exp.Expr | None:
        """What joins it to the rows around."""
        same = exp.NullSafeEQ if self.is_framed else exp.EQ
        equal = [same(this=outer.copy(), expression=inner.ref) for inner, outer in self.links]
        return conjunction([*equal, *self.residual])


@dataclass
class Context:
    """The query, the catalogue, the binder, and what was found out on the way."""

    query: Query
    catalog: Catalog
    binder: Binder
    found: References
    names: Names = field(init=False)
    warnings: list[str] = field(default_factory=list)
    details: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        caches = [r for r in self.found.relations.values() if r.kind == "cache"]
        self.names = Names(c.lower() for r in caches for c in r.schema.names)
        self.finder = AggregateFinder(self.binder.aggregate_names())
        self.functions = self.binder.functions
        python = frozenset(sql_name(f) for f in self.functions)
        self.volatile = VolatileFinder(self.binder.volatile_names() | python)

    @property
    def text(self) -> str:
        return self.query.span.text

    def span(self, node: exp.Expr | None) -> Span:
        return self.query.span if node is None else span_of(node, self.text)

    def refuse(self, code: str, what: str, hint: str, node: exp.Expr | None = None) -> PlanError:
        return PlanError(code, what, hint=hint or None, span=self.span(node))

    def is_of_row(self, node: exp.Expr) -> bool:
        """Its value depends on the row: it reads columns, or is drawn."""
        return node.find(exp.Column) is not None or self.volatile.is_drawn(node)

    def drawn_here(self, name: str, node: exp.Expr | None = None) -> PlanError:
        """The refusal of a volatile or Python function where rows are computed again."""
        is_python = self.called(name) is not None
        why = "is called once for each row" if is_python else "answers differently each time"
        hint = f"WITH q AS (SELECT *, {name}({'...' if is_python else ''}) AS v FROM s)"
        return self.refuse(
            "SM3050", f"{name}() {why}, and here rows are computed again",
            f"compute it before, as a column: {hint}", node,
        )  # fmt: skip

    def called(self, name: str) -> Function | None:
        """The Python function that a call in the plan means."""
        return called(self.functions, name)

    def is_settled(self, node: exp.Expr) -> bool:
        """Computed again it gives the same: nothing in it is drawn, but by functions that say they are deterministic."""
        names = (function_name(c) for c in self.volatile.find(node) if isinstance(c, exp.Func))
        functions = [self.called(n) for n in names]
        is_word = any(isinstance(c, exp.Column) for c in self.volatile.find(node))
        return not is_word and all(f is not None and f.is_deterministic for f in functions)

    def unsupported(self, clause: str, node: exp.Expr, hint: str = "") -> PlanError:
        """The refusal of a clause, by sqlglot's name for it."""
        code, what, mend = CLAUSES.get(clause) or Unsupported("SM3012", clause.upper(), hint)
        return self.refuse(code, f"{what} is not supported in a continuous query yet", mend, node)

    def shown(self, node: exp.Expr, columns: Sequence[Column]) -> str:
        """An expression as the user would write it."""
        labels = {c.name: c.label for c in columns}

        def named(n: exp.Expr) -> exp.Expr:
            return (
                exp.column(labels[n.name]) if isinstance(n, exp.Column) and n.name in labels else n
            )

        return str(node.copy().transform(named).sql("duckdb"))

    def types(self, expressions: Sequence[exp.Expr], columns: Sequence[Column]) -> tuple[str, ...]:
        """DuckDB types of expressions over these columns.

        Raises:
            PlanError: SM3099, DuckDB does not take what the planner made of the query.
        """
        if not expressions:
            return ()
        select = exp.select(*(exp.alias_(e.copy(), f"x{i}") for i, e in enumerate(expressions)))
        types = self.bind(select.from_(_ROW), [self.row(columns)]).types
        if len(types) != len(expressions):
            raise self.refuse(
                "SM3061", "an expression that gives several columns is not supported here yet",
                "name the columns, or write s.* for a STRUCT s", None,
            )  # fmt: skip
        return types

    def row(self, columns: Sequence[Column], name: str = _ROW) -> EmptyTable:
        """A table of these columns without rows."""
        if not columns:
            return EmptyTable(name, "SELECT 1 AS _sm_none LIMIT 0")
        unique = {c.name: c for c in columns}.values()
        return EmptyTable(name, typed_columns([c.name for c in unique], [c.type for c in unique]))

    def bind(self, select: exp.Select, tables: list[EmptyTable]) -> Columns:
        """Names and types of a SELECT that the planner wrote; caches may be read in it."""
        return self.bind_text(with_clock(select).sql("duckdb"), tables)

    def bind_text(self, sql: str, tables: list[EmptyTable]) -> Columns:
        """Names and types of SQL that the planner wrote.

        Raises:
            PlanError: SM3099, DuckDB does not take it.
        """
        caches = [
            EmptyTable(r.id, typed_columns(r.schema.names, r.types), "caches")
            for r in self.found.relations.values()
            if r.kind == "cache"
        ]
        try:
            return self.binder.columns(sql, [*tables, *caches, CLOCK_TABLE])
        except duckdb.Error as e:
            raise PlanError(
                "SM3099", f"this query cannot be kept up to date yet: {explained(e)}",
                hint="cut it in two: a CREATE STREAM that computes the columns, and one that reads it",
                span=self.query.span,
            ) from None  # fmt: skip
