"""What is wrong with a SELECT, in words that say what to write.

sqlglot reads over some mistakes (`JOIN p ON` becomes a cross join), and its complaints are about
its own classes. So keywords that lead nowhere are looked for first, and a keyword with a slip is
found by trying: the one that lets the parser read further was meant.
"""

from __future__ import annotations

import re
from copy import copy

from sqlglot.tokenizer_core import Token, TokenType

from stream_magic.errors import LanguageError, Span
from stream_magic.language.dialect import STREAM_SQL, TOO_DEEP, SelectError, read_select
from stream_magic.language.parser.cursor import is_word, shown, word_of
from stream_magic.language.parser.words import CLAUSES, STATEMENTS, UNITS, near
from stream_magic.language.spans import token_span

_ENDS = frozenset(
    [
        "", ")", "]", "}", ",", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT",
        "OFFSET", "QUALIFY", "UNION", "INTERSECT", "JOIN", "ON", "USING", "THEN", "WHEN",
        "ELSE", "END", "AND", "OR",
    ]
)  # fmt: skip
_EXPRESSION = "an expression"
_NEEDS = {
    **dict.fromkeys(
        ("WHERE", "HAVING", "QUALIFY", "ON", "AND", "OR", "NOT", "LIKE", "ILIKE", "IN", "BETWEEN",
         "GROUP BY", "ORDER BY", "PARTITION BY", "LIMIT", "OFFSET", "WHEN", "THEN", "ELSE", "IS"),
        _EXPRESSION,
    ),
    "SELECT": "columns or *",
    "DISTINCT": "columns or *",
    "FROM": "the name of a stream, table or cache",
    "JOIN": "the name of a stream, table or cache",
    "USING": "columns in brackets",
    "UNION": "SELECT",
    "INTERSECT": "SELECT",
    "AS": "a name",
    ".": "a name",
}  # fmt: skip
# Any keyword may be a label behind AS; these two are nobody's.
_NO_LABEL = frozenset(["", ")", "]", "}", ",", "FROM", "WHERE"])
_COMPLAINTS = (
    (r"Expecting \)|Expected \)", "')'"),
    (r"Expecting \]|Expected \]", "']'"),
    (r"Expected }", "'}'"),
    (r"Expecting \(", "'('"),
    (r"Expected type|Expected TYPE", "a type"),
    (r"Expected AS after CAST", "AS and a type"),
    (r"Expected END after CASE", "WHEN, ELSE or END"),
    (r"Expected table name", "the name of a stream, table or cache"),
    (r"Expected CTE to have alias", "a name for the WITH query"),
    (r"Failed to parse any statement following CTE", "SELECT"),
    (r"Expected FROM or comma after EXTRACT", "FROM"),
    (r"Expecting IN", "IN"),
    (r"Expecting FOR", "FOR"),
    (r"Required \w+: '\w+' missing|Expected at least one argument", _EXPRESSION),
)


def dangling(tokens: list[Token], text: str) -> LanguageError | None:
    """The first keyword or sign with nothing behind it where something has to stand."""
    words = [word_of(t) or "'" for t in tokens]
    for i, word in enumerate(words):
        before = words[i - 1] if i else ""
        if word not in _NEEDS or (is_word(tokens[i]) and before in (".", "AS")):
            continue
        after = words[i + 1] if i + 1 < len(words) else ""
        if after not in (_NO_LABEL if word in ("AS", ".") else _ENDS):
            continue
        is_gap = word == "." and after and tokens[i].end + 1 == tokens[i + 1].start
        if is_gap or (word == "DISTINCT" and (before in ("IS", "NOT") or after == "ON")):
            continue
        return _expected(_NEEDS[word], tokens[i], _at(tokens, i + 1), tokens, text)
    return None


