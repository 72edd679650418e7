"""Window table functions as plain SQL: the text that docs/language gives as their meaning."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
import pyarrow as pa
from sqlglot import exp

from stream_magic.errors import LanguageError, PlanError
from stream_magic.language.binder import Binder, quote
from stream_magic.language.catalog import Catalog, Relation
from stream_magic.language.spans import span_of
from stream_magic.planner.nodes import WINDOW_END

WINDOW_FUNCTIONS = frozenset(
    {"tumble", "hop", "session", "cumulate", "tumble_rows", "hop_rows", "latest"}
)


@dataclass(frozen=True)
class Tumble:
    """`TUMBLE(relation, ts, size [, shift])`, checked."""

    relation: Relation
    time_column: str
    size_sql: str
    shift_sql: str | None

    def sql(self, source: str, *, with_end_us: bool) -> str:
        """A SELECT that adds `window_start` and `window_end` to the rows of `source`."""
        column = quote(self.time_column)
        zoned = pa.types.is_timestamp(self._type) and self._type.tz is not None
        time = column if pa.types.is_timestamp(self._type) else f"CAST({column} AS TIMESTAMP)"
        origin = f"{'TIMESTAMPTZ' if zoned else 'TIMESTAMP'} '1970-01-01 00:00:00{'+00' if zoned else ''}'"
        if self.shift_sql:
            origin = f"{origin} + {self.shift_sql}"
        start = f"time_bucket({self.size_sql}, {time}, {origin})"
        end_us = f", epoch_us(window_end) AS {WINDOW_END}" if with_end_us else ""
        return f"SELECT *, {start} AS window_start, window_start + {self.size_sql} AS window_end{end_us} FROM {source}"

    @property
    def _type(self) -> pa.DataType:
        return self.relation.schema.field(self.time_column).type

    @property
    def is_watermarked(self) -> bool:
        """Its windows close: the time column is the one that the watermark follows."""
        watermark = self.relation.time_column
        return watermark is not None and watermark.lower() == self.time_column.lower()

    @property
    def detail(self) -> str:
        return f"TUMBLE {self.size_sql.removeprefix('INTERVAL ').replace(chr(39), '').lower()}"


def window_call(table: exp.Expr) -> exp.Anonymous | None:
    """The function call of `FROM TUMBLE(...)`, or None if the item is no window function."""
    call = table.this if isinstance(table, exp.Table) else None
    if isinstance(call, exp.Anonymous) and str(call.this).lower() in WINDOW_FUNCTIONS:
        return call
    return None


def read_tumble(call: exp.Anonymous, text: str, catalog: Catalog, binder: Binder) -> Tumble:
    """Checks the arguments.

    Raises:
        LanguageError: SM2xxx, PlanError: SM3xxx for window functions that come later.
    """
    name = str(call.this).upper()
    place = span_of(call, text)
    if name != "TUMBLE":
        raise PlanError(
            "SM3020",
            f"{name}(...) is not supported yet",
            hint="use TUMBLE(s, ts, size)",
            span=place,
        )
    args = call.expressions
    usage = "write TUMBLE(stream, ts, INTERVAL 10 SECONDS)"
    if len(args) not in (3, 4):
        raise LanguageError(
            "SM2010", f"TUMBLE takes 3 or 4 arguments, here are {len(args)}", hint=usage, span=place
        )
    if not isinstance(args[0], exp.Column):
        raise LanguageError(
            "SM2010",
            "the first argument of TUMBLE is the name of a stream",
            hint="make it a stream first: CREATE STREAM q AS SELECT ..., then TUMBLE(q, ts, ...)"
            if args[0].find(exp.Select)
            else usage,
            span=span_of(args[0], text),
        )
    relation = _stream(args[0], text, catalog)
    column = _time_column(args[1], relation, text)
    size = _interval(args[2], text, binder, "size")
    shift = _interval(args[3], text, binder, "shift") if len(args) == 4 else None
    if binder.interval_us(size) <= 0:
        raise LanguageError(
            "SM2012",
            "a window's size is more than nothing",
            hint=usage,
            span=span_of(args[2], text),
        )
    if not binder.can_run(f"SELECT time_bucket({size}, TIMESTAMP '2000-01-01')", ()):
        raise LanguageError(
            "SM2012",
            "a window is months long, or days and shorter, but not both",
            hint=usage,
            span=span_of(args[2], text),
        )
    if shift is not None and not _is_shifted(size, shift, binder):
        raise LanguageError(
            "SM2012",
            "windows of months begin with a month: they are shifted by whole months only",
            hint="leave the shift out, or make the windows days long",
            span=span_of(args[3], text),
        )
    return Tumble(relation, column, size, shift)


def _is_shifted(size: str, shift: str, binder: Binder) -> bool:
    """DuckDB ignores the day of a month window's origin; then no window begins there."""
    origin = f"(TIMESTAMP '1970-01-01' + {shift})"
    return binder.interval_us(f"time_bucket({size}, {origin}, {origin}) - {origin}") == 0


def _stream(arg: exp.Column, text: str, catalog: Catalog) -> Relation:
    """The first argument; a CTE is no name that an app knows."""
    ctes = {c.alias.lower() for c in arg.root().find_all(exp.CTE)}
    if arg.sql("duckdb").lower() in ctes:
        raise PlanError(
            "SM3022",
            "TUMBLE over a CTE is not supported yet",
            hint=f"make it a stream: CREATE STREAM {arg.name} AS SELECT ...",
            span=span_of(arg, text),
        )
    name = ".".join(part.name for part in arg.parts)
    relation = catalog.find(name, span_of(arg, text))
    taken = {str(n).lower() for n in relation.schema.names} & {"window_start", "window_end"}
    if taken:
        raise LanguageError(
            "SM2013",
            f"{relation.name} has a column {sorted(taken)[0]} already, and TUMBLE would add one",
            hint="give it another name in a stream before: SELECT * EXCLUDE (window_end), window_end AS ended ...",
            span=span_of(arg, text),
        )
    return relation


def _time_column(arg: exp.Expr, relation: Relation, text: str) -> str:
    place = span_of(arg, text)
    times = [
        f.name for f in relation.schema if pa.types.is_timestamp(f.type) or pa.types.is_date(f.type)
    ]
    names = {f.name.lower(): f.name for f in relation.schema}
    if isinstance(arg, exp.Anonymous) and str(arg.this).lower() == "proctime":
        raise PlanError(
            "SM3021",
            "proctime() is not supported yet",
            hint=f"use a time column of {relation.name}",
            span=place,
        )
    column = names.get(arg.name.lower()) if isinstance(arg, exp.Column) and not arg.table else None
    if column is None or column not in times:
        what = "is no time" if column else "is no column of it"
        note = f"{relation.name} has the times: {', '.join(times) or 'none'}"
        raise LanguageError(
            "SM2011", f"TUMBLE needs a time column of {relation.name}: {arg.sql('duckdb')} {what}",
            hint=f"write {relation.time_column or times[0]}" if times else "select a TIMESTAMP column into the stream first",
            span=place, note=note,
        )  # fmt: skip
    return str(column)


def _interval(arg: exp.Expr, text: str, binder: Binder, word: str) -> str:
    sql: str = arg.sql("duckdb")
    try:
        if not isinstance(arg, exp.Interval):
            raise duckdb.InvalidInputException(sql)
        binder.interval_us(sql)
    except duckdb.Error:
        hint = "write INTERVAL 10 SECONDS"
        raise LanguageError(
            "SM2012", f"the {word} of TUMBLE is an interval", hint=hint, span=span_of(arg, text)
        ) from None
    return sql
