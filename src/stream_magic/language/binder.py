"""Names and types of a query, told by DuckDB itself.

The binder keeps an empty DuckDB database. For each query it makes empty tables that look like the
relations in FROM, runs the query there and reads names, types and errors, then rolls back. DuckDB
gives its errors as JSON with a byte position; they become ours, with a caret in the cell.
"""

from __future__ import annotations

import difflib
import json
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from stream_magic.contracts.function import Function, Functions
from stream_magic.errors import LanguageError, Span
from stream_magic.language.python import declare, remove

INPUT = "_in"  # the name under which an operator reads its input

_WINDOW_WORD = re.compile(
    r"(tumble|hop|session|cumulate)(_start|_end|_rowtime|_proctime)?", re.IGNORECASE
)


@dataclass(frozen=True)
class Columns:
    """Names, DuckDB types and Arrow types of a result."""

    names: tuple[str, ...]
    types: tuple[str, ...]
    schema: pa.Schema


@dataclass(frozen=True)
class EmptyTable:
    """A table to bind against.

    Attributes:
        name: as it stands in the query.
        select: gives its columns, without rows.
        schema_name: a DuckDB schema, or ''.
        shown: the columns to name in messages.
    """

    name: str
    select: str
    schema_name: str = ""
    shown: tuple[str, ...] = ()

    @property
    def sql_name(self) -> str:
        return (
            f"{quote(self.schema_name)}.{quote(self.name)}"
            if self.schema_name
            else quote(self.name)
        )


def quote(name: str) -> str:
    """A name as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


def typed_columns(names: Iterable[str], types: Iterable[str], suffix: str = "") -> str:
    """`SELECT NULL::type AS name ...`: a table of these columns without rows."""
    items = [f"CAST(NULL AS {t}) AS {quote(n)}" for n, t in zip(names, types, strict=True)]
    return f"SELECT {', '.join(items)}{suffix} LIMIT 0"


def explained(error: duckdb.Error) -> str:
    """DuckDB's own sentence, without what it says for machines."""
    _, _, body = str(error).partition(": ")
    try:
        return str(json.loads(body)["exception_message"]).partition("\n")[0]
    except (ValueError, KeyError):
        return str(error).partition("\n")[0]


def lost_in_arrow(type_text: str) -> bool:
    """Whether values of a DuckDB type change on their way through Arrow: BIT, UNION, TIMETZ, an ENUM inside another type."""
    inner = type_text.partition("(")[2] if not type_text.startswith("ENUM") else ""
    nested_enum = "ENUM(" in inner or (type_text.startswith("ENUM") and type_text.endswith("]"))
    return (
        nested_enum or re.search(r"\bBIT\b|\bUNION\(|\bTIME WITH TIME ZONE", type_text) is not None
    )


