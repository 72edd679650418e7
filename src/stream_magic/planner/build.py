"""A SELECT becomes an incremental plan: the planner's main flow.

`build` writes the calls of macros out and lets DuckDB bind the query (names, types, errors with places), then reads it
from the inside out into operations (`blocks.py`), applies the rewrites of `rules/`, and lowers what
came out to the nodes that the engine runs (`lower.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import duckdb
from sqlglot import exp

from stream_magic.contracts.feed import FeedMode
from stream_magic.core.change import is_hidden
from stream_magic.errors import LanguageError, PlanError
from stream_magic.language.binder import Binder, Columns, explained
from stream_magic.language.catalog import Catalog
from stream_magic.language.expansion import written_out
from stream_magic.language.spans import span_of
from stream_magic.language.statements import Query
from stream_magic.planner.blocks import Blocks
from stream_magic.planner.bounds import bound_join
from stream_magic.planner.calls import Calls
from stream_magic.planner.columns import SEVERAL
from stream_magic.planner.context import Context, Result
from stream_magic.planner.folds import with_folds
from stream_magic.planner.identity import is_apart
from stream_magic.planner.logical import (
    Called,
    Filled,
    Group,
    Map,
    Op,
    Parted,
    Product,
    Remembered,
    Scan,
    Stack,
    walk,
)
from stream_magic.planner.lower import Lowering
from stream_magic.planner.nodes import Compute
from stream_magic.planner.plan import Plan
from stream_magic.planner.push import push_filters
from stream_magic.planner.references import find_references
from stream_magic.planner.refuse import refuse_collations, refuse_types
from stream_magic.planner.remember import Memory
from stream_magic.planner.sessions import group_sessions, refuse_drawn
from stream_magic.planner.state_bounds import warnings


def build(query: Query, catalog: Catalog, binder: Binder) -> Plan:
    """The incremental plan of a query.

    Raises:
        LanguageError: SM2xxx, names and types do not fit.
        PlanError: SM3xxx, there is no incremental rule; the hint says what to write instead.
        CellError: several of them.
    """
    try:
        with written_out(query) as plain:
            return _build(plain, catalog, binder)
    except duckdb.Error as e:
        raise PlanError(
            "SM3099", f"this query cannot be kept up to date yet: {explained(e)}",
            hint="cut it in two: a CREATE STREAM that computes the columns, and one that reads it", span=query.span,
        ) from None  # fmt: skip


def _build(query: Query, catalog: Catalog, binder: Binder) -> Plan:
    _refuse_recursion(query)
    found = find_references(query, catalog, binder)
    ctx = Context(query, catalog, binder, found)
    bound = binder.bind(found.body, found.empty_tables(), query.span)
    refuse_collations(query.ast, ctx.text)
    refuse_types(bound.names, bound.types, query.span)
    _check_names(ctx, bound)
    if not any(r.kind != "cache" for r in found.relations.values()):
        _refuse_streamless(ctx)
    result = Blocks(ctx).query(
        with_folds(query.ast, binder.functions), {}, emit=query.emit or "changes"
    )
    for op in walk(result.op):
        if isinstance(op, Product):
            bound_join(ctx, op)
    push_filters(ctx, result.op)
    result.op = Calls(ctx).of(Memory(ctx).of(result.op))
    group_sessions(ctx, result.op)
    _check_emit(ctx, result.op)
    root = Lowering(ctx).plan(result.op, result.columns, bound.names)
    _check_types(ctx, root, bound)
    return _plan(ctx, result, root, bound)


def _refuse_recursion(query: Query) -> None:
    for clause in query.ast.find_all(exp.With):
        if clause.args.get("recursive"):
            raise PlanError(
                "SM3013", "WITH RECURSIVE has no incremental rule", hint="leave RECURSIVE out if the CTE does not read itself",
                span=span_of(clause, query.span.text),
            )  # fmt: skip


def _plan(ctx: Context, result: Result, root: Compute, bound: Columns) -> Plan:
    relations = ctx.found.relations.values()
    time = next((n for n, c in zip(bound.names, result.columns, strict=True) if c.is_time), None)
    is_changelog = "_weight" in root.schema.names
    has_watermark = "_sm_wm" in root.schema.names
    _warn(ctx, result.op)
    return Plan(
        root=root, schema=bound.schema, types=bound.types, is_changelog=is_changelog,
        time_column=time if has_watermark else None, lateness_us=result.op.lateness_us,
        has_order=result.op.has_order, key=result.keys or (),
        inputs=tuple(r.name for r in relations if r.kind != "cache"),
        caches=tuple(dict.fromkeys(r.name for r in relations if r.kind == "cache")),
        can_share=is_apart(_words(ctx)) and not any(ctx.volatile.find(ctx.query.ast)), warnings=tuple(dict.fromkeys([*ctx.warnings, *warnings(root)])), detail=", ".join(dict.fromkeys(ctx.details)) or "select",
        mode=_mode(is_changelog, result.keys), is_settled=result.op.is_settled and time is not None, windows=_windows(result, bound.names) if has_watermark else {},
    )  # fmt: skip


def _windows(result: Result, names: Sequence[str]) -> dict[str, str]:
    """Which of the result's columns say a window, and the column with its end."""
    shown = {c.name: n for n, c in zip(names, result.columns, strict=True)}
    ends = {**shown, SEVERAL: SEVERAL}
    pairs = ((n, c.window) for n, c in zip(names, result.columns, strict=True))
    return {n: ends[window] for n, window in pairs if window in ends}


