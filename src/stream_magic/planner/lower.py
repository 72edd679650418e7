"""Operations become the nodes that the engine runs: columns that nobody needs are left out, stateless chains are one statement."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from stream_magic.core.change import (
    LATE_BY,
    LATE_FIELD,
    SEQ,
    SEQ_FIELD,
    WEIGHT,
    WEIGHT_FIELD,
    is_hidden,
    visible_schema,
)
from stream_magic.language.binder import INPUT, EmptyTable, typed_columns
from stream_magic.language.catalog import Relation
from stream_magic.planner.clock import CLOCK, with_clock
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.extents import NO_SESSION, Bounds
from stream_magic.planner.follows import find_follows
from stream_magic.planner.guard import probe_sql
from stream_magic.planner.level import Level
from stream_magic.planner.logical import (
    ByClock,
    Called,
    Filled,
    Fresh,
    Given,
    Group,
    Map,
    Numbered,
    Op,
    Parted,
    Product,
    Remembered,
    Scan,
    Sessioned,
    Stack,
    inputs_of,
    names_read,
    used,
    walk,
)
from stream_magic.planner.lookup import find_lookups
from stream_magic.planner.lower_join import JoinLowering
from stream_magic.planner.lower_timed import TimedLowering
from stream_magic.planner.nodes import (
    PARTITION,
    ROW,
    SESSION,
    WINDOW_END,
    Aggregate,
    Apply,
    Compute,
    Constant,
    Node,
    Part,
    Partition,
    Read,
    Remember,
    SessionGroup,
    Sessions,
    Union,
)
from stream_magic.planner.parts import Call, PythonCall, Sifted
from stream_magic.planner.pieces import may_overflow, pieces
from stream_magic.planner.refuse import refuse_types
from stream_magic.planner.text import read_with_types, with_places

_IN = exp.to_identifier(INPUT)
_FRESH = "_sm_fresh"


class Lowering:
    """Makes nodes of the operations of one query."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._done: dict[int, tuple[Node, list[Column]]] = {}
        self._readers: dict[int, int] = {}
        self._timed = TimedLowering(ctx, self._level, self._seal)
        self._joins = JoinLowering(self._sealed)
        self._fresh: dict[int, tuple[Read, list[Column]]] = {}

    def plan(self, op: Op, columns: Sequence[Column], names: Sequence[str]) -> Compute:
        """The last node, with the user's names."""
        self._count(op)
        level = self._level(op, {c.name for c in columns})
        return self._seal(level, [(n, c) for n, c in zip(names, columns, strict=True)])

    def _count(self, op: Op) -> None:
        for below in inputs_of(op):
            self._readers[id(below)] = self._readers.get(id(below), 0) + 1
            if self._readers[id(below)] == 1:
                self._count(below)

    # --- levels ----------------------------------------------------------------------------------

    def _level(self, op: Op, needed: set[str]) -> Level:
        if self._readers.get(id(op), 0) > 1 and not isinstance(op, Scan):
            return self._over(*self._shared(op))
        match op:
            case Scan():
                return self._scan(op)
            case Map():
                return self._map(op, needed)
            case Fresh():
                return self._over(*self._fresh[id(op)])
        return self._over(*self._node(op, needed))

    def _shared(self, op: Op) -> tuple[Node, list[Column]]:
        """An operation with several readers is one node, with all of its columns."""
        if id(op) not in self._done:
            needed = {c.name for c in op.columns}
            if isinstance(op, Map):
                node = self._seal(self._map(op, needed), [(c.name, c) for c in op.columns])
                self._done[id(op)] = (node, list(op.columns))
            else:
                self._done[id(op)] = self._node(op, needed)
        return self._done[id(op)]

    def _node(self, op: Op, needed: set[str]) -> tuple[Node, list[Column]]:
        match op:
            case Given():
                return self._given(op)
            case Product():
                return self._joins.join(op, needed)
            case Group():
                return self._group(op)
            case Called():
                return self._called(op, needed)
            case Remembered():
                return self._remembered(op, needed)
            case Stack():
                return self._stack(op)
            case Parted():
                return self._parted(op)
            case ByClock():
                return self._timed.by_clock(op)
            case Numbered():
                return self._timed.numbered(op, needed)
            case Filled():
                return self._timed.filled(op, needed)
            case Sessioned():
                return self._timed.sessions(op, needed)
        raise TypeError(op)

    def _over(self, node: Node, columns: list[Column]) -> Level:
        """A new statement over a node whose columns have these columns' names."""
        shown = visible_schema(node.schema)
        carried = self._ctx.binder.column_types(shown)
        types = [c.type for c in columns]
        hidden = [n for n in node.schema.names if is_hidden(n) and n != WINDOW_END]
        return Level(
            node, read_with_types(shown.names, types, carried),
            {c.name: exp.column(exp.to_identifier(n, quoted=True), table=_IN.copy()) for c, n in zip(columns, shown.names, strict=True)},
            {n: exp.column(n, table=_IN.copy()) for n in hidden},
            labels={n: c.label for c, n in zip(columns, shown.names, strict=True)},
        )  # fmt: skip

    def _scan(self, op: Scan) -> Level:
        level = self._over(Read(op.relation), op.columns)
        level.labels = {}
        return level

    def _map(self, op: Map, needed: set[str]) -> Level:
        opened = {c.name for c, e in op.items if c.name not in needed and _opens(e)}
        items = [(c, e) for c, e in op.items if c.name in needed | opened or op.checked is c]
        below = used([*(e for _, e in items), *op.where, *(j for j in op.joins)])
        below |= {op.checked.name} if op.checked is not None else set()
        if op.keeps:
            below |= needed
        level = self._level(op.input, below - {c.name for c, _ in op.joined})
        if op.joins:
            asked = used(op.joins)
            is_apart = any(not _is_trivial(e) for n, e in level.columns.items() if n in asked)
            if is_apart or (
                level.checked is not None and any(isinstance(j.this, exp.Unnest) for j in op.joins)
            ):
                level = self._nested(level, below)
            level.columns |= {c.name: e for c, e in op.joined}
            level.joins += [
                j for j in (self._put_in(j, level) for j in op.joins) if isinstance(j, exp.Join)
            ]
        level.caches += op.caches
        expressions = [*(e for _, e in items), *op.where]
        if any(not _is_trivial(level.columns[n]) for n in used(expressions) if n in level.columns):
            level = self._nested(level, below)
        level.where += [self._put_in(w, level) for w in op.where]
        made = {c.name: self._put_in(e, level) for c, e in items}
        level.columns = {**(level.columns if op.keeps else {}), **made}
        if op.checked is not None:
            level.checked = level.columns[op.checked.name]
        if op.sign:
            level.hidden = {n: e for n, e in level.hidden.items() if n != WEIGHT}
            level.hidden[WEIGHT] = exp.cast(exp.Literal.number(op.sign), "BIGINT")
        if op.rule:
            level.rules.append(op.rule)
        return self._nested(level, needed | opened) if opened else level

    def _nested(self, level: Level, needed: set[str]) -> Level:
        """The statement so far as the source of another."""
        items = [(n, e) for n, e in level.columns.items() if n in needed or not needed]
        select = level.select(
            items or list(level.columns.items())[:1] or [("_sm_none", exp.Literal.number(1))]
        )
        hidden: dict[str, exp.Expr] = {n: exp.column(n, table=_IN.copy()) for n in level.hidden}
        nested = Level(
            level.node, exp.Subquery(this=select),
            {n: exp.column(exp.to_identifier(n, quoted=True), table=_IN.copy()) for n, _ in items},
            hidden, caches=level.caches, labels=level.labels, rules=level.rules,
        )  # fmt: skip
        if level.checked is not None:
            nested.checked = exp.Anonymous(
                this="make_timestamp", expressions=[exp.column(WINDOW_END, table=_IN.copy())]
            )
        return nested

    def _put_in(self, node: exp.Expr, level: Level) -> exp.Expr:
        """Columns of the operation become what they are in the statement."""

        def change(n: exp.Expr) -> exp.Expr:
            if isinstance(n, exp.Column) and not n.table and n.name in level.columns:
                return level.columns[n.name].copy()
            return n

        return node.copy().transform(change)

    # --- nodes -----------------------------------------------------------------------------------

    def _seal(self, level: Level, items: Sequence[tuple[str, Column]]) -> Compute:
        select = level.select([(n, level.columns[c.name]) for n, c in items])
        return self._compute(level, select, [n for n, _ in items])

    def _compute(self, level: Level, select: exp.Select, names: list[str]) -> Compute:
        timed = with_clock(select)
        sql = timed.sql("duckdb")
        node = level.node
        lookup_sql, lookups = find_lookups(timed, node.schema, level.caches)
        source = EmptyTable(
            INPUT, typed_columns(node.schema.names, self._ctx.binder.column_types(node.schema))
        )
        bound = self._ctx.bind(select, [source])
        refuse_types(
            [level.labels.get(n, n) for n in names], bound.types[: len(names)], self._ctx.query.span
        )
        hidden = tuple(bound.names[len(names) :])
        picked = () if level.where else _picked(level, timed, bound.schema)
        return Compute(
            input=node, sql=sql, visible=tuple(names), hidden=hidden, schema=bound.schema,
            types=tuple(bound.types[: len(names)]), caches=tuple(dict.fromkeys(c.id for c in level.caches)),
            is_windowed=level.checked is not None, rule=", ".join(level.rules), probe_sql=probe_sql(timed),
            labels=level.labels, reads_clock=CLOCK in sql, lookups=lookups, lookup_sql=lookup_sql,
            picked=picked, made_sql=_made_sql(timed, picked), sifted=self._sifted(level, select, bound.schema),
            follows=find_follows(select, bound.schema, self._ctx.volatile),
        )  # fmt: skip

    def _sifted(self, level: Level, select: exp.Select, made: pa.Schema) -> Sifted | None:
        """The filter, if it asks nothing but the row and answers the same again."""
        if not level.where or level.joins or level.checked is not None or _is_nested(level.source):
            return None
        asked = exp.and_(*level.where, copy=True)
        if asked.find(exp.Query) or any(self._ctx.volatile.find(asked)):
            return None
        source = select.args["from_"].this.sql("duckdb")
        picked = _picked(level, select, made)
        return Sifted(asked.sql("duckdb"), source, picked if all(picked) else ())

    def _sealed(self, op: Op, columns: Sequence[Column]) -> Compute:
        """The operation as a node with exactly these columns."""
        return self._seal(
            self._level(op, {c.name for c in columns}), [(c.name, c) for c in columns]
        )

    def _given(self, op: Given) -> tuple[Node, list[Column]]:
        sql = op.select.sql("duckdb")
        bound = self._ctx.binder.columns(sql)
        fields = [f.with_name(c.name) for f, c in zip(bound.schema, op.columns, strict=True)]
        return Constant(sql, pa.schema([*fields, SEQ_FIELD]), bound.types), list(op.columns)

    def _called(self, op: Called, needed: set[str]) -> tuple[Node, list[Column]]:
        calls = [c for c in op.calls if c.column.name in needed]
        kept = [c for c in op.input.columns if c.name in needed]
        read = list(dict.fromkeys([*kept, *(r for c in calls for r in c.reads)]))
        read = read or op.input.columns[:1]
        before = self._sealed(op.input, read)
        if not calls:
            return before, read
        kinds = dict(zip(before.visible, before.types, strict=True))
        made = [pa.field(c.column.name, c.function.arrow) for c in calls]
        hidden = [f for f in before.schema if is_hidden(f.name) and f.name != WINDOW_END]
        shown = [before.schema.field(c.name) for c in kept]
        listed = tuple(
            PythonCall(c.column.name, c.function, tuple(a.name for a in c.arguments), c.when.name if c.when else "")
            for c in calls
        )  # fmt: skip
        applied = Apply(
            before, listed, pa.schema([*shown, *made, *hidden]),
            (*(kinds[c.name] for c in kept), *(c.function.returns for c in calls)), {c.name: c.label for c in read},
        )  # fmt: skip
        return applied, [*kept, *(c.column for c in calls)]

    def _remembered(self, op: Remembered, needed: set[str]) -> tuple[Node, list[Column]]:
        asked = needed | {n for at in walk(op.inner) for n in names_read(at)}
        read = [c for c in op.input.columns if c.name in asked] or op.input.columns[:1]
        before = self._sealed(op.input, read)
        shown = visible_schema(before.schema)
        rows = Relation(
            _FRESH, "stream", shown.append(pa.field(ROW, pa.int64())), (*before.types, "BIGINT"),
            time_column=ROW if LATE_BY in before.schema.names else None,
        )  # fmt: skip
        fresh = Read(rows)
        self._fresh[id(op.rows)] = (fresh, read)
        columns = [c for c in op.columns if c.name in needed] or op.columns[:1]
        inner = self._sealed(op.inner, columns)
        hidden = [f for f in before.schema if is_hidden(f.name)]
        schema = pa.schema([*visible_schema(inner.schema), *hidden])
        return Remember(before, before.types, inner, fresh, schema), columns

    def _stack(self, op: Stack) -> tuple[Node, list[Column]]:
        parts = []
        for p in op.parts:
            own = p.columns
            level = self._level(p, {c.name for c in own})
            parts.append(
                self._seal(level, [(c.name, o) for c, o in zip(op.columns, own, strict=True)])
            )
        shown = visible_schema(parts[0].schema)
        hidden = [SEQ_FIELD]
        if all(LATE_BY in p.schema.names for p in parts):
            hidden.append(LATE_FIELD)
        if any(WEIGHT in p.schema.names for p in parts):
            hidden.append(WEIGHT_FIELD)
        schema = pa.schema([*shown, *hidden])
        return Union(tuple(parts), schema, parts[0].types, op.is_table), list(op.columns)

    def _session_group(self, op: Group, before: Compute) -> SessionGroup:
        node: Node = before
        while isinstance(node, Compute):
            node = node.input
        assert isinstance(node, Sessions)  # noqa: S101  # the planner found it there
        return SessionGroup(self._aggregate(op, before, node.bounds), node)

    def _group(self, op: Group) -> tuple[Node, list[Column]]:
        inputs = {c.name: c for c in op.input.columns}
        s = op.sessions
        wanted = [k.name for _, k in op.keys if s is None or k.name not in (s.start.name, s.end.name)]  # fmt: skip
        for c in op.calls:
            wanted += [n for n in inputs if _mentions(c.sql, n)]
        columns = [inputs[n] for n in dict.fromkeys(wanted)] or op.input.columns[:1]
        end = op.end if s is None else None
        level = self._level(op.input, {c.name for c in columns} | ({end.name} if end else set()))
        if not columns:
            one = self._ctx.names.new("_sm_one", "INTEGER")
            level.columns[one.name] = exp.Literal.number(1)
            columns = [one]
        if end is not None:
            level.checked = level.columns[end.name]
        before = self._seal(level, [(c.name, c) for c in columns])
        node = self._aggregate(op, before) if s is None else self._session_group(op, before)
        return node, [*(c for c, _ in op.keys), *(c.column for c in op.calls)]

    def _aggregate(self, op: Group, before: Compute, bounds: Bounds | None = None) -> Aggregate:
        binder = self._ctx.binder
        carried = binder.column_types(before.schema)
        names = before.schema.names
        types = [*before.types, *carried[len(before.types) :]]
        source = read_with_types(names, types, carried).sql("duckdb")
        table = [EmptyTable(INPUT, typed_columns(names, carried))]
        keys = [k.name for _, k in op.keys]
        if op.end is not None and bounds is None:
            keys.append(WINDOW_END)
        group = f" GROUP BY {', '.join(keys)}" if keys else ""

        def made(call: Call) -> Call:
            state = f"SELECT {call.state_sql} AS s FROM {source}{group}"
            kinds = dict(zip(names, types, strict=True))
            is_mergeable = call.is_mergeable and not may_overflow(call.sql, kinds)
            if not (is_mergeable and binder.can_run(state, table)):
                return replace(call, is_mergeable=False)
            return replace(call, pieces=pieces(call.sql, kinds))

        given = source
        if bounds is not None:
            given = f"(SELECT r.*, {bounds.sql('s')} FROM {source} AS r, {NO_SESSION})"
            group = f" GROUP BY {SESSION}"
        calls = tuple(made(Call(c.column.name, c.sql, c.is_mergeable, c.shown)) for c in op.calls)
        shown = [k for k in keys if k != WINDOW_END]
        items = ", ".join([*shown, *(f"{c.sql} AS {c.name}" for c in calls)]) or "1 AS _sm_none"
        by = f" GROUP BY {', '.join(keys)}" if keys else ""
        grouped = binder.columns(f"SELECT {items} FROM {given}{by}", table)
        refuse_types([c.shown for c in calls], grouped.types[len(shown) :], self._ctx.query.span)
        hidden = [SEQ_FIELD, *([LATE_FIELD] if op.has_watermark else [])]
        hidden += [WEIGHT_FIELD] if op.emit == "changes" else []
        return Aggregate(
            input=before, keys=tuple(keys), calls=calls, schema=pa.schema([*grouped.schema, *hidden]), types=grouped.types,
            input_sql=source, input_columns=tuple(names), emit=op.emit, is_windowed=op.end is not None or bounds is not None,
            lateness_us=op.input.lateness_us, is_input_changelog=WEIGHT in names,
            shown_keys=tuple(c.label for c, _ in op.keys), is_whole=op.is_whole,
        )  # fmt: skip

    def _parted(self, op: Parted) -> tuple[Node, list[Column]]:
        if op.closing is not None:
            return self._timed.waiting(op, op.closing)
        parts = []
        for input_op, keys in zip(op.inputs, op.keys, strict=True):
            node = self._sealed(input_op, input_op.columns)
            columns = [*(c.name for c in input_op.columns), *([SEQ] if op.by_arrival else [])]
            types = [*node.types, *(["BIGINT"] if op.by_arrival else [])]
            parts.append(Part(node, tuple(columns), tuple(types), tuple(k.name for k in keys)))
        keyed = [f"{sql} AS {PARTITION}{i}" for i, sql in enumerate(op.key_sql)]
        items = ", ".join([*keyed, *(f"{sql} AS {c.name}" for c, sql in op.items)])
        text = f"SELECT {items} {op.body}"
        drawn = self._ctx.volatile.in_text(text)
        if drawn is not None:
            raise self._ctx.drawn_here(drawn)
        tables = []
        for i, part in enumerate(parts):
            tables.append(EmptyTable(f"_sm_i{i}", typed_columns(part.columns, part.types)))
        bound = self._ctx.bind_text(text, tables)
        cut = len(keyed)
        fields = list(bound.schema)[cut:]
        sql = with_places(text, "_sm_i", len(parts))
        for (c, _), t in zip(op.items, bound.types[cut:], strict=True):
            c.type = t
        hidden = [SEQ_FIELD, *([LATE_FIELD] if op.end is not None else [])]
        hidden += [WEIGHT_FIELD] if op.emit == "changes" else []
        shown = tuple(k.label for k in op.keys[0])
        made = Partition(
            tuple(parts), sql, pa.schema([*fields, *hidden]), bound.types[cut:], bound.types[:cut], op.rule, shown,
            op.end, op.inputs[0].lateness_us, op.emit,
        )  # fmt: skip
        return made, [c for c, _ in op.items]