def explained(e: SelectError, tokens: list[Token], text: str) -> LanguageError:
    """The complaint as a sentence for users."""
    if e.complaint == TOO_DEEP:
        return LanguageError(
            "SM1010",
            "this query is nested too deeply to be read",
            hint="split it: CREATE STREAM for the inner part, and read that",
            span=token_span(tokens[0], text),
        )
    missing = _semicolon_missing(e, tokens, text) or _misspelt(e, tokens, text)
    if missing is not None:
        return missing
    before = e.before if e.before in tokens else None
    what = next((w for pattern, w in _COMPLAINTS if re.search(pattern, e.complaint)), None)
    if what is not None or before is None or e.at is None:
        return _expected(what or "a query", before, e.at, tokens, text)
    return LanguageError(
        "SM1010",
        f"{shown(e.at, text)} cannot stand after {shown(before, text)}",
        hint=_advice(before, e.at),
        span=token_span(e.at, text),
    )


def _expected(
    what: str, before: Token | None, at: Token | None, tokens: list[Token], text: str
) -> LanguageError:
    end = tokens[-1].end + 1
    after = f" after {shown(before, text)}" if before is not None else ""
    met = f"found {shown(at, text)}" if at is not None else "but the query ends here"
    return LanguageError(
        "SM1010",
        f"expected {what}{after}, {met}",
        hint=_advice(before, at) if before is not None and at is not None else None,
        span=token_span(at, text) if at is not None else Span(text, end, end),
    )


def _advice(before: Token, at: Token) -> str | None:
    if before.token_type is TokenType.NUMBER and word_of(at).removesuffix("S") in UNITS:
        return f"write INTERVAL {before.text} {word_of(at)}"
    if word_of(before) in ("GROUP", "ORDER", "PARTITION"):
        return f"write {word_of(before)} BY"
    if word_of(before) == "FORMAT":
        return "FORMAT stands behind WITH (...) of a source or target"
    if word_of(before) in _NEEDS or word_of(at) in _NEEDS:
        return None
    return "a comma, an operator or a keyword may be missing between them"


def _semicolon_missing(e: SelectError, tokens: list[Token], text: str) -> LanguageError | None:
    last = tokens.index(e.at) if e.at in tokens else len(tokens) - 1
    for token in tokens[max(1, last - 1) : last + 1]:
        if word_of(token) in STATEMENTS and word_of(token) != "SELECT":
            return LanguageError(
                "SM1010",
                f"{word_of(token)} cannot stand inside a query",
                hint="a new statement needs a ';' before it",
                span=token_span(token, text),
            )
    return None


def _misspelt(e: SelectError, tokens: list[Token], text: str) -> LanguageError | None:
    """Slips are read as aliases, so the mistake lies up to two words before the complaint."""
    last = tokens.index(e.at) if e.at in tokens else len(tokens) - 1
    for i in range(last, max(-1, last - 3), -1):
        token = tokens[i]
        if token.token_type is not TokenType.VAR:
            continue
        for meant in near(word_of(token), CLAUSES):
            if _reads_further(e, tokens, i, meant, text):
                return LanguageError(
                    "SM1010",
                    f"{shown(token, text)} is not understood here",
                    hint=f"did you mean {meant}?",
                    span=token_span(token, text),
                )
    return None


def _reads_further(e: SelectError, tokens: list[Token], i: int, meant: str, text: str) -> bool:
    second = meant.partition(" ")[2]
    if second and word_of(_at(tokens, i + 1)) != second:
        return False
    width = 2 if second else 1
    [keyword] = [copy(t) for t in STREAM_SQL.tokenize(meant)]
    keyword.start, keyword.end = tokens[i].start, tokens[i + width - 1].end
    mended = [*tokens[:i], keyword, *tokens[i + width :]]
    try:
        read_select(mended, text)
    except SelectError as other:
        if other.at is None or e.at is None:
            return False
        return other.at.start > max(e.at.start, keyword.end)
    return dangling(mended, text) is None


def _at(tokens: list[Token], i: int) -> Token | None:
    return tokens[i] if i < len(tokens) else None
