"""Joins with a cache on exactly its KEY, taken out of the statement: an index does them beforehand.

The statement then reads what was found beside the rows, one for one (POSITIONAL JOIN): no hash table
is built over the cache, and rows stay in order. Any other join is left to DuckDB.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
from sqlglot import exp

from stream_magic.core.keys import key_family
from stream_magic.language.binder import INPUT
from stream_magic.language.catalog import Relation
from stream_magic.planner.parts import Lookup
from stream_magic.planner.text import aliased

FOUND = "_found"  # and the number of the lookup
_JOINS = {("", ""), ("", "INNER"), ("LEFT", ""), ("LEFT", "OUTER")}
# DuckDB types that Arrow carries as what they are. A JSON, UUID or ENUM is a text to Arrow.
_KEY_TYPES = frozenset(
    {
        "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER",
        "VARCHAR", "DATE", "TIMESTAMP", "TIMESTAMP_S", "TIMESTAMP_MS", "TIMESTAMP_NS",
        "TIMESTAMP WITH TIME ZONE",
    }
)  # fmt: skip


def find_lookups(
    select: exp.Select, schema: pa.Schema, looked_up: Sequence[Relation]
) -> tuple[str, tuple[Lookup, ...]]:
    """The text that reads what was found, and the lookups that find it; ('', ()) if a join is none."""
    select = select.copy()
    joining = _joining_level(select, schema) if looked_up else None
    if joining is None:
        return "", ()
    level, stream = joining
    caches = {c.id: c for c in looked_up}
    matches = [_match(join, stream, caches) for join in level.args["joins"]]
    lookups = []
    for number, match in enumerate(matches):
        columns = match.columns_read(select, level) if match else None
        if match is None or columns is None:
            return "", ()
        lookups.append(Lookup(match.cache.id, match.keys, columns, match.is_inner))
        _read_found(match.join, f"{FOUND}{number}", columns)
    return select.sql("duckdb"), tuple(lookups)


@dataclass(frozen=True)
class _Stream:
    """The stream's item in FROM: which of its names are the input's own columns.

    Attributes:
        alias: its name, lower case.
        schema: of the input.
        computed: names that stand for something else than the input's column.
    """

    alias: str
    schema: pa.Schema
    computed: frozenset[str]

    def has(self, name: str) -> bool:
        return name.lower() in self.computed or _named(name, self.schema) is not None

    def path(self, parts: list[str]) -> tuple[str, ...] | None:
        """Where a column, or a field in it, stands in the input; None if it does not."""
        if len(parts) > 1 and parts[0].lower() == self.alias:
            parts = parts[1:]
        if not parts or parts[0].lower() in self.computed:
            return None
        path: list[str] = []
        fields = self.schema
        for part in parts:
            name = _named(part, fields)
            if name is None:
                return None
            path.append(name)
            kind = fields.field(name).type
            fields = pa.schema(list(kind)) if pa.types.is_struct(kind) else pa.schema([])
        return tuple(path)

    def type_of(self, path: tuple[str, ...]) -> pa.DataType:
        kind = self.schema.field(path[0]).type
        for name in path[1:]:
            kind = kind.field(name).type
        return kind


@dataclass(frozen=True)
class _Match:
    """A join that an index can do; `merged` are the columns that USING shows once."""

    join: exp.Join
    cache: Relation
    keys: tuple[tuple[str, ...], ...]
    is_inner: bool
    merged: frozenset[str]

    def columns_read(self, select: exp.Select, level: exp.Select) -> tuple[str, ...] | None:
        """Columns of the cache that the text may read; None if that is one that USING has merged away."""
        condition = self.join.args.get("on")
        skipped = set(map(id, condition.find_all(exp.Column))) if condition else set()
        read = [_parts(c) for c in select.find_all(exp.Column) if id(c) not in skipped]
        alias = _alias(self.join)
        tables = {s.table.lower() for s in level.expressions if s.is_star and hasattr(s, "table")}
        is_whole = [alias] in read or alias in tables
        own = {parts[1] for parts in read if len(parts) > 1 and parts[0] == alias}
        if self.merged and (is_whole or own & self.merged):
            return None
        is_all = is_whole or any(isinstance(s, exp.Star) for s in level.expressions)
        names = {name for parts in read for name in parts}
        return tuple(
            str(n)
            for n in self.cache.schema.names
            if n.lower() not in self.merged and (is_all or n.lower() in names)
        )


def _joining_level(select: exp.Select, schema: pa.Schema) -> tuple[exp.Select, _Stream] | None:
    """The SELECT that joins the input as it came, row for row, with something else; the input stands first."""
    item: exp.Expr | None = next((t for t in select.find_all(exp.Table) if t.name == INPUT), None)
    computed: set[str] = set()
    while item is not None and isinstance(item.parent, exp.From):
        level = item.parent.parent
        if not isinstance(level, exp.Select):
            return None
        if level.args.get("joins"):
            return level, _Stream(item.alias_or_name.lower(), schema, frozenset(computed))
        names = _names_added(level)
        if names is None:
            return None
        computed |= names
        item = level.parent
    return None


def _names_added(level: exp.Select) -> set[str] | None:
    """What a SELECT adds to `*`, lower case; None if it does more than that."""
    star, *others = level.expressions
    is_plain = {k for k, v in level.args.items() if v} <= {"expressions", "from_"}
    if not is_plain or not isinstance(star, exp.Star):
        return None
    if star.args.get("except_") or star.args.get("rename"):
        return None
    added = [*(star.args.get("replace") or []), *others]
    if not all(isinstance(e, exp.Alias) for e in added):
        return None
    return {e.alias.lower() for e in added}


def _match(join: exp.Join, stream: _Stream, caches: dict[str, Relation]) -> _Match | None:
    """None if this join is no lookup by KEY."""
    side, kind = str(join.side).upper(), str(join.kind).upper()
    table = join.this
    if not isinstance(table, exp.Table) or table.db != "caches" or join.method:
        return None
    if (side, kind) not in _JOINS or table.args["alias"].args.get("columns"):
        return None
    cache = caches[table.name]
    pairs = _pairs(join, cache, stream)
    keys = {name: path for name, path in pairs if name is not None and path is not None}
    if not cache.key or len(pairs) != len(cache.key) or set(keys) != set(cache.key):
        return None
    merged = frozenset(c.name.lower() for c in join.args.get("using") or [])
    for name, path in keys.items():
        if not _are_equal_in_arrow(cache, name, stream.type_of(path), is_same=bool(merged)):
            return None
    return _Match(join, cache, tuple(keys[k] for k in cache.key), side != "LEFT", merged)


def _pairs(
    join: exp.Join, cache: Relation, stream: _Stream
) -> list[tuple[str | None, tuple[str, ...] | None]]:
    """A column of the cache and what it is equal to, for each part of the condition; None for anything else."""
    using = [c.name for c in join.args.get("using") or []]
    if using:
        return [(_named(n, cache.schema), stream.path([n])) for n in using]
    condition = join.args["on"].unnest() if join.args.get("on") else None
    parts = condition.flatten() if isinstance(condition, exp.And) else [condition]
    pairs = []
    for test in parts:
        sides = [_parts(test.left), _parts(test.right)] if isinstance(test, exp.EQ) else [[], []]
        if _cache_column(sides[0], _alias(join), cache, stream) is None:
            sides.reverse()
        name = _cache_column(sides[0], _alias(join), cache, stream)
        pairs.append((name, stream.path(sides[1])))
    return pairs


def _cache_column(parts: list[str], alias: str, cache: Relation, stream: _Stream) -> str | None:
    """The column of the cache that these names mean."""
    if len(parts) == 2 and parts[0] == alias:
        return _named(parts[1], cache.schema)
    is_bare = len(parts) == 1 and not stream.has(parts[0])
    return _named(parts[0], cache.schema) if is_bare else None


def _are_equal_in_arrow(cache: Relation, key: str, kind: pa.DataType, *, is_same: bool) -> bool:
    """Comparing such keys in Arrow gives what DuckDB gives; `is_same` asks for one and the same type."""
    at = cache.schema.names.index(key)
    wanted = cache.schema.field(at).type
    family = key_family(wanted)
    if cache.types[at] not in _KEY_TYPES or family is None or family != key_family(kind):
        return False
    return kind == wanted or not is_same


def _alias(join: exp.Join) -> str:
    return str(join.this.alias_or_name).lower()


def _parts(node: exp.Expr) -> list[str]:
    """`o.after.id` as its names, lower case; [] for anything that is no plain name."""
    if isinstance(node, exp.Dot):
        head = _parts(node.this)
        return (
            [*head, node.expression.name.lower()]
            if head and isinstance(node.expression, exp.Identifier)
            else []
        )
    if not isinstance(node, exp.Column) or node.is_star:
        return []
    return [p.name.lower() for p in node.parts]


def _named(name: str, schema: pa.Schema) -> str | None:
    """The column of that name, whatever its case."""
    return next((str(n) for n in schema.names if n.lower() == name.lower()), None)


def _read_found(join: exp.Join, table: str, columns: tuple[str, ...]) -> None:
    """The join becomes one by place; where nothing is read from it, none."""
    if not columns:
        join.pop()
        return
    join.this.replace(aliased(exp.to_table(table), join.this.alias_or_name))
    join.set("method", "POSITIONAL")
    for arg in ("side", "kind", "on", "using"):
        join.set(arg, None)