def _is_nested(source: exp.Expr) -> bool:
    """More than `_in` with its types."""
    return isinstance(source, exp.Subquery) and not source.this.is_star


def _picked(level: Level, select: exp.Select, made: pa.Schema) -> tuple[str, ...]:
    """See `Compute.picked`; rows that a filter leaves out aside."""
    items = [e.unalias() for e in select.expressions]
    if (
        _is_nested(level.source)
        or level.joins
        or any(e.find(exp.Query) or _opens(e) for e in items)
    ):
        return ()
    given = level.node.schema
    cast = {
        a.alias for a in level.source.find_all(exp.Alias)
    }  # a value may not fit, or be written anew
    picked = tuple(
        e.name
        if _is_trivial(e) and e.name not in cast and given.field(e.name).type == f.type
        else ""
        for e, f in zip(items, made, strict=True)
    )
    return picked if any(picked) else ()


def _made_sql(select: exp.Select, picked: tuple[str, ...]) -> str:
    made = [e for e, name in zip(select.expressions, picked, strict=False) if not name]
    return select.select(*made, append=False).sql("duckdb") if made else ""


def _is_trivial(e: exp.Expr) -> bool:
    return isinstance(e, exp.Column)


def _opens(e: exp.Expr) -> bool:
    """UNNEST in a SELECT list: it makes the rows, also where nobody reads its column."""
    return e.find(exp.Explode, exp.Unnest) is not None


def _mentions(sql: str, name: str) -> bool:
    return re.search(rf"\b{name}\b", sql) is not None
