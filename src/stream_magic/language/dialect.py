"""StreamSQL's SELECT: DuckDB's, with event-time windows, MATCH_RECOGNIZE and places.

sqlglot forgets where most expressions stood. This parser writes the place of every expression that
it reads into the node's `meta`, from where `spans.span_of` takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError
from sqlglot.parsers.duckdb import DuckDBParser
from sqlglot.tokenizer_core import Token, TokenType

TOO_DEEP = "nested too deeply"
START, END = "sm_start", "sm_end"  # offsets into the cell, end exclusive

_MARKED = (
    "_parse_assignment",
    "_parse_bracket",
    "_parse_case",
    "_parse_column",
    "_parse_cte",
    "_parse_expression",
    "_parse_function_call",
    "_parse_id_var",
    "_parse_interval",
    "_parse_join",
    "_parse_lambda",
    "_parse_ordered",
    "_parse_paren",
    "_parse_primary",
    "_parse_range",
    "_parse_select_query",
    "_parse_table",
    "_parse_term",
    "_parse_subquery",
    "_parse_types",
    "_parse_unary",
    "_parse_window",
)


# Read as any other function: sqlglot knows another of that name, or warns that DuckDB's has another meaning.
_PLAIN = frozenset(
    {
        "SECRET",
        "APPROX_TOP_K",
        "GAP_FILL",
        "REDUCE",
        "TIME_BUCKET",
        "BOOL_AND",
        "BOOL_OR",
        "DATE_ADD",
    }
)


class SelectError(ParseError):
    """sqlglot's complaint with the tokens around it: the last one read and the one that it met."""

    def __init__(self, complaint: str, before: Token | None, at: Token | None) -> None:
        super().__init__(complaint, errors=[{"description": complaint}])
        self.complaint = complaint
        self.before = before
        self.at = at


def _marking(name: str) -> Callable[..., Any]:
    read = getattr(DuckDBParser, name)

    def parse(self: Any, *args: Any, **kwargs: Any) -> Any:
        first = self._curr
        node = read(self, *args, **kwargs)
        # A node may grow in an outer call (f(x) becomes f(x) OVER w): the widest call wins, but
        # a call that was handed its beginning (`this`) knows only the end of it.
        if isinstance(node, exp.Expr) and first and self._prev and self._prev.end >= first.start:
            meta = node.meta
            meta[START] = min(first.start, meta.get(START, first.start))
            meta[END] = max(self._prev.end + 1, meta.get(END, 0))
        return node

    return parse


def _subscripts(args: list[exp.Expr]) -> exp.Expr:
    """The two macros of DuckDB's that make rows are written out."""
    length = exp.Anonymous(this="array_length", expressions=args)
    series = exp.Anonymous(this="generate_series", expressions=[exp.Literal.number(1), length])
    return exp.Explode(this=series)


def _split(args: list[exp.Expr]) -> exp.Expr:
    return exp.Explode(this=exp.Anonymous(this="string_split_regex", expressions=args))


class StreamSQL(DuckDB):
    """The dialect that cells are written in; generates DuckDB's SQL."""

    class Tokenizer(DuckDB.Tokenizer):  # noqa: D106
        # Statement heads are read from the tokens: no word may swallow the rest of its line.
        COMMANDS: ClassVar = set()
        KEYWORDS: ClassVar = {
            **{k: v for k, v in DuckDB.Tokenizer.KEYWORDS.items() if k != "SESSION"},
            "MATCH_RECOGNIZE": TokenType.MATCH_RECOGNIZE,
        }

    class Parser(DuckDBParser):  # noqa: D106
        FUNCTIONS: ClassVar = {
            **{k: v for k, v in DuckDBParser.FUNCTIONS.items() if k not in _PLAIN},
            "GENERATE_SUBSCRIPTS": _subscripts,
            "REGEXP_SPLIT_TO_TABLE": _split,
        }
        # As in DuckDB 2: f(j -> 'a') reads JSON, also in a call; a lambda is lambda x: ...
        LAMBDAS: ClassVar = {k: v for k, v in DuckDBParser.LAMBDAS.items() if k != TokenType.ARROW}
        FUNCTION_PARSERS: ClassVar = {
            k: v for k, v in DuckDBParser.FUNCTION_PARSERS.items() if k not in _PLAIN
        }

        def reset(self) -> None:
            super().reset()
            self._calls: list[str] = []

        def raise_error(self, message: str, token: Any = None) -> None:  # noqa: ARG002
            raise SelectError(message, self._prev or None, self._curr or None)

        def validate_expression(self, expression: Any, args: list[Any] | None = None) -> Any:
            """Leaves the number of a function's arguments to DuckDB, which knows better."""
            if args is not None and self._calls and expression.error_messages(args):
                return exp.Anonymous(this=self._calls[-1], expressions=args)
            return super().validate_expression(expression, args)

        def _parse_function_call(self, *args: Any, **kwargs: Any) -> Any:
            self._calls.append(self._curr.text if self._curr else "")
            try:
                return _marked_call(self, *args, **kwargs)
            finally:
                self._calls.pop()


for _name in _MARKED:
    if _name != "_parse_function_call":
        setattr(StreamSQL.Parser, _name, _marking(_name))
_marked_call = _marking("_parse_function_call")

STREAM_SQL = StreamSQL()


def read_select(tokens: list[Token], text: str) -> exp.Expr | None:
    """The tree of one SELECT; offsets in it count from the beginning of `text`.

    Raises:
        SelectError: with the tokens around the place.
    """
    try:
        trees = STREAM_SQL.parser().parse(tokens, text)
    except SelectError:
        raise
    except ParseError as e:  # sqlglot's own, from a text that it parsed on the side
        raise SelectError(str(e), None, tokens[0] if tokens else None) from None
    except RecursionError:
        raise SelectError(TOO_DEEP, None, tokens[0]) from None
    return trees[0] if trees else None
