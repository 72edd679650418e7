"""The words of the language, and which one was meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

# DuckDB's reserved words (duckdb_keywords()): a name that is one of them needs double quotes.
RESERVED = frozenset(
    """
    ALL ANALYSE ANALYZE AND ANY ARRAY AS ASC ASYMMETRIC BOTH CASE CAST CHECK COLLATE COLUMN
    CONSTRAINT CREATE DEFAULT DEFERRABLE DESC DESCRIBE DISTINCT DO ELSE END EXCEPT FALSE FETCH FOR
    FOREIGN FROM GROUP HAVING IN INITIALLY INTERSECT INTO LAMBDA LATERAL LEADING LIMIT NOT NULL
    OFFSET ON ONLY OR ORDER PIVOT PIVOT_LONGER PIVOT_WIDER PLACING PRIMARY QUALIFY REFERENCES
    RETURNING SELECT SHOW SOME SUMMARIZE SYMMETRIC TABLE THEN TO TRAILING TRUE UNION UNIQUE UNPIVOT
    USING VARIADIC WHEN WHERE WINDOW WITH
    """.split()  # noqa: SIM905
)
STATEMENTS = ("CREATE", "SET", "DROP", "SHOW", "DESCRIBE", "EXPLAIN", "SELECT")
QUERY_STARTS = ("SELECT", "WITH", "FROM", "VALUES", "PIVOT", "UNPIVOT", "TABLE")
KINDS = ("SOURCE", "STREAM", "TABLE", "CACHE", "TARGET", "SECRET")
SHOWN = (
    "ALL", "SOURCES", "STREAMS", "TABLES", "CACHES", "TARGETS", "SECRETS",
    "CONNECTORS", "FORMATS", "FUNCTIONS", "ERRORS", "SETTINGS",
)  # fmt: skip
CLAUSES = (
    "SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "OFFSET", "QUALIFY",
    "UNION", "JOIN", "INNER", "LEFT", "RIGHT", "FULL", "CROSS", "ON", "USING", "DISTINCT",
    "BETWEEN", "PARTITION BY", "WINDOW", "EXCEPT", "INTERSECT", "LATERAL", "AND",
)  # fmt: skip
UNITS = (
    "MICROSECOND", "MILLISECOND", "SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "YEAR",
)  # fmt: skip
# Known from other systems, with what it is called here.
ELSEWHERE = {
    "SINK": "results go out through a target: CREATE TARGET name FROM stream WITH (...)",
    "VIEW": "a continuous query is a stream or a table: CREATE STREAM name AS SELECT ...",
    "MATERIALIZED": "a query's current result is a table: CREATE TABLE name AS SELECT ...",
    "CONNECTION": "a connector's options stand in WITH (...) of the source or target itself",
    "FUNCTION": "functions are written in Python: @stream_magic.udf",
    "MACRO": "functions are written in Python: @stream_magic.udf",
    "INDEX": "caches and tables find their keys without one",
    "SCHEMA": "an app has one set of names, without schemas",
    "DATABASE": "an app has one set of names, without databases",
    "TYPE": "write the type where the column is declared: STRUCT(a INTEGER, b VARCHAR)",
    "INSERT": "rows come from sources and go to targets: CREATE TARGET name FROM stream WITH (...)",
    "UPDATE": "rows change where they come from; the stream follows",
    "DELETE": "rows change where they come from; the stream follows",
    "ALTER": "run the CREATE statement again with the new definition",
    "COPY": "files are read and written by connector = 'file' of a source or target",
    "ATTACH": "a database is read by a cache or a source: WITH (connector = 'database', ...)",
    "USE": "an app is chosen after the magic: %%stream shop",
    "IMPORT": "Python stands in a cell of its own",
    "START": "write %stream start in a cell of its own",
    "STOP": "write %stream stop in a cell of its own",
}
LATER_KINDS = ("ALERT", "ROLE")
LATER_STATEMENTS = ("GRANT", "REVOKE", "PERSIST")


def closest(word: str, among: Iterable[str]) -> str | None:
    """The word that was probably meant, if any is close."""
    found = difflib.get_close_matches(word.upper(), [a.upper() for a in among], n=1, cutoff=0.65)
    return found[0] if found else None


def near(word: str, among: Iterable[str]) -> list[str]:
    """All keywords that are close to a word by their first part, the closest first."""
    firsts = {a.split(" ")[0]: a for a in among}
    return [firsts[f] for f in difflib.get_close_matches(word.upper(), firsts, n=3, cutoff=0.6)]


def listed(words: Iterable[str], last: str = "or") -> str:
    """'A, B or C'."""
    *head, tail = words
    return f"{', '.join(head)} {last} {tail}" if head else tail
