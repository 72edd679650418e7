"""PIVOT and UNPIVOT are written out: aggregates with FILTER, and a row for each of a row's columns.

PIVOT s ON j IN (1, 2) USING sum(v) GROUP BY k   SELECT k, sum(v) FILTER (WHERE j = 1), sum(v) FILTER (WHERE j = 2) FROM s GROUP BY k
UNPIVOT s ON x, y INTO NAME n VALUE v            SELECT k, u.n, u.v FROM s, LATERAL (VALUES ('x', x), ('y', y)) AS u(n, v) WHERE u.v IS NOT NULL
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from sqlglot import exp

from stream_magic.language.binder import EmptyTable, typed_columns
from stream_magic.planner.context import Context
from stream_magic.planner.text import unaliased

SOURCE = "_sm_source"  # what the SELECT reads
_UNPIVOTED = "_sm_unpivoted"


def pivot_of(node: exp.Expr) -> tuple[exp.Pivot, exp.Expr] | None:
    """The PIVOT of an item in FROM, and what it reads; None if it has none."""
    if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Pivot):
        return node.this, node.this.this
    pivots = node.args.get("pivots") if isinstance(node, exp.Table | exp.Subquery) else None
    if not pivots:
        return None
    source = node.copy()
    source.meta.update(node.meta)
    source.set("pivots", pivots[:-1])
    return pivots[-1], source


def written_out(
    ctx: Context, pivot: exp.Pivot, names: Sequence[str], kinds: Sequence[str]
) -> exp.Select:
    """The same as a SELECT over the source, which it calls `_sm_source`.

    Args:
        ctx: of the query.
        pivot: PIVOT or UNPIVOT.
        names: of the source's columns.
        kinds: their types.
    """
    bare = pivot.copy()
    bare.set("alias", None)
    if bare.args.get("using") is None and bare.this is None:
        text = exp.select("*").from_(SOURCE)
        text.args["from_"].this.set("pivots", [bare])
    else:
        bare.set("this", exp.to_table(SOURCE))
        text = exp.select("*")
        text.set("from_", exp.From(this=exp.Subquery(this=bare)))
    labels = ctx.bind(text, [EmptyTable(SOURCE, typed_columns(names, kinds))]).names
    if pivot.args.get("unpivot"):
        return _unpivoted(ctx, pivot, names, labels)
    return _pivoted(ctx, pivot, names, labels)


def _pivoted(
    ctx: Context, pivot: exp.Pivot, names: Sequence[str], labels: Sequence[str]
) -> exp.Select:
    fields = list(pivot.args.get("fields") or pivot.expressions)
    if any(not isinstance(f, exp.In) or not f.expressions for f in fields):
        raise ctx.refuse(
            "SM3007", "PIVOT over values that are not declared has no incremental rule: a new value would be a new column",
            "declare them: PIVOT ... ON category IN ('Toys', 'Books')", pivot,
        )  # fmt: skip
    given = pivot.args.get("using") or (pivot.expressions if pivot.args.get("fields") else [])
    calls = [unaliased(c) for c in given] or [exp.Count(this=exp.Star())]
    group = pivot.args.get("group")
    read = {
        c.name.lower() for e in [*(f.this for f in fields), *calls] for c in e.find_all(exp.Column)
    }
    keys = (
        list(group.expressions)
        if group is not None
        else [_column(n) for n in names if n.lower() not in read]
    )
    values = [[(f.this, _value(v)) for v in f.expressions] for f in fields]
    items: list[exp.Expr] = [k.copy() for k in keys]
    for chosen in itertools.product(*values):
        test = exp.and_(*(exp.EQ(this=f.copy(), expression=v.copy()) for f, v in chosen))
        items += [exp.Filter(this=c.copy(), expression=exp.Where(this=test.copy())) for c in calls]
    select = _named(items, labels)
    return select.group_by(*keys, copy=False) if keys else select


def _unpivoted(
    ctx: Context, pivot: exp.Pivot, names: Sequence[str], labels: Sequence[str]
) -> exp.Select:
    fields = pivot.args.get("fields")
    given = [_shown(c) for c in (fields[0].expressions if fields else pivot.expressions)]
    if any(not isinstance(c, exp.Column) or c.is_star for c, _ in given):
        raise ctx.refuse(
            "SM3007", "UNPIVOT takes the names of columns in a continuous query", "name them: UNPIVOT s ON x, y INTO NAME n VALUE v", pivot,
        )  # fmt: skip
    gone = {c.name.lower() for c, _ in given}
    kept = [n for n in names if n.lower() not in gone]
    rows = [exp.Tuple(expressions=[exp.Literal.string(n), c.copy()]) for c, n in given]
    alias = exp.TableAlias(
        this=exp.to_identifier(_UNPIVOTED), columns=[exp.to_identifier("n"), exp.to_identifier("v")]
    )
    values = exp.Lateral(this=exp.Subquery(this=exp.Values(expressions=rows)), alias=alias)
    value = exp.column("v", table=_UNPIVOTED)
    select = _named([*(_column(n) for n in kept), exp.column("n", table=_UNPIVOTED), value], labels)
    select.append("joins", exp.Join(this=values))
    if pivot.args.get("include_nulls"):
        return select
    return select.where(exp.Not(this=exp.Is(this=value.copy(), expression=exp.null())), copy=False)


def _shown(e: exp.Expr) -> tuple[exp.Expr, str]:
    """What an UNPIVOT names, and how its name is shown."""
    inner = e.this if isinstance(e, exp.PivotAlias | exp.Alias) else e
    return inner, e.alias or inner.name


def _value(e: exp.Expr) -> exp.Expr:
    return e.this if isinstance(e, exp.PivotAlias | exp.Alias) else e


def _column(name: str) -> exp.Column:
    return exp.column(exp.to_identifier(name, quoted=True))


def _named(items: Sequence[exp.Expr], labels: Sequence[str]) -> exp.Select:
    pairs = zip(items, labels, strict=True)
    select = exp.select(*(exp.alias_(e, exp.to_identifier(n, quoted=True)) for e, n in pairs))
    return select.from_(SOURCE)
