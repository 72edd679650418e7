"""Walks over the tokens of one statement and says what is missing, and where."""

from __future__ import annotations

from collections.abc import Iterable

from sqlglot.tokenizer_core import Token, TokenType

from stream_magic.errors import LanguageError, Span, StreamMagicError
from stream_magic.language.parser.words import RESERVED, STATEMENTS, closest, listed
from stream_magic.language.spans import token_span
from stream_magic.language.statements import Name

_QUOTED = (
    TokenType.IDENTIFIER,
    TokenType.STRING,
    TokenType.HEREDOC_STRING,
    TokenType.BYTE_STRING,
)


def word_of(token: Token | None) -> str:
    """A token as a keyword, '' if it is quoted or missing."""
    return "" if token is None or token.token_type in _QUOTED else token.text.upper()


def is_word(token: Token | None) -> bool:
    return word_of(token)[:1].isalpha() or word_of(token)[:1] == "_"


class Cursor:
    """The tokens of one statement, read from left to right.

    `problems` collects what does not hinder reading on.
    """

    def __init__(self, tokens: list[Token], text: str) -> None:
        self.tokens = tokens
        self.text = text
        self.index = 0
        self.problems: list[StreamMagicError] = []

    def peek(self, ahead: int = 0) -> Token | None:
        at = self.index + ahead
        return self.tokens[at] if at < len(self.tokens) else None

    @property
    def is_done(self) -> bool:
        return self.index >= len(self.tokens)

    def next(self) -> Token:
        token = self.tokens[self.index]
        self.index += 1
        return token

    def at(self, *words: str) -> bool:
        """True if these keywords or signs come next."""
        return all(word_of(self.peek(i)) == w for i, w in enumerate(words))

    def take(self, *words: str) -> bool:
        """Reads these keywords or signs if they come next."""
        if not self.at(*words):
            return False
        self.index += len(words)
        return True

    def take_kind(self, *kinds: TokenType) -> Token | None:
        token = self.peek()
        return self.next() if token is not None and token.token_type in kinds else None

    def here(self) -> Span:
        """The next token, or the place behind the last one."""
        token = self.peek()
        if token is not None:
            return token_span(token, self.text)
        end = self.tokens[-1].end + 1
        return Span(self.text, end, end)

    def since(self, first: int) -> Span:
        """From token number `first` to the last one that was read."""
        start = self.tokens[min(first, len(self.tokens) - 1)].start
        return Span(self.text, start, self.tokens[max(self.index, first + 1) - 1].end + 1)

    def found(self) -> str:
        """What stands here, for messages."""
        token = self.peek()
        if token is None:
            return "but the statement ends here"
        return f"found {shown(token, self.text)}"

    def failure(
        self,
        message: str,
        *,
        code: str = "SM1002",
        hint: str | None = None,
        span: Span | None = None,
    ) -> LanguageError:
        return LanguageError(code, message, hint=hint, span=span or self.here())

    def expected(
        self, what: str, *, among: Iterable[str] = (), hint: str | None = None
    ) -> LanguageError:
        """Says what should stand here; `among` are the keywords that could be meant."""
        token = self.peek()
        meant = closest(word_of(token), among) if token and is_word(token) else None
        if meant and meant != word_of(token):
            hint = f"did you mean {meant}?"
        elif word_of(token) in STATEMENTS and self.index > 0 and word_of(token) != "SELECT":
            hint = f"if a new statement begins here, end the one before {word_of(token)} with ';'"
        return self.failure(f"expected {what}, {self.found()}", hint=hint)

    def expect(self, *words: str, hint: str | None = None) -> None:
        for word in words:
            if not self.take(word):
                sign = word if word[0].isalpha() else f"'{word}'"
                raise self.expected(sign, among=[word] if word[0].isalpha() else (), hint=hint)

    def expect_end(self, after: str, clauses: Iterable[str] = ()) -> None:
        """Fails unless the statement is over."""
        if self.is_done:
            return
        clauses = list(clauses)
        what = f"{listed(clauses)}, or the end of {after}" if clauses else f"the end of {after}"
        raise self.expected(what, among=clauses)

    def name(self, what: str, *, example: str) -> Name:
        """A plain or double-quoted name."""
        token = self.peek()
        if token is not None and token.token_type is TokenType.IDENTIFIER:
            self.next()
            if not token.text:
                raise self.failure(
                    f"{what} is empty", code="SM1006", hint=f"for example: {example}",
                    span=token_span(token, self.text),
                )  # fmt: skip
            return Name(token.text, token_span(token, self.text))
        if token is not None and token.token_type is TokenType.STRING:
            raise self.failure(
                f"{what} stands in single quotes, which make a text",
                code="SM1006",
                hint=f"write {plain(token.text)}",
            )
        if token is None or not is_word(token):
            hint = f"for example: {example}"
            if token is not None and token.token_type is TokenType.NUMBER:
                whole = self.text[token.start :].split()[0]
                hint = f'a name begins with a letter; others need double quotes: "{whole}"'
            raise self.expected(what, hint=hint)
        if word_of(token) in RESERVED:
            raise self.failure(
                f"expected {what}, found the keyword {word_of(token)}",
                hint=f'for example: {example}; a keyword as a name needs double quotes: "{token.text}"',
            )
        self.next()
        self._refuse_hyphen(token)
        return Name(token.text, token_span(token, self.text))

    def _refuse_hyphen(self, first: Token) -> None:
        dash, rest = self.peek(), self.peek(1)
        if dash and dash.text == "-" and rest and dash.start == first.end + 1 == rest.start - 1:
            whole = self.text[first.start : rest.end + 1]
            raise self.failure(
                f"the name '{whole}' has a hyphen",
                code="SM1006",
                hint=f'write {whole.replace("-", "_")}, or "{whole}" in double quotes',
                span=Span(self.text, first.start, rest.end + 1),
            )

    def path(self, what: str, *, example: str) -> Name:
        """A name with dots: `errors.orders`."""
        first = self.index
        parts = [self.name(what, example=example).text]
        while self.take("."):
            parts.append(self.name("a name after the dot", example=example).text)
        return Name(".".join(parts), self.since(first))

    def plugin(self, what: str, *, example: str) -> Name:
        """A connector or format: `json`, `mysql-cdc`, `'mysql-cdc'`."""
        token = self.peek()
        if token is None or not (token.token_type in _QUOTED or is_word(token)):
            raise self.expected(what, hint=f"for example: {example}")
        first = self.index
        text = self.next().text
        while self.at("-") and is_word(self.peek(1)):
            self.next()
            text += f"-{self.next().text}"
        return Name(text, self.since(first))


def plain(text: str) -> str:
    """A name as it has to be written."""
    simple = text[:1].isascii() and text.isidentifier() and text.upper() not in RESERVED
    return text if simple else '"' + text.replace('"', '""') + '"'


def shown(token: Token, text: str) -> str:
    """A token for a message: as written, in quotes unless it has its own."""
    written = text[token.start : token.end + 1]
    return written if token.token_type in _QUOTED else f"'{written}'"
