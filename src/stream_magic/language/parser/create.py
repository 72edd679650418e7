"""CREATE: a name and clauses, each at most once and in any order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from stream_magic.core.change import is_hidden
from stream_magic.errors import LanguageError, PlanError
from stream_magic.language.parser.columns import ColumnList, column_list, name_list
from stream_magic.language.parser.cursor import Cursor, is_word, word_of
from stream_magic.language.parser.options import option_list
from stream_magic.language.parser.query import query, starts_query
from stream_magic.language.parser.words import ELSEWHERE, KINDS, LATER_KINDS, listed
from stream_magic.language.statements import (
    CreateCache,
    CreateSecret,
    CreateSource,
    CreateStream,
    CreateTable,
    CreateTarget,
    FormatClause,
    Name,
    OptionLiteral,
    Query,
    Statement,
)

_WITH = {
    "SOURCE": "connector = 'kafka', brokers = 'localhost:9092', topic = 'orders'",
    "TARGET": "connector = 'kafka', brokers = 'localhost:9092', topic = 'orders'",
    "CACHE": "connector = 'file', path = 'products.csv'",
    "SECRET": "value = '${SHOP_PASSWORD}'",
    "STREAM": "retention = '1 hour'",
    "TABLE": "retention = '1 hour'",
}
_RESERVED_NAMES = {
    "errors": "errors.NAME holds the rows that NAME could not handle",
    "sys": "sys.NAME are the engine's own streams",
}


def later(c: Cursor, what: str) -> PlanError:
    return PlanError(
        "SM3900",
        f"{what} is not supported yet",
        hint="leave this statement out; nothing else of the cell needs it",
        span=c.here(),
    )


@dataclass
class _Clauses:
    """What may follow the name in a CREATE, each at most once and in any order."""

    kind: str
    columns: ColumnList = field(default_factory=ColumnList)
    key: tuple[Name, ...] = ()
    source: Name | None = None
    options: tuple[OptionLiteral, ...] = ()
    format: FormatClause | None = None
    is_persistent: bool = False
    query: Query | None = None


def create(c: Cursor) -> Statement:
    or_replace = False
    if c.take("OR"):
        c.expect("REPLACE")
        or_replace = True
    kind = _kind(c)
    if_not_exists = False
    if c.at("IF") and word_of(c.peek(1)) in ("NOT", "EXISTS"):
        c.expect("IF", "NOT", "EXISTS")
        if_not_exists = True
    name = _new_name(c, kind)
    clauses = _clauses(c, kind, name)
    head: dict[str, Any] = {
        "name": name, "or_replace": or_replace, "if_not_exists": if_not_exists,
        "span": c.since(0),
    }  # fmt: skip
    if kind == "SOURCE":
        columns = clauses.columns
        return CreateSource(
            **head,
            columns=tuple(columns.columns),
            watermark=columns.watermark,
            primary_key=columns.primary_key,
            options=clauses.options,
            format=clauses.format,
        )
    if kind == "CACHE":
        return CreateCache(**head, key=clauses.key, options=clauses.options, format=clauses.format)
    if kind == "TARGET":
        source = cast("Name", clauses.source)
        return CreateTarget(**head, source=source, options=clauses.options, format=clauses.format)
    if kind == "SECRET":
        return CreateSecret(**head, options=clauses.options)
    select = cast("Query", clauses.query)
    if kind == "TABLE":
        return CreateTable(**head, query=select, options=clauses.options)
    return CreateStream(
        **head, query=select, options=clauses.options, is_persistent=clauses.is_persistent
    )


def _kind(c: Cursor) -> str:
    word = word_of(c.peek())
    if word in KINDS:
        c.next()
        return word
    if word in LATER_KINDS:
        raise later(c, f"CREATE {word}")
    what = f"{listed(KINDS)} after CREATE"
    if word in ELSEWHERE:
        raise c.failure(f"expected {what}, {c.found()}", hint=ELSEWHERE[word])
    if is_word(c.peek(1)) or not is_word(c.peek()):
        raise c.expected(what, among=KINDS)
    raise c.expected(what, among=KINDS, hint="say what it is: CREATE STREAM name AS SELECT ...")


def _new_name(c: Cursor, kind: str) -> Name:
    example = f"CREATE {kind} orders ..."
    what = f"the name of a {kind.lower()}"
    name = c.name(what, example=example)
    if c.at("."):
        c.index -= 1
        whole = c.path(what, example=example)
        schema = whole.key.split(".", maxsplit=1)[0]
        raise c.failure(
            f"{what} has no dot",
            code="SM1006",
            hint=_RESERVED_NAMES.get(schema) or f"write {whole.text.rsplit('.', maxsplit=1)[-1]}",
            span=whole.span,
        )
    if is_hidden(name.key) or name.key in _RESERVED_NAMES:
        why = _RESERVED_NAMES.get(name.key) or "names of the engine begin with _sm_ or _weight"
        raise c.failure(
            f"the name {name.text} is kept for the engine: {why}",
            code="SM1006",
            hint="choose another name",
            span=name.span,
        )
    return name


def _clauses(c: Cursor, kind: str, name: Name) -> _Clauses:
    found = _Clauses(kind)
    readers = _CLAUSES[kind]
    seen: set[str] = set()
    while not c.is_done:
        word = "KEY" if c.at("PRIMARY KEY") else word_of(c.peek())
        if word not in readers:
            left = [w for w in readers if w not in seen and not (w == "(" and seen)]
            if not set(_NEEDED[kind]) - seen:
                left.append("")
            raise _clause_error(c, kind, name, left)
        if word in seen:
            raise c.failure(
                f"{_shown(word)} is given twice", code="SM1013", hint="keep one of them"
            )
        if word == "(" and seen:
            raise c.failure(
                f"the column list stands after the name {name.text}, before the other clauses",
                code="SM1007",
                hint=f"write CREATE {kind} {name.text} (...) {min(seen)} ...",
            )
        seen.add(word)
        readers[word](c, found)
    for word, hint in _NEEDED[kind].items():
        if word not in seen:
            what = _shown(word)
            raise c.failure(
                f"CREATE {kind} {name.text} has no {what}",
                code="SM1007",
                hint=hint.format(name=name.text, options=_WITH[kind]),
                span=name.span,
            )
    return found


def _shown(word: str) -> str:
    return {"(": "a column list", "AS": "query"}.get(word, word)


def _clause_error(c: Cursor, kind: str, name: Name, left: list[str]) -> LanguageError:
    word = word_of(c.peek())
    hint = None
    if word == "(" and kind == "TABLE":
        hint = (
            f"a table keeps a query's result: CREATE TABLE {name.text} AS SELECT ...; "
            f"rows from outside come from a source: CREATE SOURCE {name.text} (...) WITH (...)"
        )
    elif word == "(" and kind in ("TARGET", "SECRET", "CACHE"):
        hint = f"options stand in WITH ({_WITH[kind]})"
    elif word == "(" and kind == "STREAM":
        hint = f"a stream's columns are those of its query: CREATE STREAM {name.text} AS SELECT ..."
    elif starts_query(c.tokens, c.index) and kind in ("STREAM", "TABLE") and "AS" in left:
        hint = f"AS is missing: CREATE {kind} {name.text} AS {word} ..."
    elif starts_query(c.tokens, c.index) and word != "FROM":
        hint = f"a query makes a stream: CREATE STREAM {name.text} AS SELECT ..."
    elif word == "AS" and kind == "TARGET":
        hint = f"make the query a stream, then write CREATE TARGET {name.text} FROM that_stream ..."
    elif word == "AS":
        hint = f"a query makes a stream: CREATE STREAM {name.text} AS SELECT ..."
    elif word == "FROM":
        hint = (
            f"write WITH (connector = '...'), or CREATE STREAM {name.text} AS SELECT ... FROM ..."
        )
    elif word == "EMIT":
        hint = "EMIT stands at the end of a query"
    elif word == "FORMAT":
        hint = "FORMAT is for sources and targets"
    elif word == "INTO":
        hint = f"write CREATE TARGET {name.text} FROM stream WITH (...)"
    elif word == "ENCODE":
        hint = "write FORMAT json; there is no ENCODE"
    ways = {"(": "'(' with columns", "AS": "AS SELECT", "": "the end of the statement"}
    what = listed([ways.get(w, w) for w in left])
    if hint:
        return c.failure(f"expected {what}, {c.found()}", hint=hint)
    return c.expected(what, among=[w for w in left if w.isalpha()])


def _with(c: Cursor, found: _Clauses) -> None:
    c.next()
    found.options = option_list(c, "WITH", example=_WITH[found.kind])


def _format(c: Cursor, found: _Clauses) -> None:
    c.next()
    name = c.plugin("the name of a format", example="FORMAT json")
    options: tuple[OptionLiteral, ...] = ()
    if c.at("("):
        options = option_list(c, f"FORMAT {name.text}", example="header = true")
    found.format = FormatClause(name, options)


def _columns(c: Cursor, found: _Clauses) -> None:
    found.columns = column_list(c)


def _key(c: Cursor, found: _Clauses) -> None:
    c.next()
    found.key = name_list(c, "KEY", example="product_id")


def _from(c: Cursor, found: _Clauses) -> None:
    c.next()
    if c.at("("):
        raise c.failure(
            "a target takes the rows of a stream, not of a query",
            code="SM1007",
            hint="make the query a stream: CREATE STREAM name AS SELECT ...; then write FROM name",
        )
    found.source = c.path("the name of a stream after FROM", example="FROM orders")


def _persist(c: Cursor, found: _Clauses) -> None:
    c.next()
    found.is_persistent = True


def _as(c: Cursor, found: _Clauses) -> None:
    c.next()
    found.query = rest_as_query(c, f"CREATE {found.kind} ... AS")


def rest_as_query(c: Cursor, after: str) -> Query:
    """All that is left, as a SELECT."""
    if c.at("SUMMARIZE"):
        raise c.failure(
            "SUMMARIZE is no continuous query",
            hint="write the figures that you want: SELECT count(*), min(x), max(x), avg(x), quantile_cont(x, 0.5) FROM ...",
        )
    if c.is_done or not starts_query(c.tokens, c.index):
        raise c.expected(
            f"SELECT after {after}", among=["SELECT"], hint="write SELECT ... FROM ..."
        )
    found = query(c.tokens[c.index :], c.text)
    c.index = len(c.tokens)
    return found


_Reader = Callable[[Cursor, _Clauses], None]
_CLAUSES: dict[str, dict[str, _Reader]] = {
    "SOURCE": {"(": _columns, "WITH": _with, "FORMAT": _format},
    "STREAM": {"PERSIST": _persist, "WITH": _with, "AS": _as},
    "TABLE": {"WITH": _with, "AS": _as},
    "CACHE": {"KEY": _key, "WITH": _with, "FORMAT": _format},
    "TARGET": {"FROM": _from, "WITH": _with, "FORMAT": _format},
    "SECRET": {"WITH": _with},
}
_OPTIONS_HINT = "add WITH ({options})"
_QUERY_HINT = "add AS SELECT ... FROM ..."
_NEEDED = {
    "SOURCE": {"WITH": _OPTIONS_HINT},
    "STREAM": {"AS": _QUERY_HINT},
    "TABLE": {"AS": _QUERY_HINT},
    "CACHE": {"KEY": "add KEY (column) after {name}: rows are looked up by it", "WITH": _OPTIONS_HINT},
    "TARGET": {"FROM": "add FROM and the name of a stream after {name}", "WITH": _OPTIONS_HINT},
    "SECRET": {"WITH": _OPTIONS_HINT},
}  # fmt: skip
