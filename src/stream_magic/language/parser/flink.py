"""Windows as Flink writes them: TUMBLE(TABLE s, DESCRIPTOR(ts), INTERVAL '1' HOUR), with or without TABLE(...) around."""

from __future__ import annotations

from sqlglot.tokenizer_core import Token

from stream_magic.errors import LanguageError, Span
from stream_magic.language.parser.cursor import word_of

_WINDOWS = ("TUMBLE", "HOP", "CUMULATE", "SESSION")


def flink_window(tokens: list[Token], text: str) -> LanguageError | None:
    """The first such call, with what to write instead; None if there is none."""
    words = [word_of(t) for t in tokens]
    for i, word in enumerate(words):
        if word not in _WINDOWS or words[i + 1 : i + 2] != ["("]:
            continue
        end = _closing(words, i + 1)
        given = _arguments(words, i + 2, end)
        if len(given) < 3 or words[given[1][0]] != "DESCRIPTOR":
            continue
        first, last = i, end
        if words[i - 2 : i] == ["TABLE", "("] and words[end + 1 : end + 2] == [")"]:
            first, last = i - 2, end + 1
        return LanguageError(
            "SM1016", f"{word} takes the stream and its time themselves: TABLE and DESCRIPTOR are Flink's",
            hint=f"write {word}({', '.join(_ours(tokens, words, given, text))})",
            span=_span(tokens, first, last + 1, text),
        )  # fmt: skip
    return None


def _ours(
    tokens: list[Token], words: list[str], given: list[tuple[int, int]], text: str
) -> list[str]:
    """The arguments in our order: a session's key comes last."""
    (start, end), (time, time_end) = given[0], given[1]
    start += words[start] == "TABLE"
    key: list[tuple[int, int]] = []
    if "PARTITION BY" in words[start:end]:
        at = words.index("PARTITION BY", start)
        in_brackets = words[at + 1] == "("
        key, end = [(at + 1 + in_brackets, end - in_brackets)], at
    parts = [(start, end), (time + 2, time_end - 1), *given[2:], *key]
    return [_span(tokens, a, b, text).fragment for a, b in parts if a < b]


def _arguments(words: list[str], start: int, end: int) -> list[tuple[int, int]]:
    """Where each begins and ends."""
    found, depth, first = [], 0, start
    for i in range(start, end):
        depth += (words[i] == "(") - (words[i] == ")")
        if words[i] == "," and depth == 0:
            found.append((first, i))
            first = i + 1
    return [(a, b) for a, b in [*found, (first, end)] if a < b]


def _closing(words: list[str], opening: int) -> int:
    """Where the bracket is closed."""
    depth = 0
    for i in range(opening, len(words)):
        depth += (words[i] == "(") - (words[i] == ")")
        if depth == 0:
            return i
    return len(words)


def _span(tokens: list[Token], start: int, end: int, text: str) -> Span:
    return Span(text, tokens[start].start, tokens[min(end, len(tokens)) - 1].end + 1)
