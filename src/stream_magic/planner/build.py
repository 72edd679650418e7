"""A SELECT becomes an incremental plan: the planner's main flow.

`build` binds the query as it is written, then walks it from the inside out. As long as a level only
filters, projects, assigns windows or looks up caches it stays one SQL text over `_in`; a GROUP BY
ends that text and begins a new one above it.
"""

from __future__ import annotations

import dataclasses

import duckdb
from sqlglot import exp

from stream_magic.contracts.feed import FeedMode
from stream_magic.core.change import is_hidden, visible_schema
from stream_magic.errors import CellError, LanguageError, PlanError, Span, StreamMagicError
from stream_magic.language.binder import (
    INPUT,
    Binder,
    Columns,
    explained,
)
from stream_magic.language.catalog import Catalog, Relation
from stream_magic.language.spans import span_of
from stream_magic.language.statements import Emit, Query
from stream_magic.planner.aggregates import AggregateFinder, Names, Splitter
from stream_magic.planner.lower import flow_tables, from_columns, make_aggregate, make_compute
from stream_magic.planner.nodes import Aggregate, Compute, Node, Plan, Read
from stream_magic.planner.references import References, find_references, table_name
from stream_magic.planner.refuse import (
    check_joins,
    not_a_select,
    refuse_clauses,
    refuse_collations,
    refuse_types,
    refuse_whole_rows,
)
from stream_magic.planner.scope import Flow, carry, project_names
from stream_magic.planner.text import aliased, from_items, parse_select, read_with_types, short
from stream_magic.planner.volatile import VolatileFinder
from stream_magic.planner.windows import Tumble, window_call


def build(query: Query, catalog: Catalog, binder: Binder) -> Plan:
    """The incremental plan of a query.

    Raises:
        LanguageError: SM2xxx, names and types do not fit.
        PlanError: SM3xxx, there is no incremental rule; the hint says what to write instead.
        CellError: several of them.
    """
    try:
        return _Builder(query, catalog, binder).build()
    except duckdb.Error as e:
        raise PlanError(
            "SM3099", f"this query cannot be kept up to date yet: {explained(e)}",
            hint="cut it in two: a CREATE STREAM that computes the columns, and one that reads it", span=query.span,
        ) from None  # fmt: skip


