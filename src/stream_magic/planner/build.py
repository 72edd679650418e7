"""A SELECT becomes an incremental plan: the planner's main flow.

`build` binds the query as it is written, then walks it from the inside out. As long as a level only
filters, projects, assigns windows or looks up caches it stays one SQL text over `_in`; a GROUP BY
ends that text and begins a new one above it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import pyarrow as pa
import sqlglot
from sqlglot import exp

from stream_magic.contracts.feed import FeedMode
from stream_magic.core.change import SEQ_FIELD, WEIGHT_FIELD, is_hidden, visible_schema
from stream_magic.errors import CellError, LanguageError, PlanError, Span, StreamMagicError
from stream_magic.language.binder import INPUT, Binder, Columns, EmptyTable, quote, typed_columns
from stream_magic.language.catalog import Catalog, Relation
from stream_magic.language.spans import span_of
from stream_magic.language.statements import Emit, Query
from stream_magic.planner.aggregates import AggregateFinder, Names, Split, Splitter
from stream_magic.planner.nodes import WINDOW_END, Aggregate, Call, Compute, Node, Plan, Read
from stream_magic.planner.references import References, find_references, table_name
from stream_magic.planner.refuse import refuse_clauses
from stream_magic.planner.scope import Flow, carry, project_names
from stream_magic.planner.windows import Tumble, window_call


def build(query: Query, catalog: Catalog, binder: Binder) -> Plan:
    """The incremental plan of a query.

    Raises:
        LanguageError: SM2xxx, names and types do not fit.
        PlanError: SM3xxx, there is no incremental rule; the hint says what to write instead.
        CellError: several of them.
    """
    return _Builder(query, catalog, binder).build()


class _Builder:
    def __init__(self, query: Query, catalog: Catalog, binder: Binder) -> None:
        self._query = query
        self._text = query.span.text
        self._catalog = catalog
        self._binder = binder
        self._finder = AggregateFinder(binder.aggregate_names())
        self._found = References("")
        self._kept: list[exp.Expr] = []
        self._warnings: list[str] = []

    def build(self) -> Plan:
        ast = self._query.ast
        if not isinstance(ast, exp.Select):
            what = type(ast).__name__.upper()
            hint = "write one CREATE STREAM for each SELECT"
            raise PlanError(
                "SM3012",
                f"{what} is not supported in a continuous query yet",
                hint=hint,
                span=self._query.span,
            )
        self._found = find_references(self._query, self._catalog, self._binder)
        bound = self._binder.bind(self._found.body, self._found.empty_tables(), self._query.span)
        self._refuse(ast)
        self._check_names(bound)
        select = ast.copy()
        self._number_tumbles(ast, select)
        flow, key_names = self._select(select, {}, is_top=True)
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
        return plan

    # --- names and types -------------------------------------------------------------------

    def _number_tumbles(self, ast: exp.Expr, copy: exp.Expr) -> None:
        """The copy's TUMBLE items stand for the same windows."""
        tumbles = self._found.tumbles
        for old, new in zip(ast.find_all(exp.Table), copy.find_all(exp.Table), strict=True):
            if id(old) in tumbles:
                tumbles[id(new)] = tumbles[id(old)]
                self._kept.append(new)  # an id() is only good while the node lives

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
                raise LanguageError(
                    "SM2020", f"two columns are called '{name}'", hint=f"give one of them another name: ... AS {name}_2",
                    span=self._query.span,
                )  # fmt: skip
            seen.add(name.lower())

    def _check_emit(self, plan: Plan) -> None:
        if self._query.emit == "close" and plan.is_changelog:
            hint = "GROUP BY window_end over TUMBLE(s, ts, size), where ts is the column of s's WATERMARK"
            raise PlanError(
                "SM3030", "EMIT ON WINDOW CLOSE needs windows that close", hint=hint,
                span=self._query.emit_span or self._query.span,
            )  # fmt: skip
        if self._query.emit == "close" and "TUMBLE" not in plan.detail:
            hint = "leave EMIT out: a query without GROUP BY emits every row once"
            raise PlanError(
                "SM3030", "EMIT ON WINDOW CLOSE needs windows that close", hint=hint,
                span=self._query.emit_span or self._query.span,
            )  # fmt: skip

    # --- the walk --------------------------------------------------------------------------

    def _select(
        self, select: exp.Select, ctes: dict[str, exp.Select], *, is_top: bool = False
    ) -> tuple[Flow, tuple[str, ...] | None]:
        """The flow out of one SELECT (changed in place), and its key columns if it groups."""
        ctes = self._with_ctes(select, ctes)
        flow, alias = self._from(select, ctes)
        self._rewrite_caches(select, flow)
        if self._finder.is_grouped(select):
            return self._group(
                select, flow, alias, (self._query.emit if is_top else None) or "changes"
            )
        names = flow.time_columns
        windows = flow.window_columns
        carry(select, flow, alias)
        if select.args.get("where") is not None:
            flow.detail.append("WHERE " + _short(select.args["where"].this))
        time_columns, window_columns = project_names(select, names), project_names(select, windows)
        flow = dataclasses.replace(
            flow,
            item=exp.Subquery(this=select),
            time_columns=time_columns,
            window_columns=window_columns,
        )
        return flow, None

    def _group(
        self, select: exp.Select, flow: Flow, alias: str, emit: Emit
    ) -> tuple[Flow, tuple[str, ...] | None]:
        """GROUP BY ends one text and begins another over the groups."""
        names = Names(
            self._input_columns(select, flow),
            {i.alias_or_name.lower() for i in _from_items(select)},
        )
        splitter = Splitter(
            select, names, self._finder, self._text,
            window_columns=flow.window_columns, is_changelog=flow.is_changelog,
        )  # fmt: skip
        parts = splitter.split()
        carry(parts.before, flow, alias)
        before = self._compute_sql(flow, parts.before, "columns for the groups")
        node = self._aggregate(before, parts, flow, emit)
        after_flow = dataclasses.replace(
            flow, node=node, is_changelog=emit == "changes", has_watermark=False, is_windowed=False,
            time_columns=set(), window_columns=set(), caches=[], detail=[*flow.detail, parts.detail],
        )  # fmt: skip
        keys_and_calls = tuple(f.name for f in node.schema if not is_hidden(f.name))
        source = _read_with_types(
            keys_and_calls, node.types, self._binder.column_types(visible_schema(node.schema))
        )
        parts.after.args["from_"].this.replace(_aliased(source, INPUT))
        carry(parts.after, after_flow, INPUT)
        return dataclasses.replace(after_flow, item=exp.Subquery(this=parts.after)), parts.key_names

    def _aggregate(self, before: Compute, parts: Split, flow: Flow, emit: Emit) -> Aggregate:
        columns = self._binder.columns(before.sql, self._inputs(flow))
        carried = self._binder.column_types(columns.schema)
        source = _read_with_types(columns.names, columns.types, carried).sql("duckdb")
        table = [EmptyTable(INPUT, typed_columns(columns.names, carried))]
        keys = ", ".join(parts.keys)
        group = f" GROUP BY {keys}" if keys else ""

        def can_merge(call: Call) -> bool:
            state = f"SELECT {call.state_sql} AS s FROM {source}{group}"
            return call.is_mergeable and self._binder.can_run(state, table)

        calls = tuple(dataclasses.replace(c, is_mergeable=can_merge(c)) for c in parts.calls)
        shown = [k for k in parts.keys if k != WINDOW_END]
        items = ", ".join([*shown, *(f"{c.sql} AS {c.name}" for c in calls)])
        grouped = self._binder.columns(f"SELECT {items} FROM {source}{group}", table)
        hidden = [SEQ_FIELD, *([WEIGHT_FIELD] if emit == "changes" else [])]
        if flow.is_windowed and not parts.is_windowed:
            self._warnings.append(
                "its windows never close, so its state grows for ever: GROUP BY window_end, "
                "and declare WATERMARK FOR the time column on the source"
            )
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

    def _input_columns(self, select: exp.Select, flow: Flow) -> list[str]:
        """Names of all columns in FROM, lower case, as often as they occur."""
        probe = exp.select("*")
        probe.set("from_", select.args["from_"].copy())
        probe.set("joins", [j.copy() for j in select.args.get("joins") or []])
        return [
            n.lower() for n in self._binder.columns(probe.sql("duckdb"), self._inputs(flow)).names
        ]

    def _inputs(self, flow: Flow) -> list[EmptyTable]:
        """`_in` and the caches, as the flow's text sees them."""
        node = flow.node
        schema = node.relation.stream_schema if isinstance(node, Read) else node.schema
        tables = [EmptyTable(INPUT, typed_columns(schema.names, self._binder.column_types(schema)))]
        caches = {c.id: c for c in flow.caches}
        return [
            *tables,
            *(
                EmptyTable(i, typed_columns(c.schema.names, c.types), "caches")
                for i, c in caches.items()
            ),
        ]

    def _with_ctes(self, select: exp.Select, ctes: dict[str, exp.Select]) -> dict[str, exp.Select]:
        clause = select.args.get("with_")
        if clause is None:
            return ctes
        if clause.args.get("recursive"):
            raise PlanError(
                "SM3013", "WITH RECURSIVE has no incremental rule", span=self._span(clause)
            )
        found = dict(ctes)
        for cte in clause.expressions:
            if cte.this.find(exp.Table) is None or not isinstance(cte.this, exp.Select):
                raise PlanError(
                    "SM3014", f"the CTE {cte.alias} does not read a stream", span=self._span(cte)
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
        self._check_joins(joins, at, flow)
        item.replace(_aliased(flow.item, alias))
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
            return any(self._is_stream(t, ctes) for t in ctes[name.lower()].find_all(exp.Table))
        return self._catalog.find(name, self._span(item)).kind != "cache"

    def _item(self, item: exp.Expr, ctes: dict[str, exp.Select]) -> Flow:
        """The flow of one FROM item."""
        if isinstance(item, exp.Subquery):
            inner = item.this
            if not isinstance(inner, exp.Select):
                raise PlanError(
                    "SM3012",
                    "UNION is not supported in a continuous query yet",
                    span=self._span(item),
                )
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
            item=_read_with_types(
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
            item=exp.Subquery(this=_parse(tumble.sql(source, with_end_us=True))),
            is_windowed=True,
            window_columns={"window_start", "window_end"} if is_closing else set(),
            detail=[*flow.detail, tumble.detail],
        )

    def _check_joins(self, joins: list[exp.Join], at: int, flow: Flow) -> None:
        """A cache may only be looked up: never on the preserved side."""
        for number, join in enumerate(joins, start=1):
            side, kind = str(join.side).upper(), str(join.kind).upper()
            is_stream_right = number == at
            is_lateral = isinstance(join.this, exp.Unnest | exp.Lateral)
            if is_lateral or number < at:
                continue
            keeps_cache = side in ("FULL", "LEFT" if is_stream_right else "RIGHT")
            if keeps_cache or (is_stream_right and kind in ("SEMI", "ANTI")):
                raise PlanError(
                    "SM3017", "a cache cannot be on the preserved side of an outer join: its rows are no events",
                    hint="write stream LEFT JOIN cache", span=self._span(join),
                )  # fmt: skip
            if str(join.method).upper() == "POSITIONAL":
                raise PlanError(
                    "SM3018",
                    "POSITIONAL JOIN has no incremental rule",
                    hint="join by key",
                    span=self._span(join),
                )
            if flow.is_changelog:
                raise PlanError(
                    "SM3019", "looking up a cache from a changelog is not supported yet",
                    hint="join the cache before the GROUP BY, where rows are only added", span=self._span(join),
                )  # fmt: skip

    def _rewrite_caches(self, select: exp.Select, flow: Flow) -> None:
        """`products p` -> `caches.products AS p`, wherever a cache stands in this SELECT."""
        for table in list(select.find_all(exp.Table)):
            if window_call(table) is not None or table.db or table.name == INPUT:
                continue
            relation = self._catalog.get(table.name)
            if relation is None:
                continue
            if relation.kind != "cache":
                raise PlanError(
                    "SM3016", "a subquery on a stream is not supported yet",
                    hint="look up a cache instead: CREATE CACHE ... KEY (...)", span=self._span(table),
                )  # fmt: skip
            flow.caches.append(relation)
            flow.detail.append(f"lookup join with {relation.name}")
            alias = table.alias or relation.name
            table.replace(_aliased(exp.table_(relation.id, db="caches", quoted=True), alias))

    # --- statements ------------------------------------------------------------------------

    def _compute(self, flow: Flow, names: tuple[str, ...]) -> Node:
        """The flow's text as a node with the user's column names."""
        item = flow.item
        if not isinstance(item, exp.Subquery) or not isinstance(item.this, exp.Select):
            raise TypeError(item)
        return self._compute_sql(flow, item.this, ", ".join(flow.detail) or "project", names)

    def _compute_sql(
        self, flow: Flow, select: exp.Select, rule: str, names: tuple[str, ...] = ()
    ) -> Compute:
        visible = names or tuple(
            e.alias_or_name for e in select.expressions if not is_hidden(e.alias_or_name)
        )
        return Compute(
            input=flow.node,
            sql=select.sql("duckdb"),
            visible=visible,
            hidden=tuple(flow.hidden),
            caches=tuple(dict.fromkeys(c.id for c in flow.caches)),
            is_windowed=flow.is_windowed,
            rule=rule,
        )

    def _span(self, node: exp.Expr) -> Span:
        return span_of(node, self._text)


def _aliased(item: exp.Expr, alias: str) -> exp.Expr:
    item.set("alias", exp.TableAlias(this=exp.to_identifier(alias, quoted=True)))
    return item


def _read_with_types(
    names: Sequence[str], types: Sequence[str], carried: Sequence[str]
) -> exp.Expr:
    """`_in`, with the DuckDB types that Arrow does not carry cast back."""
    casts = [
        f"CAST({quote(n)} AS {t}) AS {quote(n)}"
        for n, t, c in zip(names, types, carried, strict=True)
        if t != c
    ]
    if not casts:
        return exp.to_table(INPUT)
    return exp.Subquery(this=_parse(f"SELECT * REPLACE ({', '.join(casts)}) FROM {INPUT}"))


def _parse(sql: str) -> exp.Select:
    return sqlglot.parse_one(sql, read="duckdb", into=exp.Select)


def _from_items(select: exp.Select) -> list[exp.Expr]:
    return [select.args["from_"].this, *(j.this for j in select.args.get("joins") or [])]


def _mode(flow: Flow, key: tuple[str, ...] | None) -> FeedMode:
    if not flow.is_changelog:
        return "append"
    return "single" if key == () else "keyed"


def _first(names: tuple[str, ...], wanted: set[str]) -> str | None:
    return next((n for n in names if n.lower() in wanted), None)


def _short(node: exp.Expr) -> str:
    text = node.sql("duckdb")
    return text if len(text) <= 40 else text[:39] + "…"
