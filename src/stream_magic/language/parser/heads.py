"""Statement heads: one function for each statement; CREATE has a file of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from stream_magic.errors import LanguageError, Span
from stream_magic.language.parser.create import create, later, rest_as_query
from stream_magic.language.parser.cursor import Cursor, is_word, word_of
from stream_magic.language.parser.options import option_name, option_value
from stream_magic.language.parser.query import starts_query
from stream_magic.language.parser.words import (
    ELSEWHERE,
    KINDS,
    LATER_KINDS,
    LATER_STATEMENTS,
    SHOWN,
    STATEMENTS,
    closest,
    listed,
)
from stream_magic.language.statements import (
    Describe,
    Drop,
    Explain,
    OptionLiteral,
    Select,
    SetOption,
    Show,
    ShowWhat,
    Statement,
)


def statement(c: Cursor) -> Statement:
    """Reads the one statement that these tokens hold."""
    word = word_of(c.peek())
    if starts_query(c.tokens):
        select = rest_as_query(c, "")
        return Select(span=c.since(0), query=select)
    if word in _READERS:
        c.next()
        read: Statement = _READERS[word](c)
        return read
    if word in LATER_STATEMENTS:
        raise later(c, word)
    if word.startswith("%"):
        raise c.failure(
            "a magic does not stand among statements",
            code="SM1001",
            hint="%%stream and %%cq are the first line of a cell; %stream has a cell of its own",
        )
    meant = closest(word, STATEMENTS)
    hint = ELSEWHERE.get(word) or (
        f"did you mean {meant}?" if meant else f"statements begin with {listed(STATEMENTS)}"
    )
    raise c.failure(
        f"no statement begins with {c.found().removeprefix('found ')}", code="SM1001", hint=hint
    )


def _set(c: Cursor) -> Statement:
    first = c.index
    name = option_name(c, "SET retention = '64 MB'")
    if not (c.take("=") or c.take("TO")):
        written = c.here().fragment or "..."
        raise c.expected(f"'=' after {name.text}", hint=f"write SET {name.text} = {written}")
    kind, value = option_value(c, name.text)
    literal = OptionLiteral(name, kind, value, c.since(first))
    c.expect_end("SET")
    return SetOption(name=name, value=literal, span=c.since(0))


def _drop(c: Cursor) -> Statement:
    kind = None
    word = word_of(c.peek())
    if c.peek(1) is not None and not c.at(word, ".") and word != "IF":
        if word in LATER_KINDS:
            raise later(c, f"DROP {word}")
        if word in KINDS:
            c.next()
            kind = word.lower()
        elif is_word(c.peek()) and is_word(c.peek(1)):
            raise c.expected(f"{listed(KINDS)}, or a name", among=KINDS, hint=ELSEWHERE.get(word))
    if_exists = False
    if c.at("IF") and is_word(c.peek(1)):
        c.expect("IF", "EXISTS")
        if_exists = True
    name = c.path("a name after DROP", example="DROP STREAM orders")
    if c.at(","):
        raise c.failure(
            "DROP takes one name", hint="write one DROP for each, with ';' between them"
        )
    c.expect_end("DROP")
    return Drop(kind=cast("Any", kind), name=name, if_exists=if_exists, span=c.since(0))


def _show(c: Cursor) -> Statement:
    what = "ALL"
    if not c.is_done:
        what = word_of(c.peek())
        if what not in SHOWN:
            meant = closest(what, SHOWN)
            raise c.failure(
                f"SHOW does not know {c.found().removeprefix('found ')}",
                hint=f"did you mean {meant}?" if meant else f"it shows {listed(SHOWN)}",
            )
        c.next()
        c.expect_end("SHOW")
    return Show(what=cast("ShowWhat", what.lower()), span=c.since(0))


def _describe(c: Cursor) -> Statement:
    if starts_query(c.tokens, c.index) and not c.at("TABLE"):
        raise c.failure(
            "DESCRIBE takes a name, not a query",
            code="SM1007",
            hint="EXPLAIN SELECT ... shows how a query would run",
        )
    named = c.peek(1) is not None and word_of(c.peek(1)) != "."
    if named and (c.at("CONNECTOR") or c.at("FORMAT")):
        what = word_of(c.next()).lower()
        name = c.plugin(f"the name of a {what}", example=f"DESCRIBE {what.upper()} json")
        c.expect_end("DESCRIBE")
        return Describe(what=cast("Any", what), name=name, span=c.since(0))
    if named and word_of(c.peek()) in KINDS:
        c.next()
    elif is_word(c.peek()) and is_word(c.peek(1)):
        raise c.expected("CONNECTOR, FORMAT or a name", among=["CONNECTOR", "FORMAT", *KINDS])
    name = c.path("a name after DESCRIBE", example="DESCRIBE orders")
    c.expect_end("DESCRIBE")
    return Describe(name=name, span=c.since(0))


def _explain(c: Cursor) -> Statement:
    is_analyze = c.take("ANALYZE")
    if starts_query(c.tokens, c.index):
        select = rest_as_query(c, "EXPLAIN")
        return Explain(query=select, is_analyze=is_analyze, span=c.since(0))
    if c.at("CREATE"):
        raise c.failure(
            "EXPLAIN takes a query or a name",
            code="SM1007",
            hint="write EXPLAIN SELECT ..., or EXPLAIN name after the CREATE has run",
        )
    name = c.path("a query or a name after EXPLAIN", example="EXPLAIN SELECT ... FROM orders")
    c.expect_end("EXPLAIN")
    return Explain(name=name, is_analyze=is_analyze, span=c.since(0))


_READERS: dict[str, Callable[[Cursor], Any]] = {
    "CREATE": create,
    "SET": _set,
    "DROP": _drop,
    "SHOW": _show,
    "DESCRIBE": _describe,
    "DESC": _describe,
    "EXPLAIN": _explain,
}


def bare_select(span: Span) -> LanguageError:
    """For a cell in which a SELECT by itself has no use."""
    return LanguageError(
        "SM1015",
        "this SELECT has no name, so nothing can read its rows",
        hint="write CREATE STREAM name AS SELECT ..., or show it in a cell of its own with %%cq",
        span=span,
    )