class _Builder:
    def __init__(self, query: Query, catalog: Catalog, binder: Binder) -> None:
        self._query = query
        self._text = query.span.text
        self._catalog = catalog
        self._binder = binder
        self._finder = AggregateFinder(binder.aggregate_names())
        self._volatile = VolatileFinder(binder.volatile_names())
        self._found = References("")
        self._kept: list[exp.Expr] = []
        self._warnings: list[str] = []

    def build(self) -> Plan:
        ast = self._query.ast
        if not isinstance(ast, exp.Select):
            raise not_a_select(ast, self._query.span)
        self._refuse_recursion(ast)
        self._found = find_references(self._query, self._catalog, self._binder)
        bound = self._binder.bind(self._found.body, self._found.empty_tables(), self._query.span)
        self._refuse(ast)
        refuse_collations(ast, self._text)
        refuse_types(bound.names, bound.types, self._query.span)
        select = ast.copy()
        self._number_tumbles(ast, select)
        flow, key_names = self._select(select, {}, is_top=True)
        self._check_names(bound)
        root = self._compute(flow, bound.names)
        windows = (t.relation for t in self._found.windows.values())
        relations = {r.id: r for r in (*self._found.relations.values(), *windows)}.values()
        plan = Plan(
            root=root,
            schema=bound.schema,
            types=bound.types,
            is_changelog=flow.is_changelog,
            time_column=_first(bound.names, flow.time_columns) if flow.has_watermark else None,
            lateness_us=flow.lateness_us,
            key=key_names or (),
            inputs=tuple(r.name for r in relations if r.kind != "cache"),
            caches=tuple(r.name for r in relations if r.kind == "cache"),
            warnings=tuple(self._warnings),
            detail=", ".join(flow.detail) or "select",
            mode=_mode(flow, key_names),
        )
        self._check_emit(plan)
        self._check_types(plan, flow, bound)
        return plan

    # --- names and types -------------------------------------------------------------------

    def _number_tumbles(self, ast: exp.Expr, copy: exp.Expr) -> None:
        """The copy's TUMBLE items stand for the same windows."""
        tumbles = self._found.tumbles
        for old, new in zip(ast.find_all(exp.Table), copy.find_all(exp.Table), strict=True):
            if id(old) in tumbles:
                tumbles[id(new)] = tumbles[id(old)]
                self._kept.append(new)  # an id() is only good while the node lives

    def _refuse_recursion(self, ast: exp.Select) -> None:
        for clause in ast.find_all(exp.With):
            if clause.args.get("recursive"):
                hint = "leave RECURSIVE out if the CTE does not read itself"
                raise PlanError(
                    "SM3013", "WITH RECURSIVE has no incremental rule", hint=hint, span=self._span(clause),
                )  # fmt: skip

    def _refuse(self, ast: exp.Select) -> None:
        errors: list[StreamMagicError] = []
        for select in ast.find_all(exp.Select):
            errors.extend(refuse_clauses(select, self._text))
        if len(errors) == 1:
            raise errors[0]
        if errors:
            raise CellError(errors)

    def _check_names(self, bound: Columns) -> None:
        seen: set[str] = set()
        for name in bound.names:
            if is_hidden(name.lower()):
                raise LanguageError(
                    "SM2021", f"'{name}' is a name of the engine", hint="give the column another name with AS",
                    span=self._query.span,
                )  # fmt: skip
            if name.lower() in seen:
                items = [
                    e
                    for e in self._query.ast.expressions
                    if e.alias_or_name.lower() == name.lower()
                ]
                raise LanguageError(
                    "SM2020", f"two columns are called '{name}'", hint=f"give one of them another name: ... AS {name}_2",
                    span=self._span(items[-1]) if items else self._query.span,
                )  # fmt: skip
            seen.add(name.lower())

    def _check_emit(self, plan: Plan) -> None:
        if self._query.emit != "close":
            return
        node: Node = plan.root
        while isinstance(node, Compute):
            node = node.input
        if isinstance(node, Aggregate) and node.emit == "close" and node.is_windowed:
            return
        hint = (
            "GROUP BY window_end over TUMBLE(s, ts, size), where ts is the column of s's WATERMARK"
        )
        if isinstance(node, Read) and not plan.is_changelog:
            hint = "leave EMIT out: a query without GROUP BY emits every row once"
        raise PlanError(
            "SM3030", "EMIT ON WINDOW CLOSE needs windows that close", hint=hint,
            span=self._query.emit_span or self._query.span,
        )  # fmt: skip

    def _check_types(self, plan: Plan, flow: Flow, bound: Columns) -> None:
        """What the plan computes has the types that the user's own text has."""
        if not isinstance(plan.root, Compute):
            return
        planned = self._binder.columns(plan.root.sql, flow_tables(flow, self._binder))
        for name, wanted, found in zip(bound.names, bound.types, planned.types, strict=False):
            if wanted != found:
                raise PlanError(
                    "SM3099", f"this query cannot be kept up to date yet: {name} would be {found}, not {wanted}",
                    hint="cast it: CAST(... AS type)", span=self._query.span,
                )  # fmt: skip

    # --- the walk --------------------------------------------------------------------------

    def _select(
        self, select: exp.Select, ctes: dict[str, exp.Select], *, is_top: bool = False
    ) -> tuple[Flow, tuple[str, ...] | None]:
        """The flow out of one SELECT (changed in place), and its key columns if it groups."""
        ctes = self._with_ctes(select, ctes)
        flow, alias = self._from(select, ctes)
        self._rewrite_caches(select, flow, ctes)
        names = Names(from_columns(select, flow, self._binder), _aliases(select), alias.lower())
        refuse_whole_rows(select, names, self._text)
        if flow.is_changelog:
            self._volatile.refuse(
                [select], self._text, "a row that is taken back would not be found"
            )
        if self._finder.is_grouped(select):
            emit = (self._query.emit if is_top else None) or "changes"
            return self._group(select, flow, names, emit, is_top=is_top)
        times, windows = flow.time_columns, flow.window_columns
        carry(select, flow, alias)
        if select.args.get("where") is not None:
            flow.detail.append("WHERE " + short(select.args["where"].this))
        flow = dataclasses.replace(
            flow,
            item=exp.Subquery(this=select),
            time_columns=project_names(select, times, alias),
            window_columns=project_names(select, windows, alias),
        )
        return flow, None

    def _group(
        self, select: exp.Select, flow: Flow, names: Names, emit: Emit, *, is_top: bool
    ) -> tuple[Flow, tuple[str, ...] | None]:
        """GROUP BY ends one text and begins another over the groups."""
        shown = (
            ()
            if is_top
            else self._binder.columns(select.sql("duckdb"), flow_tables(flow, self._binder)).names
        )
        alias = names.stream
        splitter = Splitter(
            select, names, self._finder, self._text,
            window_columns=flow.window_columns, is_changelog=flow.is_changelog, shown=shown,
        )  # fmt: skip
        parts = splitter.split()
        if emit == "changes":
            where = "a result that is taken back would not be found"
            self._volatile.refuse([parts.after], self._text, where)
        carry(parts.before, flow, alias)
        before = make_compute(flow, parts.before, "columns for the groups")
        node = make_aggregate(before, parts, flow, emit, self._binder)
        if flow.is_windowed and not parts.is_windowed:
            self._warnings.append(
                "its windows never close, so its state grows for ever: GROUP BY window_end, "
                "and declare WATERMARK FOR the time column on the source"
            )
        after_flow = dataclasses.replace(
            flow, node=node, is_changelog=emit == "changes", has_watermark=False, is_windowed=False,
            time_columns=set(), window_columns=set(), caches=[], detail=[*flow.detail, parts.detail], labels=parts.labels,
        )  # fmt: skip
        keys_and_calls = tuple(f.name for f in node.schema if not is_hidden(f.name))
        source = read_with_types(
            keys_and_calls, node.types, self._binder.column_types(visible_schema(node.schema))
        )
        parts.after.args["from_"].this.replace(aliased(source, INPUT))
        carry(parts.after, after_flow, INPUT)
        return dataclasses.replace(after_flow, item=exp.Subquery(this=parts.after)), parts.key_names

    def _with_ctes(self, select: exp.Select, ctes: dict[str, exp.Select]) -> dict[str, exp.Select]:
        clause = select.args.get("with_")
        if clause is None:
            return ctes
        found = dict(ctes)
        for cte in clause.expressions:
            if not isinstance(cte.this, exp.Select):
                raise PlanError(
                    "SM3014", f"the CTE {cte.alias} is no plain SELECT", span=self._span(cte)
                )
            if cte.args["alias"].args.get("columns"):
                raise PlanError(
                    "SM3014", f"column names after the CTE {cte.alias} are not supported yet",
                    hint="name the columns inside with AS", span=self._span(cte),
                )  # fmt: skip
            found[cte.alias.lower()] = cte.this
        select.set("with_", None)
        return found

    def _from(self, select: exp.Select, ctes: dict[str, exp.Select]) -> tuple[Flow, str]:
        """Finds the one stream in FROM and puts `_in` in its place."""
        clause = select.args.get("from_")
        if clause is None:
            hint = "select from a stream, or use app.sql(...) for a snapshot"
            raise PlanError(
                "SM3015", "a continuous query reads a stream", hint=hint, span=self._query.span
            )
        joins: list[exp.Join] = select.args.get("joins") or []
        items = [clause.this, *(j.this for j in joins)]
        streams = [i for i, item in enumerate(items) if self._is_stream(item, ctes)]
        if not streams:
            names = ", ".join(r.name for r in self._found.relations.values()) or "the FROM clause"
            raise PlanError(
                "SM3015", f"a continuous query reads a stream, and {names} is none",
                hint="join the cache to a stream, or use app.sql(...) for a snapshot", span=self._span(clause),
            )  # fmt: skip
        if len(streams) > 1:
            raise PlanError(
                "SM3016", "joins of two streams are not supported yet",
                hint="join a stream with a cache: CREATE CACHE ... KEY (...)", span=self._span(items[streams[1]]),
            )  # fmt: skip
        at = streams[0]
        item = items[at]
        flow = self._item(item, ctes)
        alias = item.alias or flow.name
        check_joins(joins, at, self._text, is_changelog=flow.is_changelog)
        item.replace(aliased(flow.item, alias))
        return flow, alias

    def _is_stream(self, item: exp.Expr, ctes: dict[str, exp.Select]) -> bool:
        if isinstance(item, exp.Subquery):
            return any(self._is_stream(t, ctes) for t in item.find_all(exp.Table))
        if not isinstance(item, exp.Table):
            return False
        if window_call(item) is not None:
            return True
        name = table_name(item)
        if name.lower() in ctes:
            outer = {k: v for k, v in ctes.items() if k != name.lower()}
            return any(self._is_stream(t, outer) for t in ctes[name.lower()].find_all(exp.Table))
        return self._catalog.find(name, self._span(item)).kind != "cache"

    def _item(self, item: exp.Expr, ctes: dict[str, exp.Select]) -> Flow:
        """The flow of one FROM item."""
        if isinstance(item, exp.Subquery):
            inner = item.this
            if not isinstance(inner, exp.Select):
                raise not_a_select(inner, self._span(item))
            flow, _ = self._select(inner, ctes)
            return dataclasses.replace(flow, name=item.alias or "_q")
        name = table_name(item) if window_call(item) is None else ""
        if name.lower() in ctes:
            copied = ctes[name.lower()].copy()
            self._number_tumbles(ctes[name.lower()], copied)
            flow, _ = self._select(copied, {k: v for k, v in ctes.items() if k != name.lower()})
            return dataclasses.replace(flow, name=name)
        tumble = self._found.tumbles.get(id(item))
        relation = tumble.relation if tumble else self._catalog.find(name)
        flow = self._read(relation)
        return self._window(flow, tumble) if tumble else flow

    def _read(self, relation: Relation) -> Flow:
        return Flow(
            node=Read(relation),
            item=read_with_types(
                relation.schema.names, relation.types, self._binder.column_types(relation.schema)
            ),
            name=relation.name.rpartition(".")[2],
            is_changelog=relation.is_changelog,
            has_watermark=relation.time_column is not None,
            lateness_us=relation.lateness_us,
            time_columns={relation.time_column.lower()} if relation.time_column else set(),
        )

    def _window(self, flow: Flow, tumble: Tumble) -> Flow:
        is_closing = tumble.is_watermarked
        source = flow.item.sql("duckdb")
        return dataclasses.replace(
            flow,
            item=exp.Subquery(this=parse_select(tumble.sql(source, with_end_us=True))),
            is_windowed=True,
            window_columns={"window_start", "window_end"} if is_closing else set(),
            detail=[*flow.detail, tumble.detail],
        )

    def _rewrite_caches(self, select: exp.Select, flow: Flow, ctes: dict[str, exp.Select]) -> None:
        """`products p` -> `caches.products AS p`, wherever a cache stands in this SELECT; CTEs over caches go in."""
        while (table := self._next_cache(select, ctes)) is not None:
            name = table_name(table).lower()
            if name in ctes:
                alias = table.alias or table.name
                table.replace(aliased(exp.Subquery(this=ctes[name].copy()), alias))
                continue
            relation = self._catalog.find(name, self._span(table))
            if relation.kind != "cache":
                raise PlanError(
                    "SM3016", "a subquery on a stream is not supported yet",
                    hint="look up a cache instead: CREATE CACHE ... KEY (...)", span=self._span(table),
                )  # fmt: skip
            if flow.is_changelog:
                raise PlanError(
                    "SM3019", "looking up a cache from a changelog is not supported yet",
                    hint="look it up before the GROUP BY, where rows are only added", span=self._span(table),
                )  # fmt: skip
            flow.caches.append(relation)
            flow.detail.append(f"lookup join with {relation.name}")
            alias = table.alias or relation.name
            cache = aliased(exp.table_(relation.id, db="caches", quoted=True), alias)
            table.replace(cache)

    def _next_cache(self, select: exp.Select, ctes: dict[str, exp.Select]) -> exp.Table | None:
        for table in select.find_all(exp.Table):
            is_done = table.name == INPUT or table.db == "caches"
            is_name = isinstance(table.this, exp.Identifier) and not is_done
            if is_name and (table.name.lower() in ctes or table_name(table) in self._catalog):
                return table
        return None

    # --- statements ------------------------------------------------------------------------

    def _compute(self, flow: Flow, names: tuple[str, ...]) -> Node:
        """The flow's text as a node with the user's column names."""
        item = flow.item
        if not isinstance(item, exp.Subquery) or not isinstance(item.this, exp.Select):
            raise TypeError(item)
        return make_compute(flow, item.this, ", ".join(flow.detail) or "project", names)

    def _span(self, node: exp.Expr) -> Span:
        return span_of(node, self._text)


def _aliases(select: exp.Select) -> set[str]:
    return {i.alias_or_name.lower() for i in from_items(select)}


def _mode(flow: Flow, key: tuple[str, ...] | None) -> FeedMode:
    if not flow.is_changelog:
        return "append"
    return "single" if key == () else "keyed"


def _first(names: tuple[str, ...], wanted: set[str]) -> str | None:
    return next((n for n in names if n.lower() in wanted), None)
