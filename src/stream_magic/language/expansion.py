"""Calls of macros are written out before a query is bound, and errors are led back to the text of the cell.

The planner, the binder and snapshots see one text, in which every function is DuckDB's own. It is
made of pieces that know where they stand in the cell: what the user wrote, or what a call means.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from stream_magic.contracts.macro import Macro
from stream_magic.errors import CellError, LanguageError, Span, StreamMagicError
from stream_magic.language.dialect import STREAM_SQL, read_select
from stream_magic.language.functions import macros
from stream_magic.language.spans import span_of
from stream_magic.language.statements import Query

_OPEN, _CLOSE = ("(", "[", "{"), (")", "]", "}")
_QUOTED = (TokenType.STRING, TokenType.IDENTIFIER)
_ODD = (exp.Distinct, exp.Order, exp.Star, exp.Lambda, exp.PropertyEQ, exp.Kwarg)
_BETWEEN = (exp.Filter, exp.IgnoreNulls, exp.RespectNulls, exp.WithinGroup)


@contextmanager
def written_out(query: Query) -> Iterator[Query]:
    """The query without calls of macros; errors that are raised inside point into the cell.

    Raises:
        LanguageError: SM2010 to SM2012 the arguments, SM2014 OVER and FROM, SM2015 what else stands at a call.
    """
    calls = _calls(query)
    if not calls:
        yield query
        return
    pieces = list(_Writer(query, calls).pieces())
    text = "".join(p.text for p in pieces)
    try:
        yield _read_again(query, text)
    except StreamMagicError as e:
        for error in e.errors if isinstance(e, CellError) else (e,):
            error.span = _led_back(error.span, text, pieces, query.span.text)
        raise


@dataclass(frozen=True)
class _Piece:
    """A part of the new text.

    Attributes:
        start, end: where it stands in the cell.
        is_copied: it is the same text there.
    """

    text: str
    start: int
    end: int
    is_copied: bool = False


def _calls(query: Query) -> dict[int, exp.Anonymous]:
    """Calls of macros by where they begin in the cell."""
    found = (c for c in query.ast.find_all(exp.Anonymous) if _is_ours(c))
    return {span_of(c, query.span.text).start: c for c in found}


def _is_ours(call: exp.Anonymous) -> bool:
    """OVER at a macro that takes none is DuckDB's to understand."""
    known = macros().get(str(call.this).lower(), ())
    return any(m.over != "not" or not isinstance(call.parent, exp.Window) for m in known)


def _read_again(query: Query, text: str) -> Query:
    tokens = [t for t in STREAM_SQL.tokenize(text) if t.start >= query.span.start]
    tree = read_select(tokens, text)
    if not isinstance(tree, exp.Query):
        raise TypeError(f"what was a query is none written out: {text}")
    return replace(query, span=Span(text, query.span.start, len(text)), ast=tree)


def _led_back(span: Span | None, text: str, pieces: list[_Piece], cell: str) -> Span | None:
    """The part of the cell that a part of the new text was made of: all of a call that it touches."""
    if span is None or span.text != text:
        return span
    starts, ends, at = [], [], 0
    for piece in pieces:
        first, last = max(span.start - at, 0), min(span.end - at, len(piece.text))
        at += len(piece.text)
        if first < last:
            starts.append(piece.start + first if piece.is_copied else piece.start)
            ends.append(piece.start + last if piece.is_copied else piece.end)
    return Span(cell, min(starts), max(ends)) if starts else Span(cell, len(cell), len(cell))


class _Writer:
    """Writes one query out."""

    def __init__(self, query: Query, calls: dict[int, exp.Anonymous]) -> None:
        self._span = query.span
        self._cell = query.span.text
        self._calls = calls
        head = self._cell[: query.span.end]
        self._tokens = [t for t in STREAM_SQL.tokenize(head) if t.start >= query.span.start]
        self._closing = _closing(self._tokens)

    def pieces(self) -> Iterator[_Piece]:
        yield self._copied(0, self._span.start)
        yield from self._range(0, len(self._tokens), self._span.start, self._span.end)

    def _copied(self, start: int, end: int) -> _Piece:
        return _Piece(self._cell[start:end], start, end, is_copied=True)

    def _range(self, first: int, last: int, start: int, end: int) -> Iterator[_Piece]:
        """Tokens [first, last), which stand at [start, end)."""
        at = first
        while at < last:
            token = self._tokens[at]
            node = self._calls.get(token.start)
            if node is None or at + 1 >= last or self._tokens[at + 1].text != "(":
                at += 1
                continue
            yield self._copied(start, token.start)
            call = _Call(self, node, at)
            yield from call.pieces()
            at, start = call.after, call.end
        yield self._copied(start, end)

    def argument(self, first: int, last: int) -> list[_Piece]:
        """Tokens [first, last) as a value of its own."""
        start, end = self._tokens[first].start, self._tokens[last - 1].end + 1
        return list(self._range(first, last, start, end))

    def closing(self, at: int) -> int:
        return self._closing[at]

    def token(self, at: int) -> Token | None:
        return self._tokens[at] if at < len(self._tokens) else None

    @property
    def cell(self) -> str:
        return self._cell


