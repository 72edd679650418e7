"""The line of a magic: words and `--options`, with places for carets."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from stream_magic.errors import ConfigError, Span

_WORD = re.compile(r"""(?:"[^"]*"|'[^']*'|[^\s"'])+""")
_OPEN_QUOTE = re.compile(r"""["']""")


@dataclass(frozen=True)
class Word:
    """A word without its quotes, and where it stands."""

    text: str
    span: Span


@dataclass(frozen=True)
class Option:
    """`--name value`; `value` is None of a flag."""

    name: str
    name_span: Span
    value: Word | None = None


@dataclass(frozen=True)
class Line:
    """The words of a line and its options by name."""

    words: tuple[Word, ...]
    options: dict[str, Option]

    def value(self, name: str) -> str | None:
        """The value of an option, None if it is not given."""
        option = self.options.get(name)
        return option.value.text if option is not None and option.value is not None else None


def read_line(magic: str, line: str, flags: Iterable[str] = ()) -> Line:
    """Reads what stands behind a magic.

    Args:
        magic: as it is written: '%%cq'.
        line: the rest of the line.
        flags: options without a value.

    Raises:
        ConfigError: a quote is open, a value is missing, or an option is given twice.
    """
    whole = f"{magic} {line}"
    words = _words(whole, len(magic) + 1)
    plain: list[Word] = []
    options: dict[str, Option] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if not word.text.startswith("--") or word.text == "--":
            plain.append(word)
            continue
        name, equals, value = word.text[2:].partition("=")
        span = Span(whole, word.span.start, word.span.start + 2 + len(name))
        name = name.lower()
        if name in options:
            raise ConfigError("SM7061", f"--{name} is given twice", hint="keep one", span=span)
        given: Word | None = None
        if equals:
            given = Word(value, Span(whole, span.end + 1, word.span.end))
        elif name not in flags:
            if at == len(words) or words[at].text.startswith("--"):
                hint = f"write --{name} value"
                raise ConfigError("SM7062", f"--{name} needs a value", hint=hint, span=span)
            given = words[at]
            at += 1
        options[name] = Option(name, span, given)
    return Line(tuple(plain), options)


def unknown_option(option: Option, magic: str, known: Iterable[str]) -> ConfigError:
    """What to say of an option that the magic does not have."""
    names = sorted(known)
    close = difflib.get_close_matches(option.name, names, n=1)
    there_are = ", ".join(f"--{n}" for n in names)
    hint = f"did you mean --{close[0]}?" if close else f"{magic} has: {there_are}"
    return ConfigError(
        "SM7060", f"{magic} has no option --{option.name}", hint=hint, span=option.name_span
    )


def refuse_unknown(line: Line, magic: str, known: Iterable[str]) -> None:
    """Raises ConfigError for the first option that the magic does not have."""
    for option in line.options.values():
        if option.name not in known:
            raise unknown_option(option, magic, known)


def refuse_surplus(line: Line, magic: str, most: int, usage: str) -> None:
    """Raises ConfigError for the first word too many."""
    if len(line.words) > most:
        word = line.words[most]
        raise ConfigError(
            "SM7063", f"{magic} has no use for '{word.text}'", hint=f"write {usage}", span=word.span
        )


def _words(whole: str, start: int) -> list[Word]:
    found: list[Word] = []
    at = start
    while at < len(whole):
        match = _WORD.match(whole, at)
        if match is not None:
            found.append(Word(_unquoted(match[0]), Span(whole, match.start(), match.end())))
            at = match.end()
        elif _OPEN_QUOTE.match(whole, at):
            span = Span(whole, at, len(whole.rstrip()))
            hint = f"end it with {whole[at]}"
            raise ConfigError("SM7064", "this quote is never closed", hint=hint, span=span)
        else:
            at += 1
    return found


def _unquoted(text: str) -> str:
    return re.sub(r""""([^"]*)"|'([^']*)'""", lambda m: m[1] if m[1] is not None else m[2], text)
