"""A cell becomes statements' tokens: quotes and brackets are checked, semicolons part them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot.errors import TokenError
from sqlglot.tokenizer_core import Token, TokenType

from stream_magic.errors import LanguageError, Span
from stream_magic.language.dialect import STREAM_SQL
from stream_magic.language.parser.cursor import shown, word_of
from stream_magic.language.spans import token_span

_PIECES = re.compile(
    r"""
    (?P<comment>--[^\n]*) | (?P<block>/\*)
    | (?P<escaped>[eE]'(?:[^'\\]|\\.|'')*(?P<escaped_end>'?))
    | (?P<text>'(?:[^']|'')*(?P<text_end>'?))
    | (?P<name>"(?:[^"]|"")*(?P<name_end>"?))
    | (?P<dollar>\$(?P<tag>[A-Za-z_]*)\$)
    """,
    re.VERBOSE | re.DOTALL,
)
_CLOSING = {"(": ")", "[": "]", "{": "}"}
_CURLY = {"‘": "'", "’": "'", "“": "'", "”": "'", "„": "'", "´": "'", "‚": "'"}


@dataclass
class Piece:
    """The tokens of one statement, or what is wrong with them before they can be read."""

    tokens: list[Token]
    error: LanguageError | None = None


def pieces(text: str) -> list[Piece]:
    """The statements of a cell; empty ones are left out."""
    error: LanguageError | None = None
    try:
        tokens = STREAM_SQL.tokenize(text)
    except TokenError as e:
        start, kind = _unclosed(text) or (e.start or 0, "text")
        error = _unclosed_error(text, start, kind)
        tokens = STREAM_SQL.tokenize(text[:start])
    found: list[Piece] = [Piece([])]
    for token in tokens:
        if token.token_type is TokenType.SEMICOLON:
            found.append(Piece([]))
        else:
            found[-1].tokens.append(token)
    if error is not None:
        found[-1].error = error
    for piece in found:
        piece.error = piece.error or _stray(piece.tokens, text) or _bracket(piece.tokens, text)
    return [p for p in found if p.tokens or p.error]


def _unclosed(text: str) -> tuple[int, str] | None:
    """Where the quote or comment begins that never ends."""
    at = 0
    while (piece := _PIECES.search(text, at)) is not None:
        at = piece.end()
        kind = piece.lastgroup
        if piece["block"]:
            at = _after_block(text, piece.start())
            if at < 0:
                return piece.start(), "comment"
        elif piece["dollar"]:
            closing = text.find(piece["dollar"], at)
            if closing < 0:
                return piece.start(), "text"
            at = closing + len(piece["dollar"])
        elif piece["comment"] is None and not (
            piece["escaped_end"] or piece["text_end"] or piece["name_end"]
        ):
            return piece.start(), "name" if kind and piece["name"] else "text"
    return None


def _after_block(text: str, start: int) -> int:
    depth, at = 0, start
    while (mark := re.compile(r"/\*|\*/").search(text, at)) is not None:
        depth += 1 if mark[0] == "/*" else -1
        at = mark.end()
        if depth == 0:
            return at
    return -1


def _unclosed_error(text: str, start: int, kind: str) -> LanguageError:
    if kind == "comment":
        return LanguageError(
            "SM1003", "this comment is never closed", hint="end it with */",
            span=Span(text, start, start + 2),
        )  # fmt: skip
    suspect = _swallowing(text, start) if kind == "text" else None
    start = start if suspect is None else suspect
    line_end = text.find("\n", start)
    end = len(text) if line_end < 0 else line_end
    sign = text[start]
    what = "name" if kind == "name" else "text"
    return LanguageError(
        "SM1003",
        f"a quote is missing: the {what} that begins here is never closed"
        if suspect is None
        else "a quote is missing: the text that begins here goes on too far",
        hint=f"end it with {sign}; a quote inside a {what} is written twice: {sign}{sign}",
        span=Span(text, start, max(start + 1, len(text[start:end].rstrip()) + start)),
    )


def _swallowing(text: str, unclosed: int) -> int | None:
    """The earlier text that ends right before a letter: its own end was probably forgotten."""
    for piece in _PIECES.finditer(text, 0, unclosed):
        end = piece.end()
        if piece["text"] and end < len(text) and (text[end].isalnum() or text[end] == "$"):
            return piece.start()
    return None


def _stray(tokens: list[Token], text: str) -> LanguageError | None:
    """Characters that no SQL knows, mostly from a word processor."""
    for token in tokens:
        if token.token_type is TokenType.VAR:
            for i, character in enumerate(token.text):
                if character in _CURLY:
                    place = token.start + i
                    return LanguageError(
                        "SM1012",
                        f"{character} is not a quote that SQL knows",
                        hint="write a straight one: '",
                        span=Span(text, place, place + 1),
                    )
                if not (character.isprintable()):
                    place = token.start + i
                    return LanguageError(
                        "SM1012",
                        f"there is an invisible character here (U+{ord(character):04X})",
                        hint="delete it and type the name again",
                        span=Span(text, place, place + 1),
                    )
        if token.text == "`" and token.token_type is not TokenType.STRING:
            return LanguageError(
                "SM1012",
                "` is not a quote here",
                hint="names are quoted with double quotes, texts with single ones",
                span=token_span(token, text),
            )
        if token.token_type in (TokenType.UNKNOWN, TokenType.BACKSLASH):
            return LanguageError(
                "SM1012", f"{shown(token, text)} has no meaning here", hint="remove it",
                span=token_span(token, text),
            )  # fmt: skip
    return None


def _bracket(tokens: list[Token], text: str) -> LanguageError | None:
    open_brackets: list[Token] = []
    for token in tokens:
        sign = word_of(token)
        if sign in _CLOSING:
            open_brackets.append(token)
        elif sign in _CLOSING.values():
            opening = open_brackets.pop() if open_brackets else None
            if opening is None:
                return LanguageError(
                    "SM1004",
                    f"this '{sign}' closes nothing",
                    hint="remove it, or open a bracket before it",
                    span=token_span(token, text),
                )
            if _CLOSING[opening.text] != sign:
                return LanguageError(
                    "SM1004",
                    f"'{opening.text}' is closed by '{sign}'",
                    hint=f"close it with '{_CLOSING[opening.text]}'",
                    span=token_span(opening, text),
                )
    if not open_brackets:
        return None
    opening = open_brackets[-1]
    return LanguageError(
        "SM1004",
        f"this '{opening.text}' is never closed",
        hint=f"write '{_CLOSING[opening.text]}' where it ends",
        span=token_span(opening, text),
    )
