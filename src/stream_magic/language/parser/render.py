"""Statements as text again: the same text for the same meaning, so that it serves as fingerprint."""

from __future__ import annotations

from collections.abc import Iterable

from stream_magic.language.dialect import StreamSQL
from stream_magic.language.parser.cursor import plain
from stream_magic.language.parser.options import quoted
from stream_magic.language.statements import (
    Create,
    CreateCache,
    CreateSecret,
    CreateSource,
    CreateStream,
    CreateTable,
    CreateTarget,
    Describe,
    Drop,
    Explain,
    FormatClause,
    Name,
    OptionLiteral,
    Query,
    Select,
    SetOption,
    Show,
    Statement,
)


def render(statement: Statement) -> str:
    """The canonical text: without comments, layout and the letter case of keywords.

    Secrets stay `secret('name')`. `parse` reads it back to an equal statement.
    """
    return " ".join(part for part in _parts(statement) if part)


def _parts(s: Statement) -> list[str]:
    match s:
        case CreateSource():
            return [_head(s), _columns(s), _options("WITH", s.options), _format(s.format)]
        case CreateStream():
            persist = "PERSIST" if s.is_persistent else ""
            return [_head(s), persist, _options("WITH", s.options), "AS", _query(s.query)]
        case CreateTable():
            return [_head(s), _options("WITH", s.options), "AS", _query(s.query)]
        case CreateCache():
            key = f"KEY ({_names(s.key)})"
            return [_head(s), key, _options("WITH", s.options), _format(s.format)]
        case CreateTarget():
            source = f"FROM {_path(s.source)}"
            return [_head(s), source, _options("WITH", s.options), _format(s.format)]
        case CreateSecret():
            return [_head(s), _options("WITH", s.options)]
        case SetOption():
            return ["SET", _option(s.value)]
        case Drop():
            exists = "IF EXISTS" if s.if_exists else ""
            return ["DROP", (s.kind or "").upper(), exists, _path(s.name)]
        case Show():
            return ["SHOW", s.what.upper()]
        case Describe():
            if s.what == "node":
                return ["DESCRIBE", _path(s.name)]
            return ["DESCRIBE", s.what.upper(), _plugin(s.name)]
        case Explain():
            what = _query(s.query) if s.query else _path(s.name) if s.name else ""
            return ["EXPLAIN", "ANALYZE" if s.is_analyze else "", what]
        case Select():
            return [_query(s.query)]
    raise TypeError(f"no text for {type(s).__name__}")


def _head(s: Create) -> str:
    _, kind = s.word.split()
    replace = " OR REPLACE" if s.or_replace else ""
    exists = " IF NOT EXISTS" if s.if_not_exists else ""
    return f"CREATE{replace} {kind}{exists} {plain(s.name.text)}"


def _names(names: Iterable[Name]) -> str:
    return ", ".join(plain(n.text) for n in names)


def _path(name: Name) -> str:
    return ".".join(plain(part) for part in name.text.split("."))


def _plugin(name: Name) -> str:
    simple = all(part.isidentifier() and part.isascii() for part in name.text.split("-"))
    return name.text if simple else quoted(name.text)


def _columns(s: CreateSource) -> str:
    entries = [f"{plain(c.name.text)} {c.type_text}" for c in s.columns]
    if s.watermark:
        column = plain(s.watermark.column.text)
        delay = f" - {s.watermark.delay_text}" if s.watermark.delay_text else ""
        entries.append(f"WATERMARK FOR {column} AS {column}{delay}")
    if s.primary_key:
        entries.append(f"PRIMARY KEY ({_names(s.primary_key)})")
    return f"({', '.join(entries)})" if entries else ""


def _options(word: str, options: tuple[OptionLiteral, ...]) -> str:
    return f"{word} ({', '.join(_option(o) for o in options)})" if options else ""


def _option(o: OptionLiteral) -> str:
    return f"{_path(o.name)} = {_value(o)}"


def _value(o: OptionLiteral) -> str:
    if o.kind == "secret":
        return f"secret({quoted(str(o.value))})"
    if o.kind == "string":
        return quoted(str(o.value))
    return str(o.value).lower()


def _format(clause: FormatClause | None) -> str:
    if clause is None:
        return ""
    options = _options("", clause.options)
    return f"FORMAT {_plugin(clause.name)}{options}"


def _query(q: Query) -> str:
    text = q.ast.sql(dialect=StreamSQL, comments=False)
    emit = {"changes": " EMIT CHANGES", "close": " EMIT ON WINDOW CLOSE", None: ""}[q.emit]
    return text + emit
