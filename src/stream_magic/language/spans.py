"""Places of expressions in a cell, for carets."""

from __future__ import annotations

from sqlglot import exp
from sqlglot.tokenizer_core import Token

from stream_magic.errors import Span
from stream_magic.language.dialect import END, START


def span_of(node: exp.Expr, text: str) -> Span:
    """The smallest piece of the cell that covers an expression.

    Args:
        node: from `parse`, or made from such nodes.
        text: the whole cell.

    Returns:
        The place; for a node without any, that of the closest parent that has one.
    """
    found = _offsets(node)
    while found is None and node.parent is not None:
        node = node.parent
        found = _offsets(node)
    start, end = found or (0, len(text))
    return Span(text, min(start, len(text)), min(end, len(text)))


def name_span_of(node: exp.Expr, text: str) -> Span:
    """The place of a function's name, without its arguments; else as `span_of`."""
    meta = node.meta
    if isinstance(node, exp.Func) and meta.get("start") is not None:
        return Span(text, meta["start"], meta["end"] + 1)
    return span_of(node, text)


def token_span(token: Token, text: str) -> Span:
    return Span(text, token.start, token.end + 1)


def _offsets(node: exp.Expr) -> tuple[int, int] | None:
    meta = node.meta
    if START in meta:
        return meta[START], meta[END]
    places = [(meta["start"], meta["end"] + 1)] if meta.get("start") is not None else []
    places += [p for child in node.iter_expressions() if (p := _offsets(child)) is not None]
    if not places:
        return None
    return min(p[0] for p in places), max(p[1] for p in places)
