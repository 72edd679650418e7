"""What a query reads: relations and windows, found in its own text so that carets stay right."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from sqlglot import exp

from stream_magic.errors import PlanError, Span
from stream_magic.language.binder import Binder, EmptyTable, typed_columns
from stream_magic.language.catalog import Catalog, Relation
from stream_magic.language.spans import span_of
from stream_magic.language.statements import Query
from stream_magic.planner.windows import WindowCall, read_window, window_call

PLACE = (
    "sm_place"  # meta of a window function in FROM: the name that stands for it when text is bound
)


_SYSTEM_TIME = re.compile(r"\bFOR\s+SYSTEM_TIME\s+AS\s+OF\s*$", re.IGNORECASE)


@dataclass
class References:
    """The relations of a query, and its text with window functions replaced by names of the same length.

    Attributes:
        body: the query's text; offsets are those of the cell, less the query's start.
        relations: by id.
        windows: by the schema that stands for them in `body`.
        empty: what the binder needs to know.
    """

    body: str
    relations: dict[str, Relation] = field(default_factory=dict)
    windows: dict[str, WindowCall] = field(default_factory=dict)
    empty: dict[str, EmptyTable] = field(default_factory=dict)

    def empty_tables(self) -> list[EmptyTable]:
        return list(self.empty.values())

    def bindable(self, query: exp.Query) -> exp.Query:
        """A copy that DuckDB can bind over `empty_tables`."""
        copied: exp.Query = query.copy()
        for table in list(copied.find_all(exp.Table)):
            place = table.meta.get(PLACE)
            if place is not None:
                name = exp.table_(self.windows[place].name, db=place, quoted=True)
                name.set("alias", table.args.get("alias"))
                table.replace(name)
        return copied


def find_references(query: Query, catalog: Catalog, binder: Binder) -> References:
    """Finds every name in FROM.

    Raises:
        LanguageError: a name is unknown (SM2002), or a window's arguments do not fit.
        PlanError: a window function that is not supported yet.
    """
    span = query.span
    found = References(span.text[span.start : span.end])
    tables = table_items(query.ast)
    for table in tables:
        if window_call(table) is None:
            _refuse_function(table, span.text)
            relation = catalog.find(table_name(table), span_of(table, span.text))
            _add(found, relation)
    for table in tables:
        if table.args.get("version") is not None:
            _leave_out_version(found, table, span)
    calls = [(t, c) for t in tables if (c := window_call(t)) is not None]
    # Those inside a CTE stand before those that read it.
    for number, (table, call) in enumerate(
        sorted(calls, key=lambda p: span_of(p[1], span.text).start)
    ):
        place = f"w{number}"
        columns = _columns_of(call, query.ast, found, catalog, binder, span.text)
        window = read_window(call, columns, span.text, binder)
        if isinstance(columns, Relation):
            _add(found, columns)
        table.meta[PLACE] = place
        found.windows[place] = window
        shown, types = window.shown
        found.empty[place] = EmptyTable(window.name, typed_columns(shown, types), place, shown)
        at = span_of(call, span.text)
        start, end = at.start - span.start, at.end - span.start
        name = found.empty[place].sql_name
        found.body = found.body[:start] + name.ljust(end - start) + found.body[end:]
    return found


def _leave_out_version(found: References, table: exp.Table, span: Span) -> None:
    """`FOR SYSTEM_TIME AS OF o.ts` is not DuckDB's; names and types are those of the join without it."""
    version = table.args["version"]
    end = span_of(version.expression, span.text).end
    start = span_of(version.expression, span.text).start
    head = _SYSTEM_TIME.search(span.text[:start])
    if head is None:
        raise PlanError(
            "SM3012", "this form of AS OF is not supported", hint="write FOR SYSTEM_TIME AS OF o.ts",
            span=span_of(table, span.text),
        )  # fmt: skip
    first, last = head.start() - span.start, end - span.start
    found.body = found.body[:first] + " " * (last - first) + found.body[last:]


def _add(found: References, relation: Relation) -> None:
    found.relations[relation.id] = relation
    empty = _empty_table(relation)
    found.empty[empty.sql_name] = empty


def _columns_of(
    call: exp.Anonymous, ast: exp.Query, found: References, catalog: Catalog, binder: Binder, text: str
) -> Relation | EmptyTable:  # fmt: skip
    """What a window function reads: a relation, or a CTE before it."""
    arg = call.expressions[0] if call.expressions else None
    name = ".".join(p.name for p in arg.parts) if isinstance(arg, exp.Column) else ""
    for cte in ast.find_all(exp.CTE):
        if cte.alias.lower() == name.lower():
            return _empty_cte(cte, ast, found, binder)
    if arg is None or not name:
        return EmptyTable("", "SELECT 1")
    return catalog.find(name, span_of(arg, text))


def _empty_cte(cte: exp.CTE, ast: exp.Query, found: References, binder: Binder) -> EmptyTable:
    """A CTE's columns: what DuckDB says of it, with the CTEs before it."""
    before: list[exp.CTE] = []
    for other in ast.find_all(exp.CTE):
        if other is cte:
            break
        before.append(other)
    query = found.bindable(cte.this)
    for other in before:
        query = query.with_(other.alias, as_=found.bindable(other.this), copy=False)
    columns = binder.columns(query.sql("duckdb"), found.empty_tables())
    names = [c.name for c in cte.args["alias"].args.get("columns") or []]
    names += columns.names[len(names) :]
    return EmptyTable(cte.alias, typed_columns(names, columns.types), "", tuple(names))


def _refuse_function(table: exp.Table, text: str) -> None:
    """`FROM read_csv(...)`: a file or a system table is no stream."""
    if isinstance(table.this, exp.Identifier):
        return
    raise PlanError(
        "SM3052",
        "FROM takes streams, tables and caches, and no other functions than windows: TUMBLE(...), HOP(...)",
        hint="for files write CREATE SOURCE or CREATE CACHE n WITH (connector = 'file', path = '...')",
        span=span_of(table, text),
    )


def table_items(ast: exp.Expr) -> list[exp.Table]:
    """All tables of a query but its CTEs, in the order in which they are written."""
    tables = list(ast.find_all(exp.Table))
    return [t for t in tables if window_call(t) or not (is_series(t) or _is_cte(t))]


def is_series(table: exp.Expr) -> bool:
    """`generate_series(...)` or `range(...)` in FROM: it is computed, as UNNEST is."""
    return isinstance(table, exp.Table) and isinstance(table.this, exp.GenerateSeries)


def _is_cte(table: exp.Table) -> bool:
    """`WITH s AS (SELECT * FROM s)`: the inner s is not the CTE. A query around shows its CTEs, a CTE those before it."""
    name = table_name(table).lower()
    node: exp.Expr = table
    while (above := node.parent) is not None:
        clause = above if isinstance(above, exp.With) else above.args.get("with_")
        if isinstance(clause, exp.With) and clause is not node:
            ctes = clause.expressions
            known = ctes[: ctes.index(node)] if clause is above else ctes
            if name in {c.alias.lower() for c in known}:
                return True
        node = above
    return False


def table_name(table: exp.Expr) -> str:
    """`orders` or `errors.orders`, without quotes."""
    return ".".join(p.name for p in table.parts) if isinstance(table, exp.Table) else ""


def _empty_table(relation: Relation) -> EmptyTable:
    schema_name, _, name = relation.name.rpartition(".")
    names = tuple(relation.schema.names)
    return EmptyTable(name, typed_columns(names, relation.types), schema_name, names)
