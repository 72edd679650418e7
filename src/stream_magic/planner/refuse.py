"""What has no incremental rule yet, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sqlglot import exp

from stream_magic.errors import PlanError, Span
from stream_magic.language.binder import lost_in_arrow
from stream_magic.language.spans import span_of
from stream_magic.planner.aggregates import Names
from stream_magic.planner.text import from_items

# clause of a SELECT -> (code, what, what to write)
_CLAUSES = {
    "distinct": ("SM3001", "SELECT DISTINCT", "GROUP BY the same columns gives the same rows"),
    "qualify": (
        "SM3002",
        "QUALIFY",
        "keep all rows here, and filter in app.sql(...) or `%%cq --once`",
    ),
    "order": (
        "SM3003",
        "ORDER BY",
        "leave it out: a view sorts its rows, app.sql(...) takes ORDER BY",
    ),
    "limit": (
        "SM3004",
        "LIMIT",
        "leave it out: a view shows the newest rows, app.sql(...) takes LIMIT",
    ),
    "offset": ("SM3004", "OFFSET", "leave it out: app.sql(...) takes OFFSET"),
    "windows": ("SM3005", "WINDOW", "aggregate over TUMBLE(s, ts, INTERVAL 10 SECONDS)"),
    "sample": ("SM3006", "SAMPLE", "filter by a hash: WHERE hash(id) % 100 < 10"),
    "pivots": ("SM3007", "PIVOT", "aggregate with FILTER: sum(x) FILTER (WHERE category = 'Toys')"),
    "connect": ("SM3008", "CONNECT BY", "there is no streaming form"),
    "match": ("SM3009", "MATCH_RECOGNIZE", "it comes with a later version"),
}


_LIMIT_HINT = "leave it out: a view shows the newest rows, app.sql(...) takes LIMIT"
# What a SELECT, and what a name in FROM, may have; each clause beyond is refused by name.
_SELECT_ARGS = frozenset({"expressions", "from_", "joins", "where", "group", "having", "with_"})
_ITEM_ARGS = frozenset({"this", "alias", "db", "catalog"})


def refuse_clauses(select: exp.Select, text: str) -> Iterator[PlanError]:
    """Every clause of this SELECT that cannot be kept up to date yet."""
    for clause, node in select.args.items():
        if not node or clause in _SELECT_ARGS:
            continue
        code, what, hint = _CLAUSES.get(clause, ("SM3012", clause.upper(), ""))
        place = node[0] if isinstance(node, list) else node
        yield _unsupported(code, what, hint, place if isinstance(place, exp.Expr) else select, text)
    yield from _refuse_grouping(select, text)
    yield from _refuse_items(select, text)
    if not select.args.get("windows") and not select.args.get("qualify"):
        for window in _own(select, exp.Window):
            hint = "aggregate over TUMBLE(s, ts, INTERVAL 10 SECONDS), or use app.sql(...) for a snapshot"
            yield _unsupported("SM3005", "OVER", hint, window, text)
            break
    for star in _own(select, exp.Columns, exp.Star):
        if isinstance(star, exp.Columns) or not _is_plain_star(star):
            hint = "name the columns, or write * EXCLUDE (...)"
            renames = bool(star.args.get("rename"))
            what = (
                "* RENAME"
                if renames
                else "COLUMNS(...)"
                if isinstance(star, exp.Columns)
                else "this *"
            )
            yield _unsupported("SM3011", what, hint, star, text)
            break


def _refuse_grouping(select: exp.Select, text: str) -> Iterator[PlanError]:
    group = select.args.get("group")
    if group is None:
        return
    for grouping in group.find_all(exp.GroupingSets, exp.Rollup, exp.Cube):
        yield PlanError(
            "SM3010",
            "GROUPING SETS, ROLLUP and CUBE are not supported yet",
            hint="write one query for each grouping",
            span=span_of(grouping, text),
        )
        return


def _refuse_items(select: exp.Select, text: str) -> Iterator[PlanError]:
    """Clauses that hang on a name in FROM, and functions that read something else than a stream."""
    if select.args.get("from_") is None:
        return
    for item in from_items(select):
        if isinstance(item, exp.Table) and item.args.get("joins"):
            hint = "leave the brackets out"
            yield _unsupported("SM3012", "a join in brackets", hint, item, text)
            continue
        for clause, node in item.args.items():
            if node and isinstance(item, exp.Table | exp.Subquery) and clause in _CLAUSES:
                code, what, hint = _CLAUSES[clause]
                yield _unsupported(code, what, hint, item, text)
            elif node and isinstance(item, exp.Table) and clause not in _ITEM_ARGS:
                yield _unsupported("SM3012", clause.upper(), "leave it out", item, text)


def _own(select: exp.Select, *kinds: type[exp.Expr]) -> Iterator[exp.Expr]:
    """Nodes of this SELECT, not of those inside it."""
    for node in select.find_all(*kinds):
        if node.find_ancestor(exp.Select) is select:
            yield node


def _is_plain_star(star: exp.Expr) -> bool:
    """`*`, `s.*` or count(*)."""
    if star.args.get("rename"):
        return False
    above = star.parent
    if isinstance(above, exp.Column):
        above = above.parent
    return isinstance(above, exp.Select | exp.Count)


def _unsupported(code: str, what: str, hint: str, place: exp.Expr, text: str) -> PlanError:
    message = f"{what} is not supported in a continuous query yet"
    return PlanError(code, message, hint=hint or None, span=span_of(place, text))


def not_a_select(node: exp.Expr, span: Span) -> PlanError:
    """UNION, VALUES, a join in brackets: anything but a SELECT."""
    words = {"Table": "a join in brackets"}
    what = words.get(type(node).__name__, type(node).__name__.upper())
    hint = "leave the brackets out" if what in words.values() else ""
    if isinstance(node, exp.Pivot):
        hint = _CLAUSES["pivots"][2]
    return PlanError(
        "SM3007" if isinstance(node, exp.Pivot) else "SM3012",
        f"{what} is not supported in a continuous query yet",
        hint=hint or "write one CREATE STREAM for each SELECT",
        span=span,
    )


def refuse_whole_rows(select: exp.Select, names: Names, text: str) -> None:
    """`SELECT o FROM orders o` would be a STRUCT with the engine's columns in it.

    Raises:
        PlanError: SM3051.
    """
    known = {*names.columns, *_item_aliases(select)}
    for column in select.find_all(exp.Column):
        if column.name.lower() == "rowid" and "rowid" not in known:
            raise PlanError(
                "SM3053", "rows of a stream have no rowid", hint="use a key of the rows themselves",
                span=span_of(column, text),
            )  # fmt: skip
        is_bare = len(column.parts) == 1 and not column.is_star
        if is_bare and column.name.lower() == names.stream and names.stream not in known:
            raise PlanError(
                "SM3051",
                f"{column.name} is a whole row here",
                hint=f"write {column.name}.* for its columns, or name them: {{'id': {column.name}.id, ...}}",
                span=span_of(column, text),
            )


def refuse_collations(ast: exp.Expr, text: str) -> None:
    """A collation is lost between epochs: groups would be those of the plain text.

    Raises:
        PlanError: SM3054.
    """
    collation = ast.find(exp.Collate)
    is_grouped = any(s.args.get("group") or s.find(exp.AggFunc) for s in ast.find_all(exp.Select))
    if collation is not None and is_grouped:
        raise PlanError(
            "SM3054", "COLLATE beside GROUP BY or an aggregate is not supported yet",
            hint="group by lower(name), or strip_accents(name)", span=span_of(collation, text),
        )  # fmt: skip


def refuse_types(names: Sequence[str], types: Sequence[str], span: Span) -> None:
    """Columns of a type whose values would change on their way.

    Raises:
        PlanError: SM3052.
    """
    for name, kind in zip(names, types, strict=True):
        if lost_in_arrow(kind):
            raise PlanError(
                "SM3052", f"the column {name} is {kind}, which does not travel through a stream",
                hint=f"cast it: CAST({name} AS VARCHAR)", span=span,
            )  # fmt: skip


def _item_aliases(select: exp.Select) -> set[str]:
    return {e.alias.lower() for e in select.expressions if isinstance(e, exp.Alias)}


def check_joins(joins: list[exp.Join], at: int, text: str, *, is_changelog: bool) -> None:
    """A cache may only be looked up: never on the preserved side.

    Args:
        joins: of one SELECT.
        at: number of the stream among the items of FROM, 0 for the first.
        text: the cell.
        is_changelog: the stream's rows have weights.

    Raises:
        PlanError: SM3017, SM3018, SM3019.
    """
    for number, join in enumerate(joins, start=1):
        side, kind = str(join.side).upper(), str(join.kind).upper()
        is_stream_right = number == at
        place = span_of(join, text)
        if str(join.method).upper() == "POSITIONAL" or kind == "POSITIONAL":
            raise PlanError(
                "SM3018", "POSITIONAL JOIN has no incremental rule", hint="join by key", span=place
            )
        if isinstance(join.this, exp.Unnest | exp.Lateral) or number < at:
            continue
        keeps_cache = side in ("FULL", "LEFT" if is_stream_right else "RIGHT")
        if keeps_cache or (is_stream_right and kind in ("SEMI", "ANTI")):
            raise PlanError(
                "SM3017", "a cache cannot be on the preserved side of an outer join: its rows are no events",
                hint="write stream LEFT JOIN cache", span=place,
            )  # fmt: skip
        if is_changelog and isinstance(join.this, exp.Table):
            raise PlanError(
                "SM3019", "looking up a cache from a changelog is not supported yet",
                hint="join the cache before the GROUP BY, where rows are only added", span=place,
            )  # fmt: skip
