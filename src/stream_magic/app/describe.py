"""SHOW, DESCRIBE and EXPLAIN of what there is."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from stream_magic.app.draft import Definition
from stream_magic.app.secrets import SecretStore
from stream_magic.app.session import session
from stream_magic.contracts.options import Options, describe_options
from stream_magic.contracts.registry import Group, registry
from stream_magic.engine.dataflow import QueryNode, TargetNode
from stream_magic.engine.network import Step
from stream_magic.engine.worker import Engine
from stream_magic.errors import LanguageError
from stream_magic.language.catalog import Catalog
from stream_magic.language.functions import macros
from stream_magic.language.statements import Describe, Explain, Show
from stream_magic.planner.explain import explain
from stream_magic.planner.nodes import Compute, Node

_CONNECTORS: tuple[Group, ...] = ("sources", "targets", "caches")


def show(
    s: Show, status: dict[str, dict[str, Any]], secrets: SecretStore, settings: dict[str, str]
) -> pa.Table:
    """A table of names."""
    if s.what == "connectors":
        return _rows(
            ("name", "direction"),
            [(n, g.removesuffix("s")) for g in _CONNECTORS for n in registry.names(g)],
        )
    if s.what == "formats":
        return _rows(("name",), [(n,) for n in registry.names("formats")])
    if s.what == "secrets":
        return _rows(("name",), [(n,) for n in secrets.names()])
    if s.what == "settings":
        return _rows(("name", "value"), list(settings.items()))
    if s.what == "functions":
        return _functions()
    if s.what == "errors":
        return _rows(
            ("name", "errors"), [(n, str(v["errors"])) for n, v in status.items() if v["errors"]]
        )
    kind = s.what.removesuffix("s")
    wanted = {n: v for n, v in status.items() if s.what == "all" or v["kind"] == kind}
    return _rows(("name", "kind", "state"), [(n, v["kind"], v["state"]) for n, v in wanted.items()])


def describe(
    s: Describe, definitions: dict[str, Definition], catalog: Catalog, engine: Engine
) -> pa.Table:
    """Columns of a relation; options of a connector or format; facts of a target."""
    if s.what in ("connector", "format"):
        return _options(s)
    definition = definitions.get(s.name.key)
    node = engine.flow.get(s.name.key)
    if definition is not None and isinstance(node, TargetNode):
        target = node.deliverer.target
        facts = [("reads", definition.relation.inputs[0]), ("detail", target.detail), ("mode", target.context.mode),
                 ("guarantee", _promise(target.guarantee))]  # fmt: skip
        return _rows(("fact", "value"), facts)
    relation = catalog.find(s.name.text, s.name.span)
    notes = {c: "watermark" for c in [relation.time_column] if c}
    notes |= dict.fromkeys(relation.key, "key")
    if node is not None and node.complete_from:
        notes[relation.schema.names[0]] = (
            f"complete from epoch {node.complete_from}: older rows of its inputs were not kept"
        )
    rows = [
        (f.name, t, notes.get(f.name, ""))
        for f, t in zip(relation.schema, relation.types, strict=True)
    ]
    return _rows(("column", "type", "note"), rows)


def explain_name(s: Explain, engine: Engine) -> str:
    """The plan of a running query; with ANALYZE what each node did so far."""
    node = engine.flow.get(s.name.key) if s.name is not None else None
    if not isinstance(node, QueryNode):
        name = s.name.text if s.name is not None else ""
        raise LanguageError(
            "SM2037",
            f"'{name}' is no query: only queries have a plan",
            span=s.name.span if s.name else None,
        )
    if not s.is_analyze:
        return explain(node.plan)
    with engine.between_epochs():
        text = explain(node.plan, lambda n: _measured(n, node.program.step_of(n)))
    return f"{text}\nerrors: {node.metrics.errors:,}"


def _measured(node: Node, step: Step | None) -> str:
    """What a node of the plan did, and what it keeps now."""
    if step is None:
        return ": in one statement with what reads it" if isinstance(node, Compute) else ""
    did, size = step.counters, step.operator.state_size()
    kept = f", keeps {size.rows:,} rows, {_bytes(size.bytes)}" if size.rows else ""
    shared = f", shared by {step.users} queries" if step.users > 1 else ""
    return f": {did.rows_in:,} rows in, {did.rows_out:,} out, {did.seconds * 1e3:,.1f} ms{kept}{shared}"


def _bytes(count: int) -> str:
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:,.1f} {unit}"
    return f"{count} bytes"


def describe_kind(s: Describe) -> list[tuple[str, type[Options]]]:
    """Where a connector or format of that name is found, with its options."""
    name = (
        s.name.key.replace("_", "-") if s.name.key not in registry.names("sources") else s.name.key
    )
    groups: tuple[Group, ...] = ("formats",) if s.what == "format" else _CONNECTORS
    found = []
    for group in groups:
        if name in registry.names(group):
            plugin = getattr(registry, group.removesuffix("s"))(name)
            found.append((group.removesuffix("s"), plugin.options_type))
    if not found:
        known = sorted({n for g in groups for n in registry.names(g)})
        raise LanguageError(
            "SM2038",
            f"there is no {s.what} '{s.name.text}'",
            hint=f"there are: {', '.join(known)}",
            span=s.name.span,
        )
    return found


def _options(s: Describe) -> pa.Table:
    rows = [
        (where, o.name, o.type, "required" if o.required else o.default, o.doc, o.example)
        for where, kind in describe_kind(s)
        for o in describe_options(kind)
    ]
    return _rows(("for", "option", "type", "default", "meaning", "example"), rows)


def _functions() -> pa.Table:
    import duckdb

    with duckdb.connect() as con:
        con.register("ours", _rows(("name", "kind"), [(n, "macro") for n in macros()]))
        known = con.sql(
            "SELECT DISTINCT function_name AS name, function_type AS kind FROM duckdb_functions() "
            "WHERE function_type IN ('scalar', 'aggregate', 'window', 'macro') UNION FROM ours ORDER BY 1"
        ).to_arrow_table()
    kinds = {f.name: "aggregate" if f.is_aggregate else "scalar" for f in session().functions}
    own = _rows(("name", "kind"), [(n, f"python {k}") for n, k in sorted(kinds.items())])
    return pa.concat_tables([own, known.cast(own.schema)])


def _promise(guarantee: str) -> str:
    if guarantee == "exactly_once":
        return "exactly once while this process lives"
    return "at least once"


def _rows(names: tuple[str, ...], rows: list[tuple[Any, ...]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [() for _ in names]
    return pa.table(
        {n: pa.array(list(c), pa.string()) for n, c in zip(names, columns, strict=True)}
    )
