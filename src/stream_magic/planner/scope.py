"""What names mean in one SELECT: the items of its FROM clause, and those of the SELECT around it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from sqlglot import exp

from stream_magic.planner.columns import RESOLVED, Column, Names
from stream_magic.planner.logical import Map, Op, renamed

OUTER = "sm_outer"  # meta of a column that belongs to the SELECT around


class Correlated(Exception):  # not a failure: the query is planned in another way
    """A query asks for the row around it where that cannot become a condition of the join with it."""


class Scoping(Protocol):
    """Anything that knows what a name means."""

    def resolve(self, parts: Sequence[exp.Expr]) -> exp.Expr | None: ...


@dataclass
class Item:
    """One item of FROM: its alias (and schema, `errors.x`), and its columns."""

    alias: str
    columns: list[Column]
    schema_name: str = ""
    hidden: set[str] = field(default_factory=set)  # names that USING gave to an earlier item
    merged: dict[str, exp.Expr] = field(default_factory=dict)  # names that USING gave to this one

    def row(self) -> exp.Struct:
        """The whole row, as a STRUCT."""
        pairs = [(exp.to_identifier(c.label, quoted=True), c.ref) for c in self.columns]
        return exp.Struct(expressions=[exp.PropertyEQ(this=n, expression=v) for n, v in pairs])

    def find(self, label: str) -> Column | None:
        return next((c for c in self.columns if c.label.lower() == label.lower()), None)


@dataclass
class Scope:
    """Names of one SELECT.

    Attributes:
        items: in the order of FROM.
        merged: names that USING made one column of, lower case, and what they are.
        parent: what is around a subquery.
    """

    items: list[Item] = field(default_factory=list)
    merged: dict[str, exp.Expr] = field(default_factory=dict)
    parent: Scoping | None = None
    _sees_outer: bool = False

    def columns(self) -> list[Column]:
        return [c for i in self.items for c in i.columns]

    def shown(self) -> list[tuple[str, exp.Expr]]:
        """What `*` stands for: names and expressions."""
        found: list[tuple[str, exp.Expr]] = []
        for item in self.items:
            shown = [c for c in item.columns if c.label.lower() not in item.hidden]
            found += [(c.label, item.merged.get(c.label.lower(), c.ref).copy()) for c in shown]
        return found

    def add(self, right: Scope) -> None:
        """What is joined to the items so far."""
        self.items = [*self.items, *right.items]
        self.merged |= right.merged

    def hide(self, label: str) -> None:
        """USING shows this column on the left."""
        self.merged.pop(label.lower(), None)
        for item in self.items:
            if item.find(label):
                item.hidden.add(label.lower())

    def merge(self, label: str, value: exp.Expr) -> None:
        """What USING makes of a name, for the item that shows it."""
        self.merged[label.lower()] = value
        for item in self.items:
            if item.find(label) and label.lower() not in item.hidden:
                item.merged[label.lower()] = value

    def of_item(self, alias: str) -> list[tuple[str, exp.Expr]] | None:
        """What `alias.*` stands for."""
        for item in self.items:
            if item.alias.lower() == alias.lower():
                return [(c.label, c.ref) for c in item.columns]
        return None

    def resolve(self, parts: Sequence[exp.Expr]) -> exp.Expr | None:
        """`o.after.x` as an expression over column names; None if nothing here has that name."""
        names = [p.name for p in parts]
        for used, column in self._candidates(names):
            rest = [exp.to_identifier(p.name, quoted=True) for p in parts[used:]]
            head = column.copy()
            return exp.Dot.build([head, *rest]) if rest else head
        found = self.parent.resolve(parts) if self.parent is not None else None
        if found is None or isinstance(self.parent, Frame):
            return found
        if not self._sees_outer:
            raise Correlated
        for column in found.find_all(exp.Column):
            column.meta[OUTER] = True
        return found

    @contextmanager
    def seeing_outer(self) -> Iterator[None]:
        """Columns of the row around are given, and marked; without it they are `Correlated`."""
        self._sees_outer = True
        try:
            yield
        finally:
            self._sees_outer = False

    def _candidates(self, names: list[str]) -> list[tuple[int, exp.Expr]]:
        found: list[tuple[int, exp.Expr]] = []
        if len(names) > 2:
            for item in self.items:
                if item.schema_name and [item.schema_name.lower(), item.alias.lower()] == [n.lower() for n in names[:2]]:  # fmt: skip
                    found += [(3, c.ref) for c in [item.find(names[2])] if c]
        if len(names) > 1:
            for item in self.items:
                if item.alias.lower() == names[0].lower():
                    found += [(2, c.ref) for c in [item.find(names[1])] if c]
        key = names[0].lower()
        if key in self.merged:
            found.append((1, self.merged[key]))
        else:
            found += [(1, c.ref) for i in self.items for c in [i.find(key)] if c]
        return found or [(1, i.row()) for i in self.items if i.alias.lower() == key and i.columns]


@dataclass
class View:
    """The names of another scope, whose columns have become others.

    Attributes:
        scope: knows the names.
        columns: what its columns have become, by their names.
        asked: names of those that were looked for.
    """

    scope: Scoping
    columns: Mapping[str, Column]
    asked: set[str] = field(default_factory=set)

    def resolve(self, parts: Sequence[exp.Expr]) -> exp.Expr | None:
        found = self.scope.resolve(parts)
        if found is None:
            return None
        names = {c.name for c in found.find_all(exp.Column)}
        if not names <= self.columns.keys():
            return None
        self.asked |= names
        return renamed(found, self.columns)


@dataclass
class Frame(View):
    """The row around a correlated subquery, as an operation that the subquery joins to its own FROM.

    Attributes:
        op: gives `columns`, each different row once.
    """

    op: Op = field(kw_only=True)

    def anew(self, names: Names) -> Frame:
        """The same under names of its own, for one SELECT."""
        made = {n: names.like(c) for n, c in self.columns.items()}
        items = [(made[n], c.ref) for n, c in self.columns.items()]
        return Frame(self.scope, made, self.asked, op=Map.over(self.op, items))

    @property
    def links(self) -> list[tuple[Column, exp.Expr]]:
        """Its columns and those that they stand for."""
        return [(c, Column(n, n, c.type).ref) for n, c in self.columns.items()]


def resolve_all(
    node: exp.Expr, scope: Scope, unknown: Callable[[exp.Column], exp.Expr]
) -> exp.Expr:
    """A copy in which every column is one of the scope's; subqueries are left as they are."""

    def replace(n: exp.Expr) -> exp.Expr:
        for name, value in list(n.args.items()):
            if isinstance(value, exp.Expr):
                n.set(name, change(value))
            elif isinstance(value, list):
                n.set(name, [change(v) if isinstance(v, exp.Expr) else v for v in value])
        return n

    def change(n: exp.Expr) -> exp.Expr:
        if isinstance(n, exp.Query):
            return n
        if n.meta.get(RESOLVED):
            return n
        if isinstance(n, exp.Column) and not n.is_star:
            found = scope.resolve(list(n.parts))
            result = found if found is not None else unknown(n)
            result.meta.update({k: v for k, v in n.meta.items() if k not in result.meta})
            return result
        if isinstance(n, exp.Dot):
            return _dotted(n, scope, replace)
        if isinstance(n, exp.Comprehension):
            _set_apart(n)
        return replace(n)

    return change(node.copy())


