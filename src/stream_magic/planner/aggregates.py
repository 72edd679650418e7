"""GROUP BY cut in three: columns before, the aggregates, expressions over their results.

SELECT category, sum(amount) / count(*) AS mean FROM s GROUP BY category HAVING count(*) > 1
before:  SELECT category AS k0, amount AS a0 FROM s
group:   k0: sum(a0) AS o0, count(*) AS o1
after:   SELECT k0 AS category, o0 / o1 AS mean FROM groups WHERE o1 > 1
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sqlglot import exp

from stream_magic.errors import PlanError
from stream_magic.language.spans import span_of
from stream_magic.planner.nodes import WINDOW_END, Call
from stream_magic.planner.scope import is_stream_column
from stream_magic.planner.text import unaliased

# Their result depends on the order of rows: they go by arrival.
_BY_ARRIVAL = frozenset(
    {
        "first",
        "last",
        "any_value",
        "arbitrary",
        "list",
        "array_agg",
        "string_agg",
        "group_concat",
        "listagg",
    }
)
# Ties or samples make DuckDB's answer depend on how it ran.
_UNSETTLED = {
    **dict.fromkeys(
        ("arg_max", "arg_min", "argmax", "argmin", "max_by", "min_by", "arg_max_null", "arg_min_null",
         "arg_max_nulls_last", "arg_min_nulls_last"),
        "use max(...) or min(...) of a STRUCT: max({'ts': ts, 'v': v}).v",
    ),
    **dict.fromkeys(("mode", "approx_top_k"), "count by value: SELECT v, count(*) ... GROUP BY v"),
    **dict.fromkeys(("approx_quantile", "reservoir_quantile"), "use quantile_cont(x, q), which is exact"),
    "lttb": "draw a chart: it thins out points by itself",
}  # fmt: skip


class AggregateFinder:
    """Knows an aggregate when it sees one."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names

    def is_grouped(self, select: exp.Select) -> bool:
        if select.args.get("group") or select.args.get("having"):
            return True
        return any(True for item in select.expressions for _ in self.find(item))

    def find(self, node: exp.Expr) -> Iterator[exp.Expr]:
        """Aggregates in an expression, outermost first, not those of subqueries."""
        for found in node.walk(
            prune=lambda n: isinstance(n, exp.Subquery | exp.Select) or self.is_aggregate(n)
        ):
            if self.is_aggregate(found):
                yield found

    def is_aggregate(self, node: exp.Expr) -> bool:
        core = aggregate_core(node)
        return isinstance(core, exp.Func) and function_name(core) in self._names


def aggregate_core(node: exp.Expr) -> exp.Expr:
    """The call inside FILTER, IGNORE NULLS or WITHIN GROUP."""
    while isinstance(node, exp.Filter | exp.IgnoreNulls | exp.RespectNulls | exp.WithinGroup):
        node = node.this
    return node


def function_name(node: exp.Expr) -> str:
    """DuckDB's name of a function, lower case."""
    if isinstance(node, exp.Anonymous):
        return str(node.this).lower()
    return node.sql("duckdb").partition("(")[0].strip().lower()


@dataclass
class Names:
    """What column names mean in one SELECT."""

    columns: list[str]  # of all FROM items, lower case, as often as they occur
    tables: set[str]  # aliases in FROM, lower case
    stream: str  # the alias of the stream among them
    aliases: dict[str, exp.Expr] = field(default_factory=dict)  # of SELECT items

    def canonical(self, node: exp.Expr) -> str:
        """A text that is equal for expressions that mean the same column."""

        def plain(n: exp.Expr) -> exp.Expr:
            if isinstance(n, exp.Column) and not n.is_star:
                return exp.column(exp.to_identifier(".".join(self.parts(n)), quoted=True))
            return n

        return node.copy().transform(plain).sql("duckdb")

    def parts(self, column: exp.Column) -> list[str]:
        """`o.after.x` -> ['after', 'x'] if that is unambiguous."""
        parts = [p.name.lower() for p in column.parts]
        if (
            len(parts) > 1
            and parts[0] in self.tables
            and parts[0] not in self.columns
            and self.columns.count(parts[1]) == 1
        ):
            return parts[1:]
        return parts

    def without_aliases(self, node: exp.Expr) -> exp.Expr:
        """`SELECT a + 1 AS b, sum(b)`: b is replaced by its expression where no column has that name."""

        def expand(n: exp.Expr) -> exp.Expr:
            if isinstance(n, exp.Column) and len(n.parts) == 1:
                name = n.name.lower()
                if name not in self.columns and name in self.aliases:
                    return exp.paren(self.without_aliases(self.aliases[name]), copy=True)
            return n

        expanded: exp.Expr = node.copy().transform(expand)
        is_all_alias = isinstance(expanded, exp.Paren) and not isinstance(node, exp.Paren)
        return expanded.this if is_all_alias else expanded


