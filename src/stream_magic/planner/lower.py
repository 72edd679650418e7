"""A flow's text becomes nodes: what DuckDB says of its names and types goes in here."""

from __future__ import annotations

import dataclasses

import pyarrow as pa
from sqlglot import exp

from stream_magic.core.change import SEQ_FIELD, WEIGHT_FIELD, is_hidden
from stream_magic.language.binder import INPUT, Binder, EmptyTable, typed_columns
from stream_magic.language.statements import Emit
from stream_magic.planner.aggregates import Split
from stream_magic.planner.clock import CLOCK, CLOCK_TABLE, with_clock
from stream_magic.planner.guard import probe_sql
from stream_magic.planner.lookup import find_lookups
from stream_magic.planner.nodes import WINDOW_END, Aggregate, Call, Compute, Read
from stream_magic.planner.scope import Flow
from stream_magic.planner.text import read_with_types


def flow_tables(flow: Flow, binder: Binder) -> list[EmptyTable]:
    """`_in` and the caches, as the flow's text sees them."""
    node = flow.node
    schema = node.relation.stream_schema if isinstance(node, Read) else node.schema
    columns = typed_columns(schema.names, binder.column_types(schema))
    tables = [EmptyTable(INPUT, columns), CLOCK_TABLE]
    caches = {c.id: c for c in flow.caches}
    return [
        *tables,
        *(
            EmptyTable(i, typed_columns(c.schema.names, c.types), "caches")
            for i, c in caches.items()
        ),
    ]


def from_columns(select: exp.Select, flow: Flow, binder: Binder) -> list[str]:
    """Names of all columns in FROM, lower case, as often as they occur."""
    probe = exp.select("*")
    probe.set("from_", select.args["from_"].copy())
    probe.set("joins", [j.copy() for j in select.args.get("joins") or []])
    return [n.lower() for n in binder.columns(probe.sql("duckdb"), flow_tables(flow, binder)).names]


def make_compute(flow: Flow, select: exp.Select, rule: str, names: tuple[str, ...] = ()) -> Compute:
    """The flow's text as a node; `names` are the user's for its visible columns."""
    visible = names or tuple(
        e.alias_or_name for e in select.expressions if not is_hidden(e.alias_or_name)
    )
    timed = with_clock(select)
    sql = timed.sql("duckdb")
    lookup_sql, lookups = find_lookups(timed, flow)
    return Compute(
        input=flow.node,
        sql=sql,
        visible=visible,
        hidden=tuple(flow.hidden),
        caches=tuple(dict.fromkeys(c.id for c in flow.caches)),
        is_windowed=flow.is_windowed,
        rule=rule,
        probe_sql=probe_sql(timed),
        labels=flow.labels,
        reads_clock=CLOCK in sql,
        lookups=lookups,
        lookup_sql=lookup_sql,
    )


def make_aggregate(
    before: Compute, parts: Split, flow: Flow, emit: Emit, binder: Binder
) -> Aggregate:
    """GROUP BY over what `before` gives; asks DuckDB which partial states it can merge."""
    columns = binder.columns(before.sql, flow_tables(flow, binder))
    carried = binder.column_types(columns.schema)
    source = read_with_types(columns.names, columns.types, carried).sql("duckdb")
    table = [EmptyTable(INPUT, typed_columns(columns.names, carried))]
    keys = ", ".join(parts.keys)
    group = f" GROUP BY {keys}" if keys else ""

    def can_merge(call: Call) -> bool:
        state = f"SELECT {call.state_sql} AS s FROM {source}{group}"
        return call.is_mergeable and binder.can_run(state, table)

    calls = tuple(dataclasses.replace(c, is_mergeable=can_merge(c)) for c in parts.calls)
    shown = [k for k in parts.keys if k != WINDOW_END]
    items = ", ".join([*shown, *(f"{c.sql} AS {c.name}" for c in calls)])
    grouped = binder.columns(f"SELECT {items} FROM {source}{group}", table)
    hidden = [SEQ_FIELD, *([WEIGHT_FIELD] if emit == "changes" else [])]
    return Aggregate(
        input=before,
        keys=tuple(parts.keys),
        calls=calls,
        schema=pa.schema([*grouped.schema, *hidden]),
        types=grouped.types,
        input_sql=source,
        input_columns=columns.names,
        emit=emit,
        is_windowed=parts.is_windowed,
        lateness_us=flow.lateness_us,
        is_input_changelog=flow.is_changelog,
    )