class Binder:
    """Asks an empty DuckDB. Safe to use from several threads, one at a time."""

    def __init__(self, functions: Functions | None = None) -> None:
        self.functions = functions or Functions()
        self._declared: dict[str, Function] = {}
        self._version = 0
        self._con = duckdb.connect()
        self._con.execute("SET errors_as_json = true")
        self._lock = threading.RLock()
        self._names: dict[str, frozenset[str]] = {}

    def close(self) -> None:
        self._con.close()

    def bind(self, text: str, tables: Iterable[EmptyTable], span: Span) -> Columns:
        """Names and types of a SELECT as the user wrote it.

        Args:
            text: the query; offsets in it are offsets in `span`.
            tables: what stands in its FROM.
            span: where `text` stands in the cell, for carets.

        Raises:
            LanguageError: SM2xxx.
        """
        tables = list(tables)
        with self._tables(tables):
            try:
                self._con.execute(text).fetchall()  # sql() would not give the error as JSON
                return self._columns(text)
            except duckdb.Error as e:
                raise self._translate(e, span, tables) from None

    def columns(self, sql: str, tables: Iterable[EmptyTable] = ()) -> Columns:
        """Names and types of SQL that the planner wrote.

        Raises:
            duckdb.Error: as it is.
        """
        with self._tables(list(tables)):
            return self._columns(sql)

    def can_run(self, sql: str, tables: Iterable[EmptyTable]) -> bool:
        """Whether DuckDB takes this statement."""
        with self._tables(list(tables)):
            try:
                self._con.execute(sql)
            except duckdb.Error:
                return False
            return True

    def column_types(self, schema: pa.Schema) -> tuple[str, ...]:
        """The DuckDB types that an Arrow schema is read as."""
        with self._lock:
            self._con.register("_arrow", schema.empty_table())
            try:
                return tuple(str(row[1]) for row in self._con.execute("DESCRIBE _arrow").fetchall())
            finally:
                self._con.unregister("_arrow")

    def type_of(self, type_text: str, span: Span) -> tuple[str, pa.DataType]:
        """A declared type in DuckDB's own spelling, and in Arrow.

        Raises:
            LanguageError: SM2004 there is no such type.
        """
        with self._lock:
            try:
                columns = self._columns(f"SELECT CAST(NULL AS {type_text}) AS c LIMIT 0")
            except duckdb.Error:
                hint = "types are DuckDB's: BIGINT, DECIMAL(12, 2), VARCHAR, TIMESTAMP, STRUCT(a INT), INT[] ..."
                raise LanguageError(
                    "SM2004", f"there is no type '{type_text}'", hint=hint, span=span
                ) from None
        if lost_in_arrow(columns.types[0]):
            raise LanguageError(
                "SM2007", f"{columns.types[0]} does not travel through a stream",
                hint="declare the column VARCHAR, and cast it in the query", span=span,
            )  # fmt: skip
        return columns.types[0], columns.schema.field(0).type

    def interval_us(self, interval_sql: str) -> int:
        """A constant interval in microseconds.

        Raises:
            duckdb.Error: it is none.
        """
        with self._lock:
            row = self._con.execute(
                f"SELECT epoch_us(TIMESTAMP '1970-01-01' + ({interval_sql})), ({interval_sql})::INTERVAL"
            ).fetchall()[0]
        if row[0] is None:
            raise duckdb.InvalidInputException("NULL")
        return int(row[0])

    def aggregate_names(self) -> frozenset[str]:
        """Names of DuckDB's aggregate functions, lower case."""
        return self._function_names("function_type = 'aggregate'")

    def volatile_names(self) -> frozenset[str]:
        """Names of scalar functions that may answer differently each time, lower case."""
        return self._function_names("function_type = 'scalar' AND stability = 'VOLATILE'")

    def function_names(self) -> frozenset[str]:
        """Names of all of DuckDB's functions, lower case."""
        return self._function_names("true")

    def _function_names(self, condition: str) -> frozenset[str]:
        """Asked once: listing all functions takes as long as planning a query."""
        with self._lock:
            if condition not in self._names:
                rows = self._con.execute(
                    f"SELECT DISTINCT function_name FROM duckdb_functions() WHERE {condition}"
                ).fetchall()
                self._names[condition] = frozenset(str(r[0]).lower() for r in rows)
            return self._names[condition]

    @contextmanager
    def _tables(self, tables: list[EmptyTable]) -> Iterator[None]:
        with self._lock:
            self._declare()
            self._con.execute("BEGIN")
            try:
                for table in tables:
                    if table.schema_name:
                        self._con.execute(f"CREATE SCHEMA IF NOT EXISTS {quote(table.schema_name)}")
                    self._con.execute(f"CREATE TABLE {table.sql_name} AS {table.select}")
                yield
            finally:
                self._con.execute("ROLLBACK")

    def _declare(self) -> None:
        """Python functions as they are now."""
        version = self.functions.version
        if self._version == version:
            return
        known = {f.name: f for f in self.functions}
        for name, old in list(self._declared.items()):
            if known.get(name) is not old:
                remove(self._con, self._declared.pop(name))
        for name, function in known.items():
            if name not in self._declared:
                declare(self._con, function)
                self._declared[name] = function
        self._version = version

    def _columns(self, sql: str) -> Columns:
        result = self._con.sql(sql)
        names, types = tuple(result.columns), tuple(str(t) for t in result.types)
        return Columns(names, types, result.to_arrow_table().schema)

    def _translate(
        self, error: duckdb.Error, span: Span, tables: list[EmptyTable]
    ) -> LanguageError:
        _, _, body = str(error).partition(": ")
        try:
            info = json.loads(body)
        except ValueError:
            return LanguageError("SM2001", str(error).splitlines()[0], span=span)
        message = str(info.get("exception_message", error))
        place = _place(span, info)
        name = info.get("name", "")
        candidates = [
            c.strip(' "') for c in str(info.get("candidates", "")).split(",") if c.strip()
        ]
        if info.get("error_subtype") == "COLUMN_NOT_FOUND":
            return _unknown_column(name, candidates, place, tables)
        if info.get("error_subtype") == "MISSING_ENTRY" and "Function" in str(info.get("type", "")):
            hint = f"did you mean '{candidates[0]}'?" if candidates else None
            if (window := _WINDOW_WORD.fullmatch(name)) is not None:
                hint = f"windows stand in FROM: FROM {window[1].upper()}(stream, ts, ...) GROUP BY window_start, window_end"
            return LanguageError("SM2005", f"there is no function '{name}'", hint=hint, span=place)
        if info.get("error_subtype") == "NO_MATCHING_FUNCTION":
            return _no_such_call(info, place)
        if message.startswith("Macro "):
            return _no_such_aggregate(message, place)
        if " is a Macro Function. " in message:
            return _no_clauses(message, span)
        if message.startswith("Deprecated lambda arrow"):
            return _old_lambda(place)
        first, _, rest = message.partition("\n")
        return LanguageError("SM2001", first, hint=rest.strip() or None, span=place)


