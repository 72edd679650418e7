"""FROM: its items one after the other, each joined to what stands before it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sqlglot import exp

from stream_magic.language.catalog import Relation
from stream_magic.language.statements import Emit
from stream_magic.planner.as_of import join_as_of
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Cte, Ctes, Result
from stream_magic.planner.correlated import plan_inside
from stream_magic.planner.in_row import is_in_row, resolve_in_row
from stream_magic.planner.joins import filtered, join
from stream_magic.planner.logical import Given, Map, Op, conjunction, conjuncts
from stream_magic.planner.pivots import SOURCE, pivot_of, written_out
from stream_magic.planner.references import PLACE, is_series, table_name
from stream_magic.planner.scope import Frame, Item, Scope, Scoping
from stream_magic.planner.windows import PROCTIME, WindowCall

if TYPE_CHECKING:
    from stream_magic.planner.blocks import Blocks


class FromClause:
    """Reads the FROM clause of one SELECT: gives an operation and fills a scope."""

    def __init__(
        self, blocks: Blocks, select: exp.Select, ctes: Ctes, parent: Scoping | None, emit: Emit
    ) -> None:
        self._blocks = blocks
        self._ctx = blocks.ctx
        self._select = select
        self._ctes = ctes
        self._emit: Emit = emit
        self.scope = Scope(parent=parent)
        self._frame = parent if isinstance(parent, Frame) else None
        self._op: Op | None = None
        self._laterals: dict[int, Result] = {}
        self._waiting: list[tuple[Item, Relation, exp.Join | None]] = []  # caches before any stream

    def read(self) -> Op:
        clause = self._select.args.get("from_")
        if clause is None:
            return self._frame.op if self._frame is not None else self._one_row()
        joins: list[exp.Join] = self._select.args.get("joins") or []
        is_last = any(str(j.side).upper() in ("RIGHT", "FULL") for j in joins) or self._cache_of(
            clause.this
        )
        if self._frame is not None and not is_last:
            self._op = self._frame.op
        self._add(
            clause.this, None if self._op is None else exp.Join(this=clause.this, kind="CROSS")
        )
        for j in joins:
            self._add(j.this, j)
        if self._op is None:
            names = ", ".join(r.name for _, r, _ in self._waiting)
            raise self._ctx.refuse(
                "SM3015", f"a continuous query reads a stream, and {names} is none",
                "join the cache to a stream, or use app.sql(...) for a snapshot", clause,
            )  # fmt: skip
        if self._frame is not None and is_last:
            self._op = join(self._ctx, self._op, self._frame.op, "INNER", None)
        return self._op

    # --- items -----------------------------------------------------------------------------------

    def _add(self, node: exp.Expr, j: exp.Join | None) -> None:
        """An item; conditions of an inner join that ask subqueries hold behind it as well."""
        on = j.args.get("on") if j is not None and self._kind(j) == "INNER" else None
        asking = [c for c in conjuncts(on) if c.find(exp.Query)]
        if j is not None and asking:
            rest = conjunction([c for c in conjuncts(on) if c not in asking])
            j = j.copy()
            j.set("on", rest)
        self._add_item(node, j)
        for condition in asking:
            self._filter(condition)

    def _add_item(self, node: exp.Expr, j: exp.Join | None) -> None:
        pivot = pivot_of(node)
        if pivot is not None:
            self._pivot(node, *pivot, j)
            return
        if (
            isinstance(node, exp.Unnest)
            or is_series(node)
            or (isinstance(node, exp.Lateral) and not isinstance(node.this, exp.Subquery))
        ):
            self._unnest(node, j)
            return
        if (
            self._op is not None
            and is_in_row(node)
            and (j is None or self._kind(j) in ("INNER", "LEFT"))
        ):
            self._unnest(node, j)
            return
        cache = self._cache_of(node)
        if cache is not None:
            if node.args.get("version") is not None:
                raise self._ctx.refuse(
                    "SM3063", f"{cache.name} is a cache: it is looked up when the event comes", "leave FOR SYSTEM_TIME AS OF out", node
                )  # fmt: skip
            self._lookup(node, cache, j)
            return
        nested = node.args.get("joins") if isinstance(node, exp.Table | exp.Subquery) else None
        if nested or (isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table)):
            self._brackets(node, j)
            return
        inner = node.this if isinstance(node, exp.Lateral) else node
        op, item = self._item(node, inner)
        if node.args.get("version") is not None:
            self._as_of(op, item, node, j)
            return
        self._join(op, item, j)

    def _pivot(
        self, node: exp.Expr, pivot: exp.Pivot, source: exp.Expr, j: exp.Join | None
    ) -> None:
        """PIVOT and UNPIVOT, as the SELECT that they mean, over a CTE of their own."""
        read = exp.select("*")
        read.set("from_", exp.From(this=source))
        columns = self._blocks.query(read, self._ctes, self.scope.parent).columns
        select = written_out(
            self._ctx, pivot, [c.label for c in columns], [c.type for c in columns]
        )
        ctes = {**self._ctes, SOURCE: Cte(read, (), self._ctes)}
        result = self._blocks.query(select, ctes, self.scope.parent)
        alias = pivot.args.get("alias") or node.args.get("alias")
        named = exp.Subquery(this=select, alias=alias)
        self._join(
            result.op, self._named(named, result.columns, named.alias or source.alias_or_name), j
        )

    def _item(self, node: exp.Expr, inner: exp.Expr) -> tuple[Op, Item]:
        if isinstance(inner, exp.Subquery):
            result = self._lateral(inner.this)
            item = self._named(node, result.columns, node.alias or "_q")
            if result.condition is not None:
                self._laterals[id(item)] = result
            return result.op, item
        if isinstance(inner, exp.Values):
            op: Op = self._blocks.values(inner)
            return op, self._named(node, op.columns, inner.alias or "valueslist")
        if not isinstance(inner, exp.Table):
            raise self._ctx.refuse(
                "SM3012",
                f"{type(inner).__name__.upper()} in FROM has no incremental rule",
                "",
                node,
            )
        self._check_item(inner)
        place = inner.meta.get(PLACE)
        if place is not None:
            call = self._ctx.found.windows[place]
            op = self._window(call, inner)
            shown = [c for c in op.columns if c.label != PROCTIME]
            return op, self._named(inner, shown, inner.alias or call.name)
        name = table_name(inner)
        if name.lower() in self._ctes:
            result = self._blocks.cte(name.lower(), self._ctes, self._emit)
            return result.op, self._named(inner, result.columns, inner.alias or name)
        relation = self._ctx.catalog.find(name, self._ctx.span(inner))
        op = self._blocks.scan(relation)
        schema_name, _, short = relation.name.rpartition(".")
        item = self._named(inner, op.columns, inner.alias or short)
        item.schema_name = "" if inner.alias else schema_name
        return op, item

    def _lateral(self, query: exp.Expr) -> Result:
        """A subquery, which may read what stands before it."""
        if self._op is None:
            return self._blocks.query(query, self._ctes, self.scope, emit=self._emit)
        return plan_inside(self._blocks, self._op, query, self._ctes, self.scope, emit=self._emit)

    def _check_item(self, table: exp.Table) -> None:
        for clause, value in table.args.items():
            if value and clause not in ("this", "alias", "db", "catalog", "joins", "version"):
                raise self._ctx.unsupported(clause, table, "leave it out")

    def _named(self, node: exp.Expr, columns: list[Column], alias: str) -> Item:
        """The columns under the names that the alias gives them."""
        given = node.args.get("alias")
        renamed = (
            [c.name for c in given.args.get("columns") or []]
            if isinstance(given, exp.TableAlias)
            else []
        )
        for column, label in zip(columns, renamed, strict=False):
            column.label = label
        return Item(alias, list(columns))

    def _brackets(self, node: exp.Expr, j: exp.Join | None) -> None:
        """`(a JOIN b ON ...)`: the joins inside come first, and see nothing of what is outside."""
        inner = node.this if isinstance(node, exp.Subquery) else node
        joins = [
            *(inner.args.get("joins") or []),
            *(node.args.get("joins") or [] if node is not inner else []),
        ]
        bare = inner.copy()
        bare.set("joins", None)
        bare.meta.update(inner.meta)
        nested = FromClause(self._blocks, self._select, self._ctes, self.scope.parent, self._emit)
        nested._add(bare, None)
        for other in joins:
            nested._add(other.this, other)
        if nested._op is None:
            raise self._ctx.refuse(
                "SM3012", "a join of caches in brackets is not supported yet", "join each of them to the stream", node
            )  # fmt: skip
        self._put(nested._op, nested.scope, j)

    def _filter(self, condition: exp.Expr) -> None:
        assert self._op is not None  # noqa: S101  # an item came before
        op, where = self._blocks.condition(self._op, condition, self.scope, self._ctes)
        self._op = filtered(op, where)

    def _put(self, op: Op, right: Scope, j: exp.Join | None) -> None:
        """What is read, joined to what stands before; its names come into the scope."""
        if self._op is None:
            if j is not None and self._waiting:
                self._after_caches(op, right, j)
            else:
                self.scope.add(right)
                self._op = op
            return
        assert j is not None  # noqa: S101  # the first item has no join
        kind = self._kind(j)
        self._op = join(self._ctx, self._op, op, kind, self._condition(right, j), j)
        self._ctx.details.append(f"{kind.lower()} join" if kind != "INNER" else "join")

    # --- joins -----------------------------------------------------------------------------------

    def _join(self, op: Op, item: Item, j: exp.Join | None) -> None:
        result = self._laterals.get(id(item))
        if result is None:
            self._put(op, Scope([item]), j)
            return
        assert j is not None  # noqa: S101  # a subquery with links stands beside something
        assert self._op is not None  # noqa: S101
        kind = self._kind(j)
        condition = self._condition(Scope([item]), j)
        if result.is_single and kind in ("INNER", "LEFT"):
            self._op = self._blocks.beside(
                self._op, result, self.scope, item, condition, kind, self._ctes
            )
            return
        on = conjunction([c for c in (condition, result.condition) if c is not None])
        self._op = join(self._ctx, self._op, op, kind, on, j)
        self._ctx.details.append(f"{kind.lower()} join" if kind != "INNER" else "join")

    def _as_of(self, op: Op, item: Item, table: exp.Expr, j: exp.Join | None) -> None:
        if j is None or self._op is None:
            raise self._ctx.refuse(
                "SM3063", "FOR SYSTEM_TIME AS OF asks for the time of a row before it", "write FROM o JOIN r FOR SYSTEM_TIME AS OF o.ts", table
            )  # fmt: skip
        given = table.args["version"].expression
        asked = self.scope.resolve(list(given.parts)) if isinstance(given, exp.Column) else None
        condition = self._condition(Scope([item]), j)
        kind = self._kind(j)
        self._op = join_as_of(self._ctx, self._op, op, kind, condition, asked, table)
        self._ctx.details.append("join as of")

    def _kind(self, j: exp.Join) -> str:
        side, kind, method = (str(x).upper() for x in (j.side, j.kind, j.method))
        if "POSITIONAL" in (method, kind):
            raise self._ctx.refuse(
                "SM3018", "POSITIONAL JOIN has no incremental rule", "join by key", j
            )
        if method == "ASOF":
            if side not in ("", "LEFT"):
                raise self._ctx.refuse(
                    "SM3012", f"ASOF {side} JOIN is not supported yet", "write ASOF LEFT JOIN", j
                )
            return f"ASOF {side}".strip()
        if side in ("SEMI", "ANTI") or kind in ("SEMI", "ANTI"):
            return side if side in ("SEMI", "ANTI") else kind
        return side or "INNER"

    def _one_row(self) -> Given:
        """What a SELECT without FROM reads."""
        return Given([self._ctx.names.new("_sm_one", "INTEGER")], select=exp.select("1 AS _sm_one"))

    def _condition(self, right: Scope, j: exp.Join) -> exp.Expr | None:
        """ON or USING over column names; the right side is in the scope afterwards, unless it is only asked for."""
        scope = self.scope
        using = [u.name for u in j.args.get("using") or []]
        if str(j.method).upper() == "NATURAL":
            left = {c.label.lower() for c in scope.columns()}
            using = [n for n, _ in right.shown() if n.lower() in left]
        kind = self._kind(j)
        if using:
            return self._using(right, using, kind)
        before, merged = list(scope.items), dict(scope.merged)
        scope.add(right)
        on = j.args.get("on")
        resolved = None
        if on is not None and not (isinstance(on, exp.Boolean) and on.this):
            resolved = self._blocks.resolve(on, scope)
            query = resolved.find(exp.Query)
            if query is not None:
                raise self._ctx.refuse(
                    "SM3058", "a subquery in a join condition is not supported yet", "put it into WHERE", query
                )  # fmt: skip
        if kind in ("SEMI", "ANTI"):
            scope.items, scope.merged = before, merged
        return resolved

    def _using(self, right: Scope, names: list[str], kind: str) -> exp.Expr:
        scope = self.scope
        conditions: list[exp.Expr] = []
        for i, name in enumerate(names):
            column = [exp.to_identifier(name, quoted=True)]
            left, own = scope.resolve(column), right.resolve(column)
            if left is None or own is None:
                raise self._ctx.refuse(
                    "SM3099", f"USING ({name}) stands for no column on both sides", "write ON"
                )
            is_last_of_asof = kind.startswith("ASOF") and i == len(names) - 1
            compare = exp.GTE if is_last_of_asof else exp.EQ
            conditions.append(compare(this=left.copy(), expression=own.copy()))
            if kind in ("SEMI", "ANTI"):
                continue
            right.hide(name)
            merged = {"RIGHT": own, "FULL": exp.func("coalesce", left.copy(), own.copy())}
            scope.merge(name, merged.get(kind, left))
        if kind not in ("SEMI", "ANTI"):
            scope.add(right)
        return exp.and_(*conditions, copy=False)

    # --- caches ----------------------------------------------------------------------------------

    def _cache_of(self, node: exp.Expr) -> Relation | None:
        if not isinstance(node, exp.Table) or PLACE in node.meta or is_series(node):
            return None
        name = table_name(node)
        if name.lower() in self._ctes:
            return None
        relation = self._ctx.catalog.find(name, self._ctx.span(node))
        return relation if relation.kind == "cache" else None

    def _cache_item(self, node: exp.Expr, relation: Relation) -> Item:
        pairs = zip(relation.schema.names, relation.types, strict=True)
        columns = [self._ctx.names.new(n, t) for n, t in pairs]
        return self._named(node, columns, node.alias or relation.name)

    def _lookup(self, node: exp.Expr, relation: Relation, j: exp.Join | None) -> None:
        item = self._cache_item(node, relation)
        if self._op is None:
            if j is not None and str(j.side or j.kind or "CROSS").upper() not in ("CROSS", "INNER"):
                raise self._preserved(j)
            self._waiting.append((item, relation, j))
            self.scope.items.append(item)
            return
        assert j is not None  # noqa: S101  # the first item has no join
        kind = self._kind(j)
        if kind in ("RIGHT", "FULL"):
            raise self._preserved(j)
        self._op = self._looked_up(
            self._op, item, relation, kind, self._condition(Scope([item]), j)
        )

    def _after_caches(self, op: Op, right: Scope, j: exp.Join) -> None:
        """`cache c JOIN stream s ON ...`: the stream is read, and the cache looked up."""
        kind = self._kind(j)
        if kind not in ("INNER", "RIGHT"):
            raise self._preserved(j)
        condition = self._condition(right, j)
        looked = "LEFT" if kind == "RIGHT" else "INNER"
        for i, (cache_item, relation, between) in enumerate(self._waiting):
            is_last = i == len(self._waiting) - 1
            op = self._looked_up(op, cache_item, relation, looked if is_last else "INNER", condition if is_last else None)  # fmt: skip
            if between is not None and between.args.get("on") is not None:
                self._op = op
                self._filter(between.args["on"])
                op = self._op
        self._op = op
        self._waiting = []

    def _preserved(self, j: exp.Join) -> Exception:
        return self._ctx.refuse(
            "SM3017", "a cache cannot be on the preserved side of an outer join: its rows are no events",
            "write stream LEFT JOIN cache", j,
        )  # fmt: skip

    def _looked_up(
        self, op: Op, item: Item, relation: Relation, kind: str, condition: exp.Expr | None
    ) -> Map:  # fmt: skip
        alias = self._ctx.names.alias()
        table = exp.alias_(exp.table_(relation.id, db="caches", quoted=True), alias, table=True)
        args: dict[str, object] = {"this": table, "on": condition or exp.true()}
        if kind in ("SEMI", "ANTI"):
            args["kind"] = kind
        elif kind.startswith("ASOF"):
            args |= {"method": "ASOF", "side": kind.removeprefix("ASOF").strip() or None}
        elif kind == "LEFT":
            args["side"] = kind
        joined: list[tuple[Column, exp.Expr]] = [
            (c, exp.column(exp.to_identifier(n, quoted=True), table=alias))
            for c, n in zip(item.columns, relation.schema.names, strict=True)
        ]
        self._ctx.details.append(f"lookup join with {relation.name}")
        shown = [] if kind in ("SEMI", "ANTI") else item.columns
        return Map.over(
            op, columns=[*op.columns, *shown], keeps=True, joins=[exp.Join(**args)], joined=joined,
            caches=[relation], rule=f"lookup join with {relation.name}",
        )  # fmt: skip

    # --- unnest ----------------------------------------------------------------------------------

    def _unnest(self, node: exp.Expr, j: exp.Join | None) -> None:
        """UNNEST of a column beside it, or a LATERAL that reads the row alone: linear, one row becomes several."""
        if self._op is None:
            self._op = self._one_row()
        names, kinds = self._unnested(node)
        columns = [self._ctx.names.new(n, t) for n, t in zip(names, kinds, strict=True)]
        alias = self._ctx.names.alias()
        resolved = self._in_row(node)
        inner = [f"_u{i}" for i in range(len(columns))]
        resolved.set(
            "alias",
            exp.TableAlias(
                this=exp.to_identifier(alias), columns=[exp.to_identifier(n) for n in inner]
            ),
        )
        item = self._named(node, columns, node.alias or "unnest")
        before = list(self.scope.items)
        side = str(j.side).upper() if j is not None else ""
        self.scope.items = [*before, item]
        on = j.args.get("on") if j is not None else None
        condition = self._blocks.resolve(on, self.scope) if on is not None else exp.true()
        args: dict[str, object] = {"this": resolved, "on": condition}
        if side == "LEFT":
            args["side"] = "LEFT"
        joined: list[tuple[Column, exp.Expr]] = [
            (c, exp.column(n, table=alias)) for c, n in zip(columns, inner, strict=True)
        ]
        self._op = Map.over(
            self._op, columns=[*self._op.columns, *columns], keeps=True, joins=[exp.Join(**args)], joined=joined
        )  # fmt: skip

    def _in_row(self, node: exp.Expr) -> exp.Expr:
        """A copy over column names."""
        if isinstance(node, exp.Unnest) or isinstance(node.this, exp.Unnest | exp.Func):
            return self._blocks.resolve(node, self.scope)
        copied = node.this.copy() if isinstance(node, exp.Lateral) else node.copy()
        copied.set("alias", None)
        resolve_in_row(self._ctx, self.scope, copied)
        inner = copied if isinstance(copied, exp.Subquery) else exp.Subquery(this=copied)
        return exp.Lateral(this=inner)

    def _unnested(self, node: exp.Expr) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Names and types of an UNNEST's columns, told by DuckDB."""
        bare = self._in_row(node)
        alias = node.args.get("alias")
        names = (
            tuple(c.name for c in alias.args.get("columns") or [])
            if isinstance(alias, exp.TableAlias)
            else ()
        )
        bare.set("alias", exp.TableAlias(this=exp.to_identifier("_u")))
        select = exp.select("_u.*").from_("_sm_row")
        select.append("joins", exp.Join(this=bare, on=exp.true()))
        bound = self._ctx.bind(select, [self._ctx.row(self.scope.columns())])
        return (*names, *bound.names[len(names) :]), bound.types

    # --- windows ---------------------------------------------------------------------------------

    def _window(self, call: WindowCall, node: exp.Table) -> Op:
        ctx = self._ctx
        if call.relation is not None:
            if call.relation.kind == "cache":
                raise ctx.refuse(
                    "SM3017",
                    f"{call.relation.name} is a cache: its rows are no events",
                    "read a stream",
                    node,
                )
            op: Op = self._blocks.scan(call.relation)
        else:
            op = self._blocks.cte(call.name.lower(), self._ctes, self._emit).op
        ctx.details.append(call.detail)
        closes = self._emit == "close" and not self._select.args.get("joins")
        return self._blocks.windows.apply(call, op, node, closes=closes)
