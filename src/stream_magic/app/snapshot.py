"""`app.sql`: a DuckDB relation over one committed epoch, on a connection of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
from sqlglot import exp

from stream_magic.engine.dataflow import CacheNode
from stream_magic.engine.worker import Engine
from stream_magic.errors import ConfigError
from stream_magic.language.binder import Binder, quote
from stream_magic.language.catalog import Catalog, Relation
from stream_magic.language.expansion import written_out
from stream_magic.language.parser import parse_query
from stream_magic.language.python import install
from stream_magic.language.statements import Query
from stream_magic.planner.references import find_references
from stream_magic.planner.window_sql import as_sql

if TYPE_CHECKING:
    from duckdb import DuckDBPyRelation


def snapshot(text: str, engine: Engine, catalog: Catalog, binder: Binder) -> DuckDBPyRelation:
    """Runs a SELECT over what tables, caches and streams hold now.

    Raises:
        LanguageError: the text or a name is wrong.
        duckdb.Error: the query fails on its data.
    """
    with written_out(parse_query(text)) as query:
        return _run(query, engine, catalog, binder)


def _run(query: Query, engine: Engine, catalog: Catalog, binder: Binder) -> DuckDBPyRelation:
    found = find_references(query, catalog, binder)
    wanted = dict(found.relations)
    with engine.between_epochs():
        rows = {i: _rows(r, engine) for i, r in wanted.items()}
    binder.bind(found.body, found.empty_tables(), query.span)
    con = duckdb.connect()
    for name in {str(c.this).lower() for c in query.ast.find_all(exp.Anonymous)}:
        function = binder.functions.get(name)
        if function is not None:
            install(con, function)
    for number, (relation_id, relation) in enumerate(wanted.items()):
        con.register(f"_sm_{number}", rows[relation_id])
        con.execute(
            f"CREATE VIEW {_sql_name(relation, con)} AS {_typed(relation, f'_sm_{number}', con)}"
        )
    for schema_name, call in found.windows.items():
        if call.relation is None:
            raise ConfigError(
                "SM7042", f"a snapshot cannot read {call.function.upper()} over the CTE {call.name} yet",
                hint="make it a stream: CREATE STREAM q AS SELECT ...",
            )  # fmt: skip
        source = _sql_name(call.relation, con)
        con.execute(f"CREATE SCHEMA {schema_name}")
        con.execute(f"CREATE VIEW {schema_name}.{quote(call.name)} AS {as_sql(call, source)}")
    return con.sql(found.body)


def _rows(relation: Relation, engine: Engine) -> pa.Table:
    node = engine.flow[relation.id.removeprefix("errors.")]
    if relation.kind == "errors":
        return node.errors.rows()
    if isinstance(node, CacheNode):
        return node.loader.rows
    return node.log.rows() if node.log is not None else relation.schema.empty_table()


def _sql_name(relation: Relation, con: duckdb.DuckDBPyConnection) -> str:
    schema_name, _, name = relation.name.rpartition(".")
    if not schema_name:
        return f"main.{quote(name)}"
    con.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(schema_name)}")
    return f"{quote(schema_name)}.{quote(name)}"


def _typed(relation: Relation, name: str, con: duckdb.DuckDBPyConnection) -> str:
    """The rows with the DuckDB types that Arrow does not carry."""
    carried = [str(t) for t in con.table(name).types]
    casts = [
        f"CAST({quote(n)} AS {t}) AS {quote(n)}"
        for n, t, c in zip(relation.schema.names, relation.types, carried, strict=True)
        if t != c
    ]
    return (
        f"SELECT * REPLACE ({', '.join(casts)}) FROM {name}" if casts else f"SELECT * FROM {name}"
    )