def _no_such_call(info: dict[str, object], span: Span) -> LanguageError:
    """The function exists, but not for these types."""
    takes = dict.fromkeys(
        re.findall(r"\(((?:[^()]|\([^()]*\))*)\) ->", str(info.get("candidates", "")))
    )
    shown = ["(" + re.sub(r'"?\w+"? (?=[A-Z])|, /', "", t) + ")" for t in takes][:4]
    more = " ..." if len(takes) > 4 else ""
    hint = f"{info.get('name')} takes {', '.join(shown)}{more}; cast what you give it: CAST(x AS DOUBLE)"
    call = str(info.get("call", "")).replace("_LITERAL", "")
    return LanguageError("SM2006", f"there is no {call}", hint=hint, span=span)


def _no_such_aggregate(message: str, span: Span) -> LanguageError:
    """A Python aggregate, which DuckDB knows as a macro."""
    taken = re.search(r"(\w+)\((.*)\)\s*$", message)
    takes = re.sub(r'"?\w+"? (?=[A-Z])', "", taken[2]) if taken else ""
    name = taken[1] if taken else span.fragment
    return LanguageError(
        "SM2006", f"{name} does not take these arguments", hint=f"{name} takes ({takes})", span=span
    )


def _old_lambda(span: Span) -> LanguageError:
    """`x -> x + 1`, as lambdas were written before DuckDB 2."""
    found = re.search(r"(\w+|\([\w\s,]+\))\s*->(?!>)", span.fragment)
    if found:
        names = found[1].strip("()")
        span = Span(span.text, span.start + found.start(), span.start + found.end())
    else:
        names = "x"
    return LanguageError(
        "SM2001", "a lambda is not written with an arrow any more",
        hint=f"write lambda {names}: ... in place of {names} -> ...", span=span,
    )  # fmt: skip


def _no_clauses(message: str, span: Span) -> LanguageError:
    """A Python aggregate with DISTINCT, FILTER or ORDER BY."""
    name = message.split('"')[1]
    found = re.search(rf"\b{re.escape(name)}\b", span.text[span.start : span.end], re.IGNORECASE)
    start = span.start + found.start() if found else span.start
    return LanguageError(
        "SM2008", f"{name} is a Python aggregate: it takes no DISTINCT, FILTER or ORDER BY",
        hint=f"it skips NULLs: {name}(CASE WHEN condition THEN x END)",
        span=Span(span.text, start, start + len(name) if found else span.end),
    )  # fmt: skip


def _place(span: Span, info: dict[str, object]) -> Span:
    """DuckDB counts bytes from the query's start."""
    location = info.get("location")
    if location is None:
        return span
    offset, length = json.loads(str(location))
    query = span.text[span.start : span.end].encode()
    start = min(span.start + len(query[:offset].decode(errors="ignore")), span.end)
    end = start + len(query[offset : offset + length].decode(errors="ignore"))
    return Span(span.text, start, max(end, start + 1))


def _unknown_column(
    name: str, candidates: list[str], span: Span, tables: list[EmptyTable]
) -> LanguageError:
    known = [c for t in tables for c in t.shown]
    close = difflib.get_close_matches(name, known, n=1) or difflib.get_close_matches(
        name, candidates, n=1
    )
    note = "; ".join(f"{t.name} has: {', '.join(t.shown)}" for t in tables if t.shown)
    hint = f"did you mean '{close[0]}'?" if close else None
    return LanguageError("SM2003", f"unknown column '{name}'", hint=hint, span=span, note=note)