class _Call:
    """One call: `f(a, b)`, and OVER behind it.

    Attributes:
        after: the number of the first token behind it.
        end: where it ends in the cell.
    """

    def __init__(self, writer: _Writer, node: exp.Anonymous, at: int) -> None:
        self._writer = writer
        self._node = node
        self._known = macros()[str(node.this).lower()]
        close = writer.closing(at + 1)
        self._arguments = list(self._split(at + 2, close))
        self.after = close + 1
        self._over = self._read_over()
        last = writer.token(self.after - 1)
        first = writer.token(at)
        assert first is not None  # noqa: S101  # the call's own tokens
        assert last is not None  # noqa: S101
        self.end = last.end + 1
        self._start = first.start

    def pieces(self) -> Iterator[_Piece]:
        macro = self._macro()
        self._check_place(macro)
        self._check_arguments(macro)
        yield self._own("(")
        yield from self._meaning(macro)
        yield self._own(")")
        name = self._name(macro)
        if name:
            yield self._own(f' AS "{name}"')

    # --- reading ---------------------------------------------------------------------------------

    def _split(self, first: int, close: int) -> Iterator[tuple[int, int]]:
        """The arguments as ranges of tokens."""
        at = start = first
        while at < close:
            token = self._writer.token(at)
            assert token is not None  # noqa: S101  # before the bracket
            if token.text in _OPEN:
                at = self._writer.closing(at)
            elif token.text == ",":
                yield start, at
                start = at + 1
            at += 1
        if start < close:
            yield start, close

    def _read_over(self) -> tuple[int, int] | None:
        """The range of tokens in the brackets behind OVER, or of the name there."""
        over, behind = self._writer.token(self.after), self._writer.token(self.after + 1)
        if over is None or behind is None or over.text.upper() != "OVER":
            return None
        first = self.after + 1
        if behind.text != "(":
            self.after = first + 1
            return first, first + 1
        close = self._writer.closing(first)
        self.after = close + 1
        return first + 1, close

    def _macro(self) -> Macro:
        is_interval = [self._is_interval(first) for first, _ in self._arguments]
        for macro in self._known:
            if macro.fits(is_interval):
                return macro
        usages = " or ".join(m.usage for m in self._known)
        raise self._wrong(
            "SM2010", f"{self._known[0].shown} does not take these arguments", f"write {usages}"
        )

    def _is_interval(self, at: int) -> bool:
        token = self._writer.token(at)
        return token is not None and token.token_type == TokenType.INTERVAL

    def _check_place(self, macro: Macro) -> None:
        around = self._node.parent
        if isinstance(around, exp.Table) != macro.is_relation:
            where = "stands in FROM" if macro.is_relation else "is an expression"
            raise self._wrong("SM2014", f"{macro.shown} {where}", f"write {macro.usage}")
        if isinstance(around, _BETWEEN):
            raise self._wrong(
                "SM2015", f"nothing may stand between {macro.shown}(...) and OVER",
                "choose the values in the call: CASE WHEN condition THEN x END",
            )  # fmt: skip
        if self._over is None and macro.over == "must":
            raise self._wrong(
                "SM2014", f"{macro.shown} goes from row to row: it needs OVER",
                f"write {macro.usage.removesuffix('w')}(PARTITION BY key ORDER BY ts)",
            )  # fmt: skip
        if macro.has_frame and around is not None and around.args.get("spec") is not None:
            raise self._wrong(
                "SM2014",
                f"{macro.shown} has a frame of its own",
                "leave the frame in OVER (...) out",
            )

    def _check_arguments(self, macro: Macro) -> None:
        for name, given in zip(macro.parameters, self._node.expressions, strict=False):
            if name in macro.numbers and not _is_within(given, *macro.numbers[name]):
                least, most = macro.numbers[name]
                wanted = f"from {least:g} to {most:g}" if most < math.inf else f"from {least:g} up"
                raise self._wrong(
                    "SM2012",
                    f"{name} of {macro.shown} is a number {wanted}",
                    f"write {macro.usage}",
                    given,
                )
            if isinstance(given, _ODD):
                raise self._wrong(
                    "SM2015", f"{macro.shown} takes plain values", f"write {macro.usage}", given
                )
        if not macro.is_relation:
            return
        for given in self._node.expressions[1:]:
            if not isinstance(given, exp.Interval) and (
                not isinstance(given, exp.Column) or given.table
            ):
                raise self._wrong(
                    "SM2011", f"{macro.shown} takes names of columns: {given.sql('duckdb')} is none",
                    "compute the column in a CTE before", given,
                )  # fmt: skip

    def _wrong(self, code: str, what: str, hint: str, at: exp.Expr | None = None) -> LanguageError:
        return LanguageError(
            code, what, hint=hint, span=span_of(at or self._node, self._writer.cell)
        )

    # --- writing ---------------------------------------------------------------------------------

    def _own(self, text: str) -> _Piece:
        return _Piece(text, self._start, self.end)

    def _name(self, macro: Macro) -> str:
        """What the result is called if the user gave it no name."""
        if macro.is_relation:
            table = self._node.parent
            read = self._node.expressions[0]
            return "" if table is None or table.args.get("alias") else read.alias_or_name
        item = self._node.parent if self._over is not None else self._node
        if item is None or not isinstance(item.parent, exp.Select) or item.arg_key != "expressions":
            return ""
        written = " ".join(self._writer.cell[self._start : self.end].split())
        return written.replace('"', '""')

    def _meaning(self, macro: Macro) -> Iterator[_Piece]:
        """The macro's SQL with the arguments and the window in their places."""
        given = dict(zip(macro.parameters, self._arguments, strict=False))
        if macro.takes_rest:
            last = macro.parameters[-1]
            given[last] = (given[last][0], self._arguments[-1][1])
        tokens = STREAM_SQL.tokenize(macro.sql)
        at = 0
        for before, token in zip((tokens[0], *tokens), tokens, strict=False):
            if token.token_type in _QUOTED or before.text == ".":
                continue
            if token.text in given:
                yield self._own(macro.sql[at : token.start])
                yield from self._value(given[token.text], is_bare=macro.is_relation)
            elif token.text == "w" and self._over is None:
                yield self._own(macro.sql[at : before.start])
            elif token.text == "w":
                yield self._own(macro.sql[at : token.start])
                yield from self._window(is_whole=before.text != "(")
            else:
                continue
            at = token.end + 1
        yield self._own(macro.sql[at:])

    def _value(self, argument: tuple[int, int], *, is_bare: bool) -> Iterator[_Piece]:
        first, last = argument
        pieces = self._writer.argument(first, last)
        if is_bare or last - first == 1:
            yield from pieces
            return
        yield self._own("(")
        yield from pieces
        yield self._own(")")

    def _window(self, *, is_whole: bool) -> Iterator[_Piece]:
        """What stands behind OVER: all of it, or what is in its brackets."""
        if self._over is None:
            return
        first, last = self._over
        inner = self._writer.argument(first, last) if last > first else []
        opening = self._writer.token(first - 1)
        is_named = opening is not None and opening.text != "("
        if is_whole and not is_named:
            inner = [self._own("("), *inner, self._own(")")]
        yield from inner


def _is_within(given: exp.Expr, least: float, most: float) -> bool:
    """Whether it is a number between the two, and a whole one if there is no most."""
    if not isinstance(given, exp.Literal) or given.is_string:
        return False
    return least <= float(given.this) <= most and (most < math.inf or given.is_int)


def _closing(tokens: list[Token]) -> dict[int, int]:
    """For each opening bracket the number of the token that closes it."""
    opened: list[int] = []
    found: dict[int, int] = {}
    for number, token in enumerate(tokens):
        if token.token_type in _QUOTED:
            continue
        if token.text in _OPEN:
            opened.append(number)
        elif token.text in _CLOSE and opened:
            found[opened.pop()] = number
    return found
