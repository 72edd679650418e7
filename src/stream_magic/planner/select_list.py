"""The SELECT list: stars and COLUMNS(...) spelled out, under the names that DuckDB gives; positions in it."""

from __future__ import annotations

from dataclasses import replace

import duckdb
from sqlglot import exp

from stream_magic.language.binder import explained
from stream_magic.planner.columns import Column
from stream_magic.planner.context import Context
from stream_magic.planner.scope import Scope, resolve_all
from stream_magic.planner.text import unaliased

Items = list[tuple[str, exp.Expr]]
_ALL = 1_000


def position(e: exp.Expr) -> int | None:
    """What place `ORDER BY 2` means, from 0; None if the expression is no number."""
    return int(e.this) - 1 if isinstance(e, exp.Literal) and not e.is_string else None


class SelectList:
    """Spells out the list of one SELECT."""

    def __init__(self, ctx: Context, scope: Scope) -> None:
        self._ctx = ctx
        self._scope = scope

    def items(self, select: exp.Select) -> Items:
        """Names and expressions, none of them a star."""
        return [pair for item in select.expressions for pair in self._expanded(item)]

    def _expanded(self, item: exp.Expr) -> Items:
        star = _star_of(item)
        if star is not None and not star.args.get("ilike"):
            return self._star(item, star)
        matched = _matched(item)
        if matched is not None:
            return self._matching(item, matched)
        meant = _meant(item)
        if isinstance(meant, exp.Columns) and meant.args.get("unpack"):
            return self._unpacked(item)
        if meant is not None:
            return self._columns_expression(item, meant)
        if isinstance(item, exp.Explode):
            return self._unnested(item)
        return [(self._label(item), unaliased(item))]

    def _label(self, item: exp.Expr) -> str:
        if isinstance(item, exp.Alias):
            return str(item.alias)
        if isinstance(item, exp.Column):
            return str(item.parts[-1].name)
        if isinstance(item, exp.Dot):
            return str(item.expression.name)
        return self._auto_label(item)

    def _auto_label(self, item: exp.Expr) -> str:
        """What DuckDB calls an expression without a name."""
        try:
            columns = [replace(c, name=c.label) for c in self._scope.columns()]
            seen: dict[str, Column] = {c.name.lower(): c for c in columns}
            select = exp.select(item.copy()).from_("_sm_row")
            return self._ctx.binder.columns(
                select.sql("duckdb"), [self._ctx.row(list(seen.values()))]
            ).names[0]
        except duckdb.Error:
            return item.sql("duckdb").lower()

    def _star(self, item: exp.Expr, star: exp.Star) -> Items:
        table = item.table if isinstance(item, exp.Column) else ""
        if table:
            of_item = self._scope.of_item(table)
            shown = of_item if of_item is not None else self._fields(item)
        else:
            shown = self._scope.shown()
        left = {e.name.lower() for e in star.args.get("except_") or []}
        changed = {e.alias.lower(): e.this for e in star.args.get("replace") or []}
        renamed = {e.this.name.lower(): e.alias for e in star.args.get("rename") or []}
        return [
            (renamed.get(n.lower(), n), changed.get(n.lower(), e))
            for n, e in shown
            if n.lower() not in left
        ]

    def _matching(self, item: exp.Expr, star: exp.Expr) -> Items:
        """`* LIKE 'x%'`: the columns of the star with such names."""
        bare = _star_of(star)
        given = self._star(star, bare) if bare is not None else []
        copied = item.copy()
        place = _matched(copied)
        if place is copied and bare is not None:  # the parser hangs ILIKE on the star itself
            copied = exp.ILike(this=exp.Star(), expression=bare.args["ilike"].copy())
        elif place is not None:
            place.replace(exp.Star())
        names = set(self._names(copied, item))
        return [(n, e) for n, e in given if n in names]

    def _fields(self, item: exp.Expr) -> Items:
        """`after.*` of a STRUCT."""
        parts = list(item.parts) if isinstance(item, exp.Column) else []
        row = self._scope.resolve(parts[:-1]) if parts else None
        if row is None:
            raise self._ctx.refuse(
                "SM3011", "this * stands for nothing here", "name the columns", item
            )
        kind = self._ctx.types([row], self._scope.columns())[0]
        bound = self._ctx.binder.columns(f"SELECT unnest(CAST(NULL AS {kind})) LIMIT 0")
        return [
            (n, exp.Dot.build([row.copy(), exp.to_identifier(n, quoted=True)])) for n in bound.names
        ]

    def _unnested(self, item: exp.Explode) -> Items:
        """`unnest(x)`: a column, or the fields of a STRUCT; below it as deep as is asked."""
        depth = _depth(item)
        found = resolve_all(item.this, self._scope, lambda c: c)
        kind = self._type(found)
        if depth == 1 and (kind.endswith("]") or not kind.startswith("STRUCT(")):
            return [(self._label(item), item)]
        value, levels = item.this, 0
        while kind.endswith("]") and levels < depth:
            value = value if levels == 0 else exp.func("flatten", value)
            kind, levels = kind[: kind.rindex("[")], levels + 1
        if levels:
            value = exp.paren(exp.Explode(this=value.copy()))
        fields = self._below(value, kind, depth - levels)
        return fields or [(self._label(item), value)]

    def _below(self, value: exp.Expr, kind: str, depth: int) -> Items:
        """The fields of a STRUCT and of those in it; none of what is no STRUCT."""
        if depth < 1 or kind.endswith("]") or not kind.startswith("STRUCT("):
            return []
        bound = self._ctx.binder.columns(f"SELECT unnest(CAST(NULL AS {kind})) LIMIT 0")
        found: Items = []
        for name, below in zip(bound.names, bound.types, strict=True):
            field = exp.Dot.build([value.copy(), exp.to_identifier(name, quoted=True)])
            found += self._below(field, below, depth - 1) or [(name, field)]
        return found

    def _columns_expression(self, item: exp.Expr, meant: exp.Expr) -> Items:
        """`min(COLUMNS('x.*'))`: once for each column that is meant."""
        columns = meant if isinstance(meant, exp.Columns) else exp.Columns(this=meant.copy())
        names, labels = self._names(columns, item), self._names(item, item)
        if len(labels) != len(names):
            raise self._ctx.refuse(
                "SM3011", "two COLUMNS(...) in one expression", "name the columns", item
            )
        found = []
        for name, label in zip(names, labels, strict=True):
            copied = unaliased(item).copy()
            place = _meant(copied)
            column = exp.column(exp.to_identifier(name, quoted=True))
            if place is copied:
                copied = column
            elif place is not None:
                place.replace(column)
            found.append((label, copied))
        return found

    def _unpacked(self, item: exp.Expr) -> Items:
        """`coalesce(*COLUMNS('x.*'))`: the columns in one call."""
        label = self._names(item, item)[0]
        copied = unaliased(item).copy()
        while isinstance(meant := _meant(copied), exp.Columns) and meant.args.get("unpack"):
            call, names = meant.parent, self._names(exp.Columns(this=meant.this.copy()), item)
            if meant.arg_key != "expressions" and not getattr(call, "is_var_len_args", False):
                raise self._ctx.refuse(
                    "SM3011", "*COLUMNS(...) in this call", "name the columns", item
                )
            _put_all(meant, [exp.column(exp.to_identifier(n, quoted=True)) for n in names])
        return [(label, copied)]

    def _names(self, item: exp.Expr, place: exp.Expr) -> tuple[str, ...]:
        """What DuckDB calls the columns that an item of the list stands for."""
        shown: dict[str, exp.Expr] = {}
        for n, known in self._scope.shown():
            shown.setdefault(n, known)
        row = self._ctx.row([Column(n, n, self._type(known)) for n, known in shown.items()])
        try:
            asked = exp.select(item.copy()).from_("_sm_row").sql("duckdb")
            return self._ctx.binder.columns(asked, [row]).names
        except duckdb.Error as e:
            raise self._ctx.refuse(
                "SM3011", f"COLUMNS(...): {explained(e)}", "name the columns", place
            ) from None

    def _type(self, e: exp.Expr) -> str:
        return self._ctx.types([e], self._scope.columns())[0]


