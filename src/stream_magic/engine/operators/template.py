"""SQL texts of the planner in which the engine puts its tables."""

from __future__ import annotations

import re
from collections.abc import Sequence

_PLACE = re.compile(r"'(?:[^']|'')*'|\{(\d+)\}")
_CLAUSE = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|[()]|\bWHERE\b""", re.IGNORECASE)


def fill(sql: str, tables: Sequence[str]) -> str:
    """`{0}`, `{1}` ... become these tables; not inside of strings."""
    return _PLACE.sub(lambda m: tables[int(m[1])] if m[1] else m[0], sql)


def with_condition(from_sql: str, condition: str) -> str:
    """A FROM clause, with or without WHERE, and one condition more."""
    if not condition:
        return from_sql
    depth = 0
    for match in _CLAUSE.finditer(from_sql):
        depth += {"(": 1, ")": -1}.get(match[0], 0)
        if depth == 0 and match[0].upper() == "WHERE":
            head, tail = from_sql[: match.start()], from_sql[match.end() :]
            return f"{head}WHERE ({tail.strip()}) AND ({condition})"
    return f"{from_sql} WHERE {condition}"