def _words(ctx: Context) -> Iterator[str]:
    """All that users said where the plan may say it again."""
    yield ctx.text
    for relation in ctx.found.relations.values():
        yield from (relation.name, *relation.schema.names, *relation.types)


def _mode(is_changelog: bool, keys: tuple[str, ...] | None) -> FeedMode:
    if not is_changelog:
        return "append"
    return "single" if keys == () else "keyed"


def _check_names(ctx: Context, bound: Columns) -> None:
    seen: set[str] = set()
    for name in bound.names:
        if is_hidden(name.lower()):
            raise LanguageError(
                "SM2021", f"'{name}' is a name of the engine", hint="give the column another name with AS", span=ctx.query.span
            )  # fmt: skip
        if name.lower() in seen:
            items = [e for e in ctx.query.ast.selects if e.alias_or_name.lower() == name.lower()]
            raise LanguageError(
                "SM2020", f"two columns are called '{name}'", hint=f"give one of them another name: ... AS {_second(name)}",
                span=ctx.span(items[-1]) if items else ctx.query.span,
            )  # fmt: skip
        seen.add(name.lower())


def _second(name: str) -> str:
    """A name like this one that needs no quotes."""
    return re.sub(r"\W+", "_", name).strip("_") + "_2"


def _refuse_streamless(ctx: Context) -> None:
    names = ", ".join(r.name for r in ctx.found.relations.values())
    if names:
        clause = ctx.query.ast.find(exp.From)
        raise ctx.refuse(
            "SM3015", f"a continuous query reads a stream, and {names} is none",
            "join the cache to a stream, or use app.sql(...) for a snapshot", clause,
        )  # fmt: skip


def _check_emit(ctx: Context, op: Op) -> None:
    if ctx.query.emit != "close":
        return
    at = _below_rows(op)
    if _is_told_once(at):
        if isinstance(at, Parted) and at.closing is not None:
            refuse_drawn(ctx, op)
        return
    hint = "GROUP BY window_end over TUMBLE(s, ts, size), where ts is the column of s's WATERMARK"
    if isinstance(at, Scan) and not at.is_changelog:
        hint = "leave EMIT out: a query without GROUP BY emits every row once"
    raise PlanError(
        "SM3030", "EMIT ON WINDOW CLOSE needs windows that close", hint=hint, span=ctx.query.emit_span or ctx.query.span
    )  # fmt: skip


def _below_rows(op: Op) -> Op:
    while isinstance(op, Map | Called | Remembered):
        op = op.input
    return op


def _is_told_once(op: Op) -> bool:
    """Its rows wait for the watermark, or those that they are made of do."""
    at = _below_rows(op)
    match at:
        case Group():
            return at.emit == "close"
        case Filled():
            return True
        case Parted():
            return at.closing is not None or at.emit == "close"
        case Product():
            return not at.is_changelog and any(_is_told_once(leg.op) for leg in at.legs)
        case Stack():
            return all(_is_told_once(part) for part in at.parts)
    return False


def _check_types(ctx: Context, root: Compute, bound: Columns) -> None:
    """What the plan computes has the types that the user's own text has."""
    for name, wanted, got in zip(bound.names, bound.types, root.types, strict=True):
        if wanted != got:
            raise PlanError(
                "SM3099", f"this query cannot be kept up to date yet: {name} would be {got}, not {wanted}",
                hint="cast it: CAST(... AS type)", span=ctx.query.span,
            )  # fmt: skip


def _warn(ctx: Context, op: Op) -> None:
    for at in walk(op):
        if (
            isinstance(at, Group)
            and at.end is None
            and at.sessions is None
            and any(
                c.label in ("window_start", "window_end") and c.type != "BIGINT" for _, c in at.keys
            )
        ):
            ctx.warnings.append(
                "its windows never close, so its state grows for ever: GROUP BY window_end, "
                "and declare WATERMARK FOR the time column on the source"
            )