def _star_of(item: exp.Expr) -> exp.Star | None:
    """Of `*` and `s.*`."""
    star = item.this if isinstance(item, exp.Column) and item.is_star else item
    return star if isinstance(star, exp.Star) else None


def _matched(item: exp.Expr) -> exp.Expr | None:
    """The star of `* LIKE 'x%'`, `* NOT SIMILAR TO 'x.*'` and their kin."""
    star = _star_of(item)
    if star is not None:
        return item if star.args.get("ilike") else None
    if isinstance(item, exp.Not | exp.Paren):
        return _matched(item.this)
    is_test = isinstance(item, exp.Like | exp.ILike | exp.SimilarTo | exp.Glob)
    return item.this if is_test and _star_of(item.this) is not None else None


def _depth(item: exp.Explode) -> int:
    """How deep `unnest(x, recursive := true)` goes."""
    for option in item.expressions:
        name, value = str(option.this.name).lower(), option.expression
        if name == "max_depth":
            return int(value.name)
        if name == "recursive" and isinstance(value, exp.Boolean) and value.this:
            return _ALL
    return 1


def _put_all(place: exp.Expr, values: list[exp.Expr]) -> None:
    """Several arguments of a call where one stood."""
    call = place.parent
    if call is None or not values:
        return
    first, rest = values[0], values[1:]
    if place.arg_key == "expressions":
        call.set("expressions", [v for e in call.expressions for v in (values if e is place else [e])])  # fmt: skip
    else:
        place.replace(first)
        call.set("expressions", [*rest, *call.expressions])


def _meant(item: exp.Expr) -> exp.Expr | None:
    """The COLUMNS(...) or the star within an expression; count(*) has none."""
    below = item.walk(prune=lambda n: isinstance(n, exp.Query))
    meant = (
        n
        for n in below
        if isinstance(n, exp.Columns)
        or (isinstance(n, exp.Star) and not isinstance(n.parent, exp.Count))
    )
    return next(meant, None)
