"""WITH (name = value, ...): reads on after a mistake, so that one run shows them all."""

from __future__ import annotations

from typing import Literal, TypeAlias

from sqlglot.tokenizer_core import Token, TokenType

from stream_magic.errors import LanguageError, Span
from stream_magic.language.parser.cursor import Cursor, is_word, shown, word_of
from stream_magic.language.spans import token_span
from stream_magic.language.statements import Name, OptionLiteral

_Kind: TypeAlias = Literal["string", "number", "boolean", "secret"]
_TEXTS = (TokenType.STRING, TokenType.HEREDOC_STRING, TokenType.BYTE_STRING)


def option_list(c: Cursor, owner: str, *, example: str) -> tuple[OptionLiteral, ...]:
    """`(name = value, ...)`; the bracket comes next."""
    if not c.at("("):
        raise c.expected(f"'(' after {owner}", hint=f"write {owner} ({example})")
    opening = c.here()
    c.next()
    options: list[OptionLiteral] = []
    if c.at(")"):
        raise c.failure(
            f"{owner} holds no options", hint=f"write {owner} ({example})", span=opening
        )
    while True:
        if (option := _option_or_skip(c, example)) is not None:
            options.append(option)
        if c.take(")"):
            break
        comma = c.here()
        if not c.take(","):
            raise c.expected("',' or ')'", hint="a comma stands between two options")
        if c.at(")"):
            raise c.failure(
                "expected an option after ',', found ')'", hint="remove the comma", span=comma
            )
    _refuse_twice(c, options)
    return tuple(options)


def _option_or_skip(c: Cursor, example: str) -> OptionLiteral | None:
    first = c.index
    try:
        return _option(c, example)
    except LanguageError as e:
        c.problems.append(e)
        c.index, depth = first, 0
        while not c.is_done and (depth > 0 or not (c.at(",") or c.at(")"))):
            depth += c.at("(") - c.at(")")
            c.next()
        if c.is_done:  # brackets were matched before, so this does not happen inside a list
            raise
        return None


def _option(c: Cursor, example: str) -> OptionLiteral:
    first = c.index
    name = option_name(c, example)
    if not (c.take("=") or c.take("==")):
        what = f"'=' after {name.text}"
        if c.at(":") or c.at("=>") or c.at(":="):
            raise c.failure(f"expected {what}, {c.found()}", hint=f"write {name.text} = ...")
        token = c.peek()
        hint = f"write {name.text} = ..."
        if token is not None and token.text == "-":
            hint = "an option name with a hyphen needs double quotes"
        elif token is not None and token.token_type in _TEXTS:
            hint = f"write {name.text} = {shown(token, c.text)}"
        raise c.expected(what, hint=hint)
    kind, value = option_value(c, name.text)
    return OptionLiteral(name, kind, value, c.since(first))


def option_name(c: Cursor, example: str) -> Name:
    """`a`, `a.b`, `"a-b"`, and Flink's `'a.b'`."""
    first = c.index
    parts = [_name_part(c, example)]
    while c.take("."):
        parts.append(_name_part(c, example))
    return Name(".".join(parts), c.since(first))


def _name_part(c: Cursor, example: str) -> str:
    token = c.peek()
    if token is not None and (token.token_type in (TokenType.IDENTIFIER, TokenType.STRING)):
        return c.next().text
    if token is None or not is_word(token):
        raise c.expected("an option name", hint=f"for example: {example}")
    return c.next().text


def option_value(c: Cursor, name: str) -> tuple[_Kind, str | int | float | bool]:
    """'text', 5, -1.5, true, secret('n')."""
    token = c.peek()
    if token is None or c.at(",") or c.at(")"):
        raise c.expected(f"a value for {name}", hint=f"write {name} = '...'")
    if token.token_type in _TEXTS:
        return "string", c.next().text
    if c.at("-") or c.at("+") or c.at(".") or token.token_type is TokenType.NUMBER:
        return "number", _number(c, name)
    if c.at("TRUE") or c.at("FALSE"):
        return "boolean", word_of(c.next()) == "TRUE"
    if c.at("SECRET", "("):
        c.index += 2
        named = c.take_kind(TokenType.STRING)
        if named is None:
            raise c.expected("the secret's name in single quotes", hint="write secret('name')")
        c.expect(")")
        return "secret", named.text
    raise _bad_value(c, token, name)


def _bad_value(c: Cursor, token: Token, name: str) -> LanguageError:
    span = _value_span(c)
    written = span.fragment
    if token.token_type is TokenType.IDENTIFIER:
        return c.failure(
            f"the value of {name} stands in double quotes, which are for names",
            code="SM1005",
            hint=f"write single quotes: {name} = {quoted(token.text)}",
            span=token_span(token, c.text),
        )
    if word_of(token) == "NULL":
        return c.failure(
            f"{name} cannot be NULL", code="SM1005", hint="leave the option out", span=span
        )
    if is_word(token) and word_of(c.peek(1)) == "(" and word_of(token) != "SECRET":
        return c.failure(
            f"the value of {name} must be a plain value, not an expression",
            code="SM1005",
            hint="write a 'text', a number, true, false or secret('name')",
            span=span,
        )
    return c.failure(
        f"the value of {name} needs single quotes",
        code="SM1005",
        hint=f"write {name} = {quoted(written)}",
        span=span,
    )


def _number(c: Cursor, name: str) -> int | float:
    first = c.index
    sign = "-" if c.at("-") else ""
    if c.at("-") or c.at("+"):
        c.next()
    dot = "." if c.take(".") else ""
    number = c.take_kind(TokenType.NUMBER)
    follows = c.peek()
    if number is None or (is_word(follows) and word_of(follows) not in ("WITH", "FORMAT", "AS")):
        c.index = first
        span = _value_span(c)
        raise c.failure(
            f"the value of {name} is not a number",
            code="SM1005",
            hint=f"write it as text: {name} = {quoted(span.fragment)}",
            span=span,
        )
    text = f"{sign}{dot}{number.text}"
    try:
        return int(text)
    except ValueError:
        return float(text)


def _value_span(c: Cursor) -> Span:
    """All up to the next comma, bracket or `name =`."""
    first, last, depth = c.index, c.index, 0
    for i in range(c.index, len(c.tokens)):
        sign = word_of(c.tokens[i])
        follows = word_of(c.tokens[i + 1]) if i + 1 < len(c.tokens) else ""
        if depth == 0 and i > first and (sign in (",", ")") or follows == "="):
            break
        depth += (sign == "(") - (sign == ")")
        last = i
    return Span(c.text, c.tokens[first].start, c.tokens[last].end + 1)


def _refuse_twice(c: Cursor, options: list[OptionLiteral]) -> None:
    seen: set[str] = set()
    for option in options:
        if option.name.key in seen:
            c.problems.append(
                LanguageError(
                    "SM1013",
                    f"the option {option.name.text} is given twice",
                    hint="keep one of them",
                    span=option.name.span,
                )
            )
        seen.add(option.name.key)


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
