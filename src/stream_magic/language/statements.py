"""What a cell can say: one frozen dataclass for each statement.

Places in the cell (`span`) are for messages only: two statements are equal when they say the same,
wherever they stand and however they are laid out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from sqlglot import exp

from stream_magic.errors import Span

Emit = Literal["changes", "close"]
NodeKind = Literal["source", "stream", "table", "cache", "target"]
ShowWhat = Literal[
    "all",
    "sources",
    "streams",
    "tables",
    "caches",
    "targets",
    "secrets",
    "connectors",
    "formats",
    "functions",
    "errors",
    "settings",
]


@dataclass(frozen=True)
class Name:
    """A name as written, without its quotes. `errors.orders` and `sys.nodes` keep their dot."""

    text: str
    span: Span = field(compare=False, repr=False)

    @property
    def key(self) -> str:
        """What names are compared by: DuckDB ignores letter case, also of quoted names."""
        return self.text.lower()


@dataclass(frozen=True)
class OptionLiteral:
    """`name = value` in a WITH list.

    A secret's value is the secret's name. `${ENV}` stays in the text: the app resolves it.
    """

    name: Name
    kind: Literal["string", "number", "boolean", "secret"]
    value: str | int | float | bool
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class ColumnDef:
    """A declared column; `type_text` is DuckDB's type in canonical spelling."""

    name: Name
    type_text: str
    type_span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class Watermark:
    """`WATERMARK FOR column AS column - delay`; `delay_text` is '' or 'INTERVAL ...'."""

    column: Name
    delay_text: str
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True)
class FormatClause:
    """`FORMAT name (options)`."""

    name: Name
    options: tuple[OptionLiteral, ...] = ()


@dataclass(frozen=True)
class Query:
    """A SELECT; `span` covers it without the EMIT clause."""

    span: Span = field(compare=False, repr=False)
    ast: exp.Query
    emit: Emit | None = None
    emit_span: Span | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a cell. `span.text` is the whole cell, the semicolon is outside."""

    word: ClassVar[str] = ""
    span: Span = field(compare=False, repr=False)


@dataclass(frozen=True, kw_only=True)
class Create(Statement):
    """What all CREATE statements have."""

    name: Name
    or_replace: bool = False
    if_not_exists: bool = False


@dataclass(frozen=True, kw_only=True)
class CreateSource(Create):
    word: ClassVar[str] = "CREATE SOURCE"
    columns: tuple[ColumnDef, ...] = ()
    watermark: Watermark | None = None
    primary_key: tuple[Name, ...] = ()
    options: tuple[OptionLiteral, ...] = ()
    format: FormatClause | None = None


@dataclass(frozen=True, kw_only=True)
class CreateStream(Create):
    word: ClassVar[str] = "CREATE STREAM"
    query: Query
    options: tuple[OptionLiteral, ...] = ()
    is_persistent: bool = False


@dataclass(frozen=True, kw_only=True)
class CreateTable(Create):
    word: ClassVar[str] = "CREATE TABLE"
    query: Query
    options: tuple[OptionLiteral, ...] = ()


@dataclass(frozen=True, kw_only=True)
class CreateCache(Create):
    word: ClassVar[str] = "CREATE CACHE"
    key: tuple[Name, ...]
    options: tuple[OptionLiteral, ...] = ()
    format: FormatClause | None = None


@dataclass(frozen=True, kw_only=True)
class CreateTarget(Create):
    word: ClassVar[str] = "CREATE TARGET"
    source: Name
    options: tuple[OptionLiteral, ...] = ()
    format: FormatClause | None = None


@dataclass(frozen=True, kw_only=True)
class CreateSecret(Create):
    word: ClassVar[str] = "CREATE SECRET"
    options: tuple[OptionLiteral, ...] = ()


@dataclass(frozen=True, kw_only=True)
class SetOption(Statement):
    """`SET name = value`; `value.name` is the same name."""

    word: ClassVar[str] = "SET"
    name: Name
    value: OptionLiteral


@dataclass(frozen=True, kw_only=True)
class Drop(Statement):
    """`DROP [kind] [IF EXISTS] name`; without a kind the name alone decides."""

    word: ClassVar[str] = "DROP"
    kind: NodeKind | Literal["secret"] | None = None
    name: Name
    if_exists: bool = False


@dataclass(frozen=True, kw_only=True)
class Show(Statement):
    word: ClassVar[str] = "SHOW"
    what: ShowWhat = "all"


@dataclass(frozen=True, kw_only=True)
class Describe(Statement):
    word: ClassVar[str] = "DESCRIBE"
    what: Literal["node", "connector", "format"] = "node"
    name: Name


@dataclass(frozen=True, kw_only=True)
class Explain(Statement):
    """`EXPLAIN [ANALYZE] name` or `EXPLAIN [ANALYZE] SELECT ...`: one of the two is set."""

    word: ClassVar[str] = "EXPLAIN"
    query: Query | None = None
    name: Name | None = None
    is_analyze: bool = False


@dataclass(frozen=True, kw_only=True)
class Select(Statement):
    """A SELECT that stands by itself."""

    word: ClassVar[str] = "SELECT"
    query: Query
