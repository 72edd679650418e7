"""Reads the text of a cell: `parse` for statements, `parse_query` for one SELECT.

The cell is cut into tokens once, so every place counts from its beginning. Statement heads are
read here, from the tokens (`heads`); sqlglot gets the tokens of the SELECT alone (`query`). A
mistake ends its statement, and reading goes on behind the next semicolon: all are reported.

Codes: SM1001 no such statement, SM1002 something else was expected, SM1003 a quote or comment is
open, SM1004 a bracket, SM1005 an option's value, SM1006 a name, SM1007 a clause, SM1008 a column
or type, SM1009 a watermark, SM1010 the SELECT, SM1011 EMIT, SM1012 a stray character, SM1013 given
twice, SM1014 a secret in a query, SM1015 a SELECT without a name, SM3900 not supported yet.
"""

from __future__ import annotations

from stream_magic.errors import CellError, LanguageError, Span, StreamMagicError
from stream_magic.language.parser.cell import Piece, pieces
from stream_magic.language.parser.cursor import Cursor
from stream_magic.language.parser.heads import bare_select, statement
from stream_magic.language.parser.query import query, starts_query
from stream_magic.language.parser.render import render
from stream_magic.language.parser.words import closest
from stream_magic.language.statements import Query, Select, Statement

__all__ = ["parse", "parse_query", "render"]


def parse(text: str, *, allow_select: bool = False) -> list[Statement]:
    """The statements of a cell; an empty cell has none.

    Args:
        text: the whole cell.
        allow_select: gives a SELECT that stands by itself as `Select`; else it is an error, since
            nobody could read its rows.

    Raises:
        CellError: every mistake that was found, in the order of the text.
    """
    found: list[Statement] = []
    errors: list[StreamMagicError] = []
    for piece in pieces(text):
        read = _read(piece, text, errors)
        if isinstance(read, Select) and not allow_select:
            errors.append(bare_select(read.query.span))
        elif read is not None:
            found.append(read)
    if errors:
        raise CellError(sorted(errors, key=lambda e: e.span.start if e.span else 0))
    return found


def _read(piece: Piece, text: str, errors: list[StreamMagicError]) -> Statement | None:
    if piece.error is not None:
        errors.append(piece.error)
        return None
    cursor = Cursor(piece.tokens, text)
    try:
        read: Statement | None = statement(cursor)
    except StreamMagicError as e:
        cursor.problems.append(e)
    errors.extend(cursor.problems)
    return None if cursor.problems else read


def parse_query(text: str) -> Query:
    """One SELECT with an optional EMIT clause; a semicolon may end it.

    Raises:
        CellError: what is wrong, with the place.
    """
    found = pieces(text)
    if not found:
        raise CellError([_no_query(Span(text, 0, 0))])
    first = found[0]
    try:
        if first.error is not None:
            raise first.error
        if not starts_query(first.tokens):
            token = first.tokens[0]
            raise _no_query(Span(text, token.start, token.end + 1))
        read = query(first.tokens, text)
        if len(found) > 1:
            rest = (found[1].tokens or first.tokens)[0]
            raise LanguageError(
                "SM1010",
                "there is a second statement, but this takes one SELECT",
                hint="write each query in a cell of its own, statements in a %%stream cell",
                span=Span(text, rest.start, rest.end + 1),
            )
    except StreamMagicError as e:
        raise CellError([e]) from None
    return read


def _no_query(span: Span) -> LanguageError:
    word = span.fragment
    if not word:
        return LanguageError(
            "SM1010", "there is no query", hint="write SELECT ... FROM ...", span=span
        )
    meant = closest(word, ["SELECT", "FROM", "WITH"])
    hint = (
        f"did you mean {meant}?"
        if meant
        else "statements stand in a %%stream cell, and in app.execute(...)"
    )
    return LanguageError("SM1010", f"expected SELECT, found '{word}'", hint=hint, span=span)
