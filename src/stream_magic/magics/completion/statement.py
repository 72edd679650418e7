"""Tab inside statements: where the cursor stands, and what may stand there.

The text is read by a few patterns, not by the parser: it is unfinished, and the answer must come
between two keys.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from stream_magic.magics.completion.columns import add_columns, add_path
from stream_magic.magics.completion.options import add_option_names, add_option_values
from stream_magic.magics.completion.suggestions import Suggestions

if TYPE_CHECKING:
    from stream_magic.app.app import App

STATEMENTS = ("CREATE", "SELECT", "SHOW", "DESCRIBE", "EXPLAIN", "DROP", "SET")
KINDS = ("SOURCE", "STREAM", "TABLE", "CACHE", "TARGET", "SECRET")
SHOWN = (
    "ALL", "SOURCES", "STREAMS", "TABLES", "CACHES", "TARGETS", "SECRETS",
    "CONNECTORS", "FORMATS", "FUNCTIONS", "ERRORS", "SETTINGS",
)  # fmt: skip
QUERY_WORDS = (
    "SELECT", "FROM", "JOIN", "LEFT JOIN", "ON", "USING", "WHERE", "GROUP BY", "HAVING", "AND", "OR",
    "NOT", "AS", "CASE", "WHEN", "THEN", "ELSE", "END", "IS NULL", "IS NOT NULL", "IN", "BETWEEN",
    "LIKE", "INTERVAL", "EMIT CHANGES", "EMIT ON WINDOW CLOSE", "DISTINCT", "NULL", "TRUE", "FALSE",
)  # fmt: skip
FUNCTIONS = (
    "count(*)", "sum(", "avg(", "min(", "max(", "coalesce(", "round(", "lower(", "upper(", "CAST(",
)  # fmt: skip
WINDOWS = ("TUMBLE(",)
TYPES = (
    "BIGINT", "INTEGER", "DOUBLE", "DECIMAL(12, 2)", "VARCHAR", "BOOLEAN", "TIMESTAMP",
    "TIMESTAMPTZ", "DATE", "STRUCT(", "JSON", "BLOB",
)  # fmt: skip

TOKEN = re.compile(
    r"""
    --[^\n]* | /\*.*?(?:\*/|\Z)
    | '(?:[^']|'')*(?:'|\Z) | "(?:[^"]|"")*(?:"|\Z)
    | [A-Za-z_]\w* | \d[\w.]* | [^\s\w]
    """,
    re.VERBOSE | re.DOTALL,
)
_FRAGMENT = re.compile(r"[A-Za-z_][\w.]*$|(?<=[\s(,=])\d*$")
_DECLARED = re.compile(
    r"\bCREATE\s+(?:OR\s+REPLACE\s+)?(SOURCE|STREAM|TABLE|CACHE)\s+(?:IF\s+NOT\s+EXISTS\s+)?(\w+)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Place:
    """The statement around the cursor.

    Attributes:
        app: in use, if there is one.
        cell: the whole cell without the fragment.
        statement: from its first word to its end.
        tokens: of the statement up to the fragment.
        kind: 'SOURCE' of CREATE SOURCE, else ''.
        is_query: the cell is one SELECT.
    """

    app: App | None
    cell: str
    statement: str
    tokens: tuple[str, ...]
    kind: str
    is_query: bool

    @property
    def last(self) -> str:
        return self.tokens[-1].upper() if self.tokens else ""


def complete_statement(app: App | None, before: str, after: str, *, is_query: bool) -> Suggestions:
    """What may stand between `before` and `after`."""
    open_text = _open_text(before)
    if open_text is None and _is_in_comment(before):
        return Suggestions("")
    if open_text is not None:
        found = Suggestions(open_text)
        place = _place(app, before[: len(before) - len(open_text) - 1], after, is_query=is_query)
        if _owner(place.tokens) in ("WITH", "FORMAT") and place.last == "=":
            add_option_values(found, place.tokens, place.kind, in_quotes=True)
        return found
    match = _FRAGMENT.search(before)
    fragment = match[0] if match else ""
    place = _place(app, before[: len(before) - len(fragment)], after, is_query=is_query)
    head, dot, tail = fragment.rpartition(".")
    if dot:
        found = Suggestions(tail)
        add_path(found, place.app, place.statement, head)
        return found
    found = Suggestions(fragment)
    _add(found, place)
    return found


def _place(app: App | None, before: str, after: str, *, is_query: bool) -> Place:
    tokens = [t for t in TOKEN.findall(before) if not t.startswith(("--", "/*"))]
    start = len(tokens) - tokens[::-1].index(";") if ";" in tokens else 0
    mine = tuple(tokens[start:])
    until = after.split(";", 1)[0]
    words = [t.upper() for t in mine[:6]]
    kind = next((w for w in words if w in KINDS), "") if words[:1] == ["CREATE"] else ""
    return Place(app, f"{before}{after}", f"{' '.join(mine)} {until}", mine, kind, is_query)


def _add(found: Suggestions, place: Place) -> None:
    owner = _owner(place.tokens)
    if owner in ("WITH", "FORMAT"):
        if place.last == "=":
            add_option_values(found, place.tokens, place.kind, in_quotes=False)
        elif place.last in ("(", ","):
            add_option_names(found, place.tokens, place.kind)
    elif owner == "COLUMNS":
        found.add(
            ("WATERMARK FOR ", "PRIMARY KEY (") if place.last in ("(", ",") else TYPES, "keyword"
        )
    elif owner == "TUMBLE" and place.last == "(":
        found.add(_relations(place), "stream")
    elif place.last in ("FROM", "JOIN"):
        found.add(_relations(place), "stream")
        if place.kind != "TARGET":
            found.add(WINDOWS, "function")
            found.add(["errors."], "stream")
    elif place.last == "FORMAT":
        from stream_magic.contracts.registry import registry

        found.add(registry.names("formats"), "format")
    elif not place.tokens:
        found.add(("SELECT", "WITH") if place.is_query else STATEMENTS, "keyword")
    elif _is_query_part(place):
        from stream_magic.app.session import session

        add_columns(found, place.app, place.statement)
        found.add([*FUNCTIONS, *(f"{f.name}(" for f in session().functions)], "function")
        found.add(QUERY_WORDS, "keyword")
    else:
        _add_head(found, place)


def _add_head(found: Suggestions, place: Place) -> None:
    """Statements without a SELECT."""
    first = place.tokens[0].upper()
    if place.last == "CREATE":
        found.add(KINDS, "keyword")
    elif place.last == "SHOW":
        found.add(SHOWN, "keyword")
    elif first in ("DESCRIBE", "EXPLAIN", "DROP") and len(place.tokens) <= 2:
        found.add(place.app.status() if place.app is not None else (), "node")
        more = {
            "DESCRIBE": ("CONNECTOR", "FORMAT"),
            "EXPLAIN": ("SELECT", "ANALYZE"),
            "DROP": (*KINDS, "IF EXISTS"),
        }
        if len(place.tokens) == 1:
            found.add(more[first], "keyword")
    elif first == "SET" and len(place.tokens) == 1:
        found.add(["retention"], "setting")
    elif place.kind in ("STREAM", "TABLE"):
        found.add(["AS SELECT", "WITH ("], "keyword")
    elif place.kind:
        clauses = {"TARGET": ("FROM", "WITH (", "FORMAT"), "CACHE": ("KEY (", "WITH (", "FORMAT")}
        found.add(clauses.get(place.kind, ("WITH (", "FORMAT")), "keyword")


def _is_query_part(place: Place) -> bool:
    return place.is_query or any(t.upper() == "SELECT" for t in place.tokens)


def _relations(place: Place) -> list[str]:
    """Names for FROM: of the app, and those that this cell creates; not the one that is being created."""
    own = {name for _, name in _DECLARED.findall(place.statement)}
    known = place.app.names() if place.app is not None else []
    others = (name for _, name in _DECLARED.findall(place.cell))
    return [n for n in dict.fromkeys([*known, *others]) if n not in own]


def _owner(tokens: tuple[str, ...]) -> str:
    """What the innermost open bracket belongs to: WITH, FORMAT, COLUMNS, a function's name, or ''."""
    depth = 0
    for at in range(len(tokens) - 1, -1, -1):
        if tokens[at] == ")":
            depth += 1
        elif tokens[at] == "(":
            depth -= 1
            if depth < 0:
                return _owner_before(tokens[:at])
    return ""


def _owner_before(tokens: tuple[str, ...]) -> str:
    words = [t.upper() for t in tokens]
    if words[-1:] == ["WITH"]:
        return "WITH"
    if words[-2:-1] == ["FORMAT"]:
        return "FORMAT"
    if words[:1] == ["CREATE"] and "SOURCE" in words and "WITH" not in words:
        return "COLUMNS"
    return words[-1] if words else ""


def _open_text(before: str) -> str | None:
    """What was typed of a text whose quote is still open."""
    last = None
    for match in TOKEN.finditer(before):
        last = match
    if last is None or not last[0].startswith("'") or last.end() != len(before):
        return None
    inner = last[0][1:]
    return inner if inner.count("'") % 2 == 0 else None


def _is_in_comment(before: str) -> bool:
    last = before.rsplit("\n", 1)[-1]
    return last.lstrip().startswith("--")
