"""What a query means, step by step: a tree of operations over columns with names of their own.

Every column of a query has a name that stands once in the whole plan (`_c12`), so an expression needs
no aliases to be understood. `lower.py` turns this tree into the nodes that the engine runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlglot import exp

from stream_magic.contracts.function import Function
from stream_magic.language.catalog import Relation
from stream_magic.language.statements import Emit
from stream_magic.planner.columns import SEVERAL, Column, Names
from stream_magic.planner.extents import LastRows


@dataclass(eq=False)
class Op:
    """An operation. Its rows are only added, or come with weights (`is_changelog`).

    Attributes:
        columns: what it gives.
        has_watermark: its rows carry the watermark that judges them.
        lateness_us: allowed lateness of the sources behind it.
        has_order: the rows' numbers of arrival do not depend on where epochs are cut.
        is_settled: what the watermark has passed does not change any more: nothing is late, or taken back. Of its columns only ends of
            windows are times that the watermark follows, if it is a changelog.
    """

    columns: list[Column]
    is_changelog: bool = False
    has_watermark: bool = False
    lateness_us: int = 0
    has_order: bool = True
    is_settled: bool = False

    @property
    def can_close(self) -> bool:
        """Windows over its rows close: no row comes, or is taken back, behind the watermark; or it is late."""
        return self.has_watermark and (self.is_settled or not self.is_changelog)

    def column(self, name: str) -> Column:
        return next(c for c in self.columns if c.name == name)


@dataclass(eq=False)
class Scan(Op):
    """A relation of the app; its columns by position."""

    relation: Relation = field(kw_only=True)


@dataclass(eq=False)
class Given(Op):
    """Rows that the query states. `select` gives its columns, and has no FROM but VALUES."""

    select: exp.Expr = field(kw_only=True)


@dataclass(eq=False)
class Map(Op):
    """Linear: filter, compute, look up caches, unnest.

    Attributes:
        items: columns that it makes, as expressions over the input's and the joined columns.
        keeps: it gives the input's columns too.
        joins: caches and UNNESTs beside the input, whose columns are `joined`.
        joined: columns of the joined items, as expressions over their aliases.
        caches: those that it reads, in `joins` or in expressions.
        checked: a time that must not be NULL: such a row is an error.
        sign: +1 or -1, the weight that its rows get; 0 leaves it.
        rule: for EXPLAIN.
    """

    input: Op = field(kw_only=True)
    items: list[tuple[Column, exp.Expr]] = field(default_factory=list)
    keeps: bool = False
    where: list[exp.Expr] = field(default_factory=list)
    joins: list[exp.Join] = field(default_factory=list)
    joined: list[tuple[Column, exp.Expr]] = field(default_factory=list)
    caches: list[Relation] = field(default_factory=list)
    checked: Column | None = None
    sign: int = 0
    rule: str = ""

    @classmethod
    def over(
        cls, op: Op, items: Sequence[tuple[Column, exp.Expr]] = (), *, columns: list[Column] | None = None,
        keeps: bool = False, **more: Any,
    ) -> Map:  # fmt: skip
        """Over an operation whose rows go on with what they carry; it gives its items, and what it keeps."""
        if columns is None:
            columns = [*(op.columns if keeps else ()), *(c for c, _ in items)]
        return cls(
            columns, op.is_changelog, op.has_watermark, op.lateness_us, op.has_order, op.is_settled,
            input=op, items=list(items), keeps=keeps, **more,
        )  # fmt: skip


@dataclass(eq=False)
class Calling:
    """One call of a Python function.

    Attributes:
        column: what it gives.
        arguments: columns of the input, with the types that the function takes.
        when: a column that is true for the rows that need it; None is all rows.
    """

    column: Column
    function: Function
    arguments: list[Column]
    when: Column | None = None

    @property
    def reads(self) -> list[Column]:
        return [*self.arguments, *([self.when] if self.when is not None else [])]


@dataclass(eq=False)
class Called(Op):
    """The input, and beside each row what Python functions gave for it."""

    input: Op = field(kw_only=True)
    calls: list[Calling] = field(kw_only=True)


@dataclass(eq=False)
class Fresh(Op):
    """Inside a `Remembered`: the rows that came."""


@dataclass(eq=False)
class Remembered(Op):
    """What each row of a changelog found or drew, until it is taken back.

    Attributes:
        rows: what stands for the input inside `inner`.
        inner: linear; computes its columns from `rows`, once for each row.
    """

    input: Op = field(kw_only=True)
    rows: Fresh = field(kw_only=True)
    inner: Op = field(kw_only=True)


@dataclass(eq=False)
class Leg:
    """A side of a `Product`.

    Attributes:
        is_linear: see `planner.nodes.Side`.
        touched: condition over the joined row and the side's own columns (in `_sm_delta`); None for all rows.
        is_shown: its columns are in the result (not of a SEMI or ANTI join's right side).
        late_us, forget_us: expressions over its columns, or None.
        moment: expressions over its columns: of rows that have them all the same only the first is read.
    """

    op: Op
    is_linear: bool = True
    touched: exp.Expr | None = None
    is_shown: bool = True
    late_us: exp.Expr | None = None
    forget_us: exp.Expr | None = None
    moment: list[exp.Expr] = field(default_factory=list)


@dataclass(eq=False)
class Product(Op):
    """A FROM clause of several sides. `joins[i]` joins side i + 1; its `this` is a stand-in. Nothing joins a whole one from within."""

    legs: list[Leg] = field(kw_only=True)
    joins: list[exp.Join] = field(kw_only=True)
    where: list[exp.Expr] = field(default_factory=list)
    bound: str = ""
    is_whole: bool = False


@dataclass(frozen=True)
class Aggregation:
    """One aggregate: `sql` over the input's column names."""

    column: Column
    sql: str
    is_mergeable: bool
    shown: str


@dataclass(eq=False)
class Group(Op):
    """GROUP BY.

    Attributes:
        keys: the column given and the input's column behind it.
        end: the input's window end among the keys if windows close, else None.
        sessions: those whose rows it groups session by session, if it does.
        is_whole: all rows of a group come in one epoch, and no other does.
    """

    input: Op = field(kw_only=True)
    keys: list[tuple[Column, Column]] = field(kw_only=True)
    calls: list[Aggregation] = field(kw_only=True)
    emit: Emit = "changes"
    end: Column | None = None
    sessions: Sessioned | None = None
    is_whole: bool = False

    @classmethod
    def distinct(
        cls, names: Names, op: Op, columns: Iterable[Column]
    ) -> tuple[Group, dict[str, Column]]:
        """Each value of these columns once. Also what they are called now."""
        pairs = [(names.like(c), c) for c in dict.fromkeys(columns)]
        group = cls(
            [new for new, _ in pairs], True, has_order=False, lateness_us=op.lateness_us, input=op, keys=pairs, calls=[]
        )  # fmt: skip
        return group, {old.name: new for new, old in pairs}


@dataclass(eq=False)
class ByClock(Op):
    """The same rows and columns, with the app's clock for a watermark."""

    input: Op = field(kw_only=True)


@dataclass(eq=False)
class Numbered(Op):
    """The same rows, in order of arrival, with their number among those of the same keys, from 0."""

    input: Op = field(kw_only=True)
    keys: list[Column] = field(kw_only=True)
    number: Column = field(kw_only=True)


@dataclass(eq=False)
class Filled(Op):
    """Rows of row windows, told once: all rows of a window come together, when its last one has come.

    Attributes:
        keys: rows are counted for each value of these columns of the input.
        number: the input's column that counts them, which is not given.
        end: of the window, not counted itself.
        bounds: the columns that say which window it is.
    """

    input: Op = field(kw_only=True)
    keys: list[Column] = field(kw_only=True)
    number: Column = field(kw_only=True)
    end: Column = field(kw_only=True)
    bounds: tuple[Column, Column] = field(kw_only=True)


@dataclass(eq=False)
class Sessioned(Op):
    """SESSION over the time that the watermark follows: the input's columns and the bounds of the row's session.

    Attributes:
        time: of the input.
        keys: of the input.
        start, end: the bounds.
        gap_us: of the sessions.
        is_numbered: a `Group` above makes the bounds; the rows come once, with the number of their session.
    """

    input: Op = field(kw_only=True)
    time: Column = field(kw_only=True)
    keys: list[Column] = field(kw_only=True)
    start: Column = field(kw_only=True)
    end: Column = field(kw_only=True)
    gap_us: int = field(kw_only=True)
    is_numbered: bool = False

    @property
    def bounds(self) -> tuple[Column, Column]:
        return self.start, self.end


@dataclass(eq=False)
class Stack(Op):
    """UNION ALL: `parts[i]` gives its columns by position. A table takes back only what is there (`planner.nodes.Union`)."""

    parts: list[Op] = field(kw_only=True)
    is_table: bool = False


@dataclass
class Closing:
    """When rows of a `Parted` are told, in order of event time, and which are kept then.

    Attributes:
        time: of the input.
        ahead_us: a row waits until the watermark has passed it by so much; -1 is until the watermark is there.
        behind_us: how far back frames read; None is to the first row.
        last_rows: of each partition, that frames read whatever their time.
    """

    time: Column
    ahead_us: int = 0
    behind_us: int | None = 0
    last_rows: list[LastRows] = field(default_factory=list)


@dataclass(eq=False)
class Parted(Op):
    """A statement whose answer falls into partitions.

    Attributes:
        inputs: what it reads.
        keys: for each input the columns that make a partition; equally many.
        key_sql: expressions of the statement that give the partition's key.
        items: what the statement gives beside.
        body: the statement's clauses from FROM on, with `_sm_i0`, `_sm_i1` ... for the inputs.
        by_arrival: it reads `_sm_seq`.
        closing: rows are told once, when the watermark has passed them; None is at once, and again when they change.
        end: the place of the key that is the end of a window, which closes the partition; None if nothing does.
        emit: 'close' tells each partition once, then.
    """

    inputs: list[Op] = field(kw_only=True)
    keys: list[list[Column]] = field(kw_only=True)
    key_sql: list[str] = field(kw_only=True)
    items: list[tuple[Column, str]] = field(kw_only=True)
    body: str = field(kw_only=True)
    by_arrival: bool = False
    rule: str = ""
    closing: Closing | None = None
    end: int | None = None
    emit: Emit = "changes"

    @classmethod
    def over(
        cls, names: Names | None, op: Op, keys: list[Column], body: str, *,
        more: Sequence[tuple[Column, str]] = (), by_arrival: bool = False, rule: str,
    ) -> Parted:  # fmt: skip
        """Over one operation: its columns, under new names if there are `names`, and more."""
        kept = [names.like(c) for c in op.columns] if names is not None else list(op.columns)
        ends = [
            i
            for i, k in enumerate(keys)
            if k.window == k.name and op.is_settled and names is not None
        ]
        if names is not None:
            move_ends(kept, {c.name: new.name for c, new in zip(op.columns, kept, strict=True)})
            for new, old in zip(kept, op.columns, strict=True):
                new.is_time = bool(ends) and old is keys[ends[0]]
        return cls(
            [*kept, *(c for c, _ in more)], True, bool(ends), 0 if ends else op.lateness_us, has_order=False, is_settled=bool(ends),
            end=ends[0] if ends else None, inputs=[op], keys=[keys], key_sql=[k.name for k in keys],
            items=[*((k, c.name) for k, c in zip(kept, op.columns, strict=True)), *more],
            body=body, by_arrival=by_arrival, rule=rule,
        )  # fmt: skip


def move_ends(columns: Iterable[Column], names: Mapping[str, str]) -> None:
    """A window's start and end know their end under its new name, if it came along."""
    for c in columns:
        c.window = c.window if c.window == SEVERAL else names.get(c.window, "")


def inputs_of(op: Op) -> list[Op]:
    match op:
        case (
            Map()
            | Group()
            | Called()
            | Remembered()
            | Sessioned()
            | ByClock()
            | Numbered()
            | Filled()
        ):
            return [op.input]
        case Product():
            return [leg.op for leg in op.legs]
        case Stack():
            return op.parts
        case Parted():
            return op.inputs
    return []


def with_inputs(op: Op, change: Callable[[Op], Op]) -> Op:
    """A copy over changed inputs; the operation itself if it has none."""
    match op:
        case (
            Map()
            | Group()
            | Called()
            | Remembered()
            | Sessioned()
            | ByClock()
            | Numbered()
            | Filled()
        ):
            return replace(op, input=change(op.input))
        case Product():
            return replace(op, legs=[replace(leg, op=change(leg.op)) for leg in op.legs])
        case Stack():
            return replace(op, parts=[change(p) for p in op.parts])
        case Parted():
            return replace(op, inputs=[change(i) for i in op.inputs])
    return op


def comes_whole(op: Op, columns: Iterable[Column]) -> bool:
    """All rows with the same values of these columns come in one epoch: they say which full window of rows it is."""
    names = {c.name for c in columns}
    while isinstance(op, Map):
        made = {c.name: e for c, e in op.items}
        plain = {n: e.name for n, e in made.items() if isinstance(e, exp.Column)}
        names = {plain.get(n, n) for n in names if n in plain or n not in made}
        op = op.input
    if not isinstance(op, Filled):
        return False
    return all(k.name in names for k in op.keys) and any(b.name in names for b in op.bounds)


def extended(op: Op, items: Sequence[tuple[Column, exp.Expr]]) -> Op:
    """The operation with more columns."""
    return Map.over(op, items, keeps=True) if items else op


def walk(op: Op) -> Iterator[Op]:
    """The operation and all below it, each once."""
    seen: set[int] = set()
    todo = [op]
    while todo:
        at = todo.pop()
        if id(at) not in seen:
            seen.add(id(at))
            yield at
            todo += inputs_of(at)


def used(expressions: Iterable[exp.Expr]) -> set[str]:
    """Names of the columns in expressions."""
    return {c.name for e in expressions for c in e.find_all(exp.Column)}


def names_read(op: Op) -> set[str]:
    """Names of the columns that a linear operation reads of its input."""
    if isinstance(op, Called):
        return {c.name for call in op.calls for c in call.reads}
    if not isinstance(op, Map):
        return set()
    checked = {op.checked.name} if op.checked is not None else set()
    return used([*(e for _, e in op.items), *op.where, *op.joins]) | checked


def renamed(node: exp.Expr, names: Mapping[str, Column]) -> exp.Expr:
    """The expression over the names that columns have now."""

    def change(n: exp.Expr) -> exp.Expr:
        return names[n.name].ref if isinstance(n, exp.Column) and n.name in names else n

    return node.copy().transform(change)


def conjuncts(condition: exp.Expr | None) -> list[exp.Expr]:
    """`a AND (b AND c)` -> [a, b, c]."""
    if condition is None:
        return []
    if isinstance(condition, exp.Paren):
        inner = conjuncts(condition.this)
        return inner if len(inner) > 1 else [condition.this]
    if isinstance(condition, exp.And):
        return [*conjuncts(condition.left), *conjuncts(condition.right)]
    return _factored(condition) if isinstance(condition, exp.Or) else [condition]


def _factored(either: exp.Or) -> list[exp.Expr]:
    """`(x = y AND a) OR (x = y AND b)` -> [x = y, a OR b]: a comma join may say in each branch what joins it."""
    branches = [conjuncts(b) for b in either.flatten()]
    equal = [{p.sql("duckdb") for p in b if _equates_columns(p)} for b in branches]
    common = set.intersection(*equal)
    shared = {t: p for p in branches[0] if (t := p.sql("duckdb")) in common}
    if not shared:
        return [either]
    rests = [[p for p in b if p.sql("duckdb") not in common] for b in branches]
    if not all(rests):
        return list(shared.values())
    return [*shared.values(), exp.or_(*(exp.and_(*r, copy=True) for r in rests), copy=False)]


def _equates_columns(e: exp.Expr) -> bool:
    return (
        isinstance(e, exp.EQ)
        and isinstance(e.this, exp.Column)
        and isinstance(e.expression, exp.Column)
    )


def conjunction(parts: Sequence[exp.Expr]) -> exp.Expr | None:
    return exp.and_(*parts, copy=True) if parts else None