def _set_apart(node: exp.Comprehension) -> None:
    """In `[x + y FOR x IN l]` x is an element, also where a column has that name: it becomes a name that is no column."""
    names = {
        i.name.lower() for k in ("expression", "position") for i in _identifiers(node.args.get(k))
    }

    def apart(n: exp.Expr) -> exp.Expr:
        if not isinstance(n, exp.Column) or n.is_star or n.parts[0].name.lower() not in names:
            return n
        parts = [exp.to_identifier(p.name, quoted=True) for p in n.parts]
        return exp.Dot.build(parts) if len(parts) > 1 else parts[0]

    for key in ("this", "condition"):
        if node.args.get(key) is not None:
            node.set(key, node.args[key].transform(apart))


def _identifiers(node: exp.Expr | None) -> Iterator[exp.Identifier]:
    return iter(()) if node is None else node.find_all(exp.Identifier)


def _dotted(node: exp.Dot, scope: Scope, otherwise: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """More than four parts are a Dot over a column; anything else is a field of an expression."""
    if isinstance(node.expression, exp.Func):
        value = _with_columns(node.this, scope)
        if value != node.this:
            node.set("this", exp.paren(value, copy=False))
        return otherwise(node)
    root: exp.Expr = node
    while isinstance(root, exp.Dot):
        root = root.this
    parts = list(node.parts)
    if isinstance(root, exp.Column) and all(isinstance(p, exp.Identifier) for p in parts):
        found = scope.resolve([p for p in parts if isinstance(p, exp.Identifier)])
        if found is not None:
            return found
    return otherwise(node)


def _with_columns(node: exp.Expr, scope: Scope) -> exp.Expr:
    """In `a.l.list_sort()` the parser makes plain names of the columns before the call; here they are columns again."""

    def restored(n: exp.Expr) -> exp.Expr:
        parts = list(n.parts) if isinstance(n, exp.Dot) else [n]
        names = [p for p in parts if isinstance(p, exp.Identifier)]
        if len(names) < len(parts) or not _is_value(n) or _is_bound(n, names[0].name.lower()):
            return n
        found = scope.resolve(names)
        return n if found is None else found

    return node.transform(restored)


def _is_value(n: exp.Expr) -> bool:
    """It stands for a value, not for the name of something."""
    if isinstance(n.parent, exp.Column | exp.Dot | exp.Alias | exp.TableAlias | exp.Table):
        return False
    is_key = isinstance(n.parent, exp.PropertyEQ | exp.Kwarg) and n.arg_key == "this"
    is_parameter = isinstance(n.parent, exp.Lambda) and n.arg_key == "expressions"
    return not is_key and not is_parameter


def _is_bound(n: exp.Expr, name: str) -> bool:
    """A lambda around it has a parameter of that name."""
    around = n.find_ancestor(exp.Lambda)
    while around is not None and all(i.name.lower() != name for i in around.expressions):
        around = around.find_ancestor(exp.Lambda)
    return around is not None
