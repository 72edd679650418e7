"""A SELECT with its EMIT clause."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from stream_magic.errors import LanguageError, Span
from stream_magic.language.dialect import SelectError, read_select
from stream_magic.language.parser.columns import TYPES, no_type
from stream_magic.language.parser.complaints import dangling, explained
from stream_magic.language.parser.cursor import is_word, shown, word_of
from stream_magic.language.parser.flink import flink_window
from stream_magic.language.parser.words import QUERY_STARTS, closest
from stream_magic.language.spans import span_of, token_span
from stream_magic.language.statements import Emit, Query

EMIT_HINT = "write EMIT CHANGES or EMIT ON WINDOW CLOSE at the very end of the query"


def starts_query(tokens: list[Token], at: int = 0) -> bool:
    """True if a SELECT begins at this token."""
    while at < len(tokens) and word_of(tokens[at]) == "(":
        at += 1
    return at < len(tokens) and word_of(tokens[at]) in QUERY_STARTS


def query(tokens: list[Token], text: str) -> Query:
    """Reads a SELECT that fills all these tokens.

    Raises:
        LanguageError: SM1010 and SM1011, with the place.
    """
    cut, emit = _emit(tokens, text)
    select = tokens[:cut]
    emit_span = Span(text, tokens[cut].start, tokens[-1].end + 1) if emit else None
    if not select:
        raise LanguageError(
            "SM1010", "expected a SELECT before EMIT", hint=EMIT_HINT, span=emit_span
        )
    if (problem := flink_window(select, text) or dangling(select, text)) is not None:
        raise problem
    try:
        tree = read_select(select, text)
    except SelectError as e:
        raise explained(e, select, text) from None
    if isinstance(tree, exp.Values | exp.Pivot):
        tree = _star(tree)
    for cte in tree.find_all(exp.CTE) if tree is not None else ():
        if isinstance(cte.this, exp.Pivot):
            cte.set("this", _star(cte.this))
    if not isinstance(tree, exp.Query):
        raise LanguageError(
            "SM1010",
            f"expected a SELECT, found {shown(select[0], text)}",
            hint="only queries that read can run here: SELECT ... FROM ...",
            span=token_span(select[0], text),
        )
    _refuse_secrets(tree, text)
    _refuse_unknown_types(tree, text)
    return Query(Span(text, select[0].start, select[-1].end + 1), tree, emit, emit_span)


def _star(tree: exp.Values | exp.Pivot) -> exp.Select:
    """SELECT * of what may stand in place of a SELECT: VALUES, PIVOT and UNPIVOT."""
    if isinstance(tree, exp.Values):
        return exp.select("*").from_(tree, copy=False)
    ctes = tree.args.pop("with_", None)
    select = exp.select("*").from_(exp.Subquery(this=tree), copy=False)
    select.set("with_", ctes)
    return select


def _emit(tokens: list[Token], text: str) -> tuple[int, Emit | None]:
    """Where the EMIT clause begins (the end of the tokens if there is none), and what it says."""
    depth = 0
    for i, token in enumerate(tokens):
        word = word_of(token)
        depth += (word in ("(", "[", "{")) - (word in (")", "]", "}"))
        if word != "EMIT" or (i > 0 and word_of(tokens[i - 1]) in (".", "AS")):
            continue
        rest = [word_of(t) for t in tokens[i + 1 : i + 4]]
        length = 2 if rest[:1] == ["CHANGES"] else 4 if rest == ["ON", "WINDOW", "CLOSE"] else 0
        if not length:
            _refuse_odd_emit(tokens, i, text)
            continue
        span = Span(text, token.start, tokens[i + length - 1].end + 1)
        if depth > 0:
            raise LanguageError(
                "SM1011",
                "EMIT stands inside brackets, but it belongs to the whole query",
                hint=EMIT_HINT,
                span=span,
            )
        if i + length < len(tokens):
            after = tokens[i + length]
            raise LanguageError(
                "SM1011",
                f"EMIT is the last clause of a query, but {shown(after, text)} follows",
                hint=f"move {span.fragment} to the very end",
                span=span,
            )
        return i, "changes" if length == 2 else "close"
    return len(tokens), None


def _refuse_odd_emit(tokens: list[Token], at: int, text: str) -> None:
    """EMIT may also be somebody's column; a clause is one only if nothing but words follow."""
    rest = tokens[at + 1 :]
    if at == 0 or len(rest) > 4 or not all(is_word(t) for t in rest):
        return
    if not rest and not is_word(tokens[at - 1]):
        return
    first = word_of(rest[0]) if rest else ""
    known = ("CHANGES", "CHANGE", "ON", "FINAL", "WINDOW", "AFTER", "CLOSE")
    if first in known or (first and closest(first, ["CHANGES", "WINDOW"])):
        raise LanguageError(
            "SM1011",
            f"there is no EMIT {' '.join(t.text for t in rest)}",
            hint=EMIT_HINT,
            span=Span(text, tokens[at].start, rest[-1].end + 1),
        )


def _refuse_secrets(tree: exp.Expr, text: str) -> None:
    for call in tree.find_all(exp.Anonymous):
        if call.name.lower() == "secret":
            raise LanguageError(
                "SM1014",
                "secret() may stand in options only, never in a query",
                hint="a query's rows are shown, and a secret must not be",
                span=span_of(call, text),
            )


def _refuse_unknown_types(tree: exp.Expr, text: str) -> None:
    """Any word is a type to sqlglot; here are none but DuckDB's own."""
    for kind in tree.find_all(exp.DataType):
        word = str(kind.args.get("kind") or "")
        if kind.this == exp.DType.USERDEFINED and word and word.upper() not in TYPES:
            raise no_type(word, span_of(kind, text))
