"""What a query reads: relations and windows, found in its own text so that carets stay right."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from stream_magic.errors import PlanError
from stream_magic.language.binder import Binder, EmptyTable, typed_columns
from stream_magic.language.catalog import Catalog, Relation
from stream_magic.language.spans import span_of
from stream_magic.language.statements import Query
from stream_magic.planner.windows import Tumble, read_tumble, window_call


@dataclass
class References:
    """The relations of a query, and its text with `TUMBLE(...)` replaced by names of the same length.

    Attributes:
        body: the query's text; offsets are those of the cell, less the query's start.
        relations: by id.
        windows: by the schema that stands for them in `body`.
        tumbles: by the id() of the AST node.
    """

    body: str
    relations: dict[str, Relation] = field(default_factory=dict)
    windows: dict[str, Tumble] = field(default_factory=dict)
    tumbles: dict[int, Tumble] = field(default_factory=dict)

    def empty_tables(self) -> list[EmptyTable]:
        """What the binder needs to know."""
        tables = {t.sql_name: t for t in map(_empty_table, self.relations.values())}
        windows = [_empty_window(t, name) for name, t in self.windows.items()]
        return [*tables.values(), *windows]


def find_references(query: Query, catalog: Catalog, binder: Binder) -> References:
    """Finds every name in FROM.

    Raises:
        LanguageError: a name is unknown (SM2002), or a window's arguments do not fit.
        PlanError: a window function that is not supported yet.
    """
    span = query.span
    found = References(span.text[span.start : span.end])
    for number, table in enumerate(table_items(query.ast)):
        call = window_call(table)
        if call is None:
            _refuse_function(table, span.text)
            relation = catalog.find(table_name(table), span_of(table, span.text))
            found.relations[relation.id] = relation
            continue
        tumble = read_tumble(call, span.text, catalog, binder)
        found.tumbles[id(table)] = tumble
        schema_name = f"w{number}"
        found.windows[schema_name] = tumble
        place = span_of(call, span.text)
        start, end = place.start - span.start, place.end - span.start
        name = _empty_window(tumble, schema_name).sql_name
        found.body = found.body[:start] + name.ljust(end - start) + found.body[end:]
    return found


def _refuse_function(table: exp.Table, text: str) -> None:
    """`FROM read_csv(...)`: a file or a system table is no stream."""
    if isinstance(table.this, exp.Identifier):
        return
    raise PlanError(
        "SM3052",
        "FROM takes streams, tables and caches, and no other functions than TUMBLE(...)",
        hint="for files write CREATE SOURCE or CREATE CACHE n WITH (connector = 'file', path = '...')",
        span=span_of(table, text),
    )


def table_items(ast: exp.Expr) -> list[exp.Table]:
    """All tables of a query but its CTEs."""
    ctes = {c.alias.lower() for c in ast.find_all(exp.CTE)}
    tables = list(ast.find_all(exp.Table))
    return [t for t in tables if window_call(t) or not _is_cte(t, ctes)]


def _is_cte(table: exp.Table, ctes: set[str]) -> bool:
    """`WITH s AS (SELECT * FROM s)`: the inner s is not the CTE."""
    inside = table.find_ancestor(exp.CTE)
    name = table_name(table).lower()
    return name in ctes and (inside is None or inside.alias.lower() != name)


def table_name(table: exp.Expr) -> str:
    """`orders` or `errors.orders`, without quotes."""
    return ".".join(p.name for p in table.parts) if isinstance(table, exp.Table) else ""


def _empty_table(relation: Relation) -> EmptyTable:
    schema_name, _, name = relation.name.rpartition(".")
    names = tuple(relation.schema.names)
    return EmptyTable(name, typed_columns(names, relation.types), schema_name, names)


def _empty_window(tumble: Tumble, schema_name: str) -> EmptyTable:
    inner = typed_columns(tumble.relation.schema.names, tumble.relation.types)
    names = (*tumble.relation.schema.names, "window_start", "window_end")
    select = tumble.sql(f"({inner})", with_end_us=False)
    return EmptyTable(tumble.relation.name.rpartition(".")[2], select, schema_name, names)