@dataclass
class Split:
    """The three parts of a grouped SELECT."""

    before: exp.Select
    after: exp.Select
    keys: list[str]
    calls: list[Call]
    key_names: tuple[str, ...] | None
    is_windowed: bool
    detail: str
    labels: dict[str, str]


class Splitter:
    """Cuts one SELECT."""

    def __init__(self, select: exp.Select, names: Names, finder: AggregateFinder, text: str, *,
                 window_columns: set[str], is_changelog: bool, shown: tuple[str, ...] = ()) -> None:  # fmt: skip
        self._select = select
        self._names = names
        self._finder = finder
        self._text = text
        self._window_columns = window_columns
        self._is_changelog = is_changelog
        self._shown = shown
        self._keys: dict[str, str] = {}
        self._inputs: list[exp.Expr] = []
        self._args: dict[str, str] = {}
        self._calls: dict[str, Call] = {}
        names.aliases.update(
            {e.alias.lower(): e.this for e in select.expressions if isinstance(e, exp.Alias)}
        )

    def split(self) -> Split:
        select = self._select
        is_windowed = self._read_keys()
        items = [self._item(e, i) for i, e in enumerate(select.expressions)]
        having = select.args.get("having")
        after = exp.select(*items).from_("_in")
        if having is not None:
            after = after.where(self._rewrite(self._names.without_aliases(having.this)))
        before = select.copy()
        before.set("expressions", self._inputs or [exp.alias_(exp.Literal.number(1), "a0")])
        for clause in ("group", "having"):
            before.set(clause, None)
        where = before.args.get("where")
        if where is not None:
            where.set("this", self._names.without_aliases(where.this))
        keys = [*self._keys.values(), *([WINDOW_END] if is_windowed else [])]
        shown = [self._names.canonical(unaliased(e)) for e in select.expressions]
        outputs = {c: e.alias_or_name for c, e in zip(shown, select.expressions, strict=True)}
        key_names = tuple(outputs[c] for c in self._keys if c in outputs)
        group = ", ".join(
            c.replace('"', "")
            for c in self._keys
            if c.strip('"') not in ("window_start", "window_end")
        )
        return Split(
            before, after, keys, list(self._calls.values()),
            key_names if len(key_names) == len(self._keys) else None,
            is_windowed, f"by {group}" if group else "aggregate",
            {k: c.replace('"', "") for c, k in self._keys.items()} | {c.name: c.shown for c in self._calls.values()},
        )  # fmt: skip

    def _read_keys(self) -> bool:
        """Numbers the keys; True if a window that closes is among them."""
        group = self._select.args.get("group")
        expressions: list[exp.Expr] = []
        if group is not None and group.args.get("all"):
            expressions = [
                unaliased(e) for e in self._select.expressions if not any(self._finder.find(e))
            ]
        elif group is not None:
            expressions = [self._key(e) for e in group.expressions]
        is_windowed = False
        for given in expressions:
            if given.is_star:
                raise PlanError(
                    "SM3041",
                    "* cannot be grouped",
                    hint="name the columns",
                    span=span_of(given, self._text),
                )
            e = self._names.without_aliases(given)
            if isinstance(e, exp.Literal):
                continue
            canonical = self._names.canonical(e)
            if canonical not in self._keys:
                self._keys[canonical] = f"k{len(self._keys)}"
                self._inputs.append(exp.alias_(e.copy(), self._keys[canonical]))
            if is_stream_column(e, self._window_columns, self._names.stream):
                is_windowed = True
        if group is not None and not self._keys:
            raise PlanError(
                "SM3048", "GROUP BY a constant makes no groups", hint="leave GROUP BY out, or group by a column",
                span=span_of(group, self._text),
            )  # fmt: skip
        return is_windowed

    def _key(self, e: exp.Expr) -> exp.Expr:
        """A position or a name of the SELECT list stands for its expression."""
        if isinstance(e, exp.Literal) and not e.is_string:
            return unaliased(self._select.expressions[int(e.this) - 1])
        return e

    def _item(self, item: exp.Expr, at: int) -> exp.Expr:
        if item.is_star:
            raise PlanError(
                "SM3041",
                "* cannot stand beside GROUP BY",
                hint="name the columns",
                span=span_of(item, self._text),
            )
        rewritten = self._rewrite(self._names.without_aliases(unaliased(item)))
        name = self._shown[at] if self._shown else f"c{at}"
        return exp.alias_(rewritten, exp.to_identifier(name, quoted=True))

    def _rewrite(self, node: exp.Expr) -> exp.Expr:
        """Keys and aggregates become columns of the grouped result."""

        def replace(n: exp.Expr) -> exp.Expr:
            if isinstance(n, exp.Query):
                raise PlanError(
                    "SM3048",
                    "a subquery beside GROUP BY is not supported yet",
                    hint="look the value up in a stream before, or put it inside the aggregate",
                    span=span_of(n, self._text),
                )
            if self._finder.is_aggregate(n):
                return exp.column(self._call(n))
            key = (
                self._keys.get(self._names.canonical(n))
                if not isinstance(n, exp.Identifier)
                else None
            )
            if key is not None:
                return exp.column(key)
            return self._field_of_key(n) if isinstance(n, exp.Column) else n

        return node.transform(replace)

    def _field_of_key(self, column: exp.Column) -> exp.Expr:
        """`after.x` where `after` is a key."""
        parts = self._names.parts(column)
        for cut in range(len(parts) - 1, 0, -1):
            head = self._keys.get(
                exp.column(exp.to_identifier(".".join(parts[:cut]), quoted=True)).sql("duckdb")
            )
            if head is not None:
                return exp.Dot.build(
                    [exp.column(head), *(exp.to_identifier(p, quoted=True) for p in parts[cut:])]
                )
        if (
            column.table == ""
            and column.name.startswith("k")
            and column.name in self._keys.values()
        ):
            return column
        raise PlanError(
            "SM3042", f"'{column.sql('duckdb')}' is neither grouped nor aggregated",
            hint="add it to GROUP BY, or aggregate it: any_value(...)", span=span_of(column, self._text),
        )  # fmt: skip

    def _call(self, node: exp.Expr) -> str:
        """Registers an aggregate; returns the name of its result."""
        canonical = self._names.canonical(node)
        if canonical not in self._calls:
            name = f"o{len(self._calls)}"
            self._calls[canonical] = self._make_call(name, node.copy())
        return self._calls[canonical].name

    def _make_call(self, name: str, node: exp.Expr) -> Call:
        core = aggregate_core(node)
        function = function_name(core)
        self._refuse(function, core, node)
        shown = node.sql("duckdb")
        is_distinct = core.find(exp.Distinct) is not None
        by_arrival = function in _BY_ARRIVAL
        for argument in list(_arguments(core)):
            if argument.find(exp.Column):
                argument.replace(exp.column(self._argument(argument)))
        where = node.expression if isinstance(node, exp.Filter) else None
        if where is not None and where.find(exp.Column):
            where.this.replace(exp.column(self._argument(where.this)))
        sql = node.sql("duckdb")
        if by_arrival:
            call = core.sql("duckdb")
            sql = sql.replace(call, f"{call[:-1]} ORDER BY _sm_seq)", 1)
        return Call(name, sql, not (is_distinct or by_arrival), shown)

    def _argument(self, e: exp.Expr) -> str:
        canonical = self._names.canonical(e)
        if canonical not in self._args:
            self._args[canonical] = f"a{len(self._args)}"
            self._inputs.append(exp.alias_(e.copy(), self._args[canonical]))
        return self._args[canonical]

    def _refuse(self, function: str, core: exp.Expr, node: exp.Expr) -> None:
        place = span_of(node, self._text)
        if function in _UNSETTLED:
            raise PlanError(
                "SM3043",
                f"{function}(...) is not supported in a continuous query yet: ties and samples have no settled answer",
                hint=_UNSETTLED[function],
                span=place,
            )
        if core.find(exp.Order) is not None or node.find(exp.WithinGroup) is not None:
            raise PlanError(
                "SM3044",
                "ORDER BY inside an aggregate is not supported yet",
                hint="leave it out: list, first and string_agg go by arrival",
                span=place,
            )
        if function in _BY_ARRIVAL and core.find(exp.Distinct) is not None:
            raise PlanError(
                "SM3045",
                f"{function}(DISTINCT ...) is not supported yet",
                hint="GROUP BY the values first",
                span=place,
            )
        if function in _BY_ARRIVAL and self._is_changelog:
            raise PlanError(
                "SM3046",
                f"{function}(...) over a changelog is not supported yet: its rows have no order",
                hint="use min(...) or max(...)",
                span=place,
            )
        if core.find(exp.Lambda) is not None:
            raise PlanError(
                "SM3047",
                "a lambda inside an aggregate is not supported yet",
                hint="compute it in a stream before",
                span=place,
            )


def _arguments(core: exp.Expr) -> Iterator[exp.Expr]:
    """The arguments of a call, those inside DISTINCT one by one."""
    values = [
        core.args.get("this"),
        *([core.args.get("expression")] if core.args.get("expression") else []),
        *(core.args.get("expressions") or []),
    ]
    if isinstance(core, exp.Anonymous):
        values = list(core.expressions)
    for value in values:
        if isinstance(value, exp.Distinct):
            yield from value.expressions
        elif isinstance(value, exp.Expr) and not isinstance(value, exp.Star):
            yield value
