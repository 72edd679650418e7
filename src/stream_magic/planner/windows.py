"""Window table functions: their arguments, and the plain SQL that docs/language gives as their meaning."""

from __future__ import annotations

from dataclasses import dataclass

import duckdb
from sqlglot import exp

from stream_magic.errors import LanguageError
from stream_magic.language.binder import Binder, EmptyTable
from stream_magic.language.catalog import Relation
from stream_magic.language.spans import span_of

# name -> the arguments after the relation; a trailing ? may be left out
_ARGUMENTS = {
    "tumble": ("time", "size", "shift?"),
    "hop": ("time", "slide", "size", "shift?"),
    "cumulate": ("time", "step", "size", "shift?"),
    "session": ("time", "gap", "key*"),
    "tumble_rows": ("rows", "key*"),
    "hop_rows": ("slide rows", "rows", "key*"),
    "latest": ("key*",),
}
PROCTIME = "proctime()"  # the time of the app's clock when the row came
WINDOW_FUNCTIONS = frozenset(_ARGUMENTS)
_USAGE = {
    "tumble": "write TUMBLE(stream, ts, INTERVAL 10 SECONDS)",
    "hop": "write HOP(stream, ts, INTERVAL 5 SECONDS, INTERVAL 10 SECONDS)",
    "cumulate": "write CUMULATE(stream, ts, INTERVAL 10 SECONDS, INTERVAL 1 MINUTE)",
    "session": "write SESSION(stream, ts, INTERVAL 30 SECONDS, key)",
    "tumble_rows": "write TUMBLE_ROWS(stream, 100, key)",
    "hop_rows": "write HOP_ROWS(stream, 10, 100, key)",
    "latest": "write latest(stream, key)",
}


@dataclass(frozen=True)
class WindowCall:
    """A window function in FROM, checked.

    Attributes:
        function: its name, lower case.
        name: how the item is called without an alias.
        relation: what it reads, or None for a CTE.
        time_column: a column of it, `PROCTIME`, or ''.
        sizes: the intervals or numbers, as SQL, in the order of the call without the shift.
        shift: SQL, or ''.
        keys: columns.
        shown: names and types of the columns that it gives.
    """

    function: str
    name: str
    relation: Relation | None
    time_column: str
    sizes: tuple[str, ...]
    shift: str
    keys: tuple[str, ...]
    shown: tuple[tuple[str, ...], tuple[str, ...]]

    @property
    def detail(self) -> str:
        size = (
            self.sizes[-1].removeprefix("INTERVAL ").replace("'", "").lower() if self.sizes else ""
        )
        return f"{self.function.upper()} {size}".strip()


def window_call(table: exp.Expr) -> exp.Anonymous | None:
    """The function call of `FROM TUMBLE(...)`, or None if the item is no window function."""
    call = table.this if isinstance(table, exp.Table) else None
    if isinstance(call, exp.Anonymous) and str(call.this).lower() in WINDOW_FUNCTIONS:
        return call
    return None


def read_window(
    call: exp.Anonymous, reads: Relation | EmptyTable, text: str, binder: Binder
) -> WindowCall:
    """Checks the arguments.

    Raises:
        LanguageError: SM2010 to SM2013.
    """
    return _Reader(call, reads, text, binder).read()


class _Reader:
    def __init__(self, call: exp.Anonymous, reads: Relation | EmptyTable, text: str, binder: Binder) -> None:  # fmt: skip
        self._call = call
        self._reads = reads
        self._text = text
        self._binder = binder
        self._function = str(call.this).lower()
        self._word = self._function if self._function == "latest" else self._function.upper()
        self._usage = _USAGE[self._function]

    def read(self) -> WindowCall:
        args = list(self._call.expressions)
        wanted = _ARGUMENTS[self._function]
        least = 1 + sum(not w.endswith(("?", "*")) for w in wanted)
        most = 99 if wanted[-1].endswith("*") else 1 + len(wanted)
        if not least <= len(args) <= most:
            takes = (
                f"{least} or {most}" if most < 99 and most != least else f"{least} or more" if most == 99 else least
            )  # fmt: skip
            raise self._wrong(
                "SM2010", f"{self._word} takes {takes} arguments, here are {len(args)}"
            )
        self._check_stream(args[0])
        names, types = self._columns()
        self._known = dict(zip(names, types, strict=True))
        rest = args[1:]
        time = self._time(rest.pop(0)) if wanted[0] == "time" else ""
        plain = [w for w in wanted if w not in ("time", "key*", "shift?")]
        sizes = tuple(self._size(rest.pop(0), w) for w in plain)
        shift = ""
        if wanted[-1] == "shift?" and rest:
            shift = self._interval(rest[0], "shift")
            self._check_shift(sizes[-1], shift, rest.pop(0))
        keys = tuple(
            self._key(k) for a in rest for k in (a.expressions if isinstance(a, exp.Tuple) else [a])
        )
        self._check_sizes(sizes, args)
        shown = self._shown(names, types, time)
        relation = self._reads if isinstance(self._reads, Relation) else None
        name = self._reads.name.rpartition(".")[2]
        return WindowCall(self._function, name, relation, time, sizes, shift, keys, shown)

    def _columns(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if isinstance(self._reads, Relation):
            return tuple(self._reads.schema.names), self._reads.types
        columns = self._binder.columns(self._reads.select)
        return columns.names, columns.types

    def _shown(
        self, names: tuple[str, ...], types: tuple[str, ...], time: str
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        if self._function == "latest":
            return self._latest(names, types)
        taken = {str(n).lower() for n in names} & {"window_start", "window_end"}
        if taken:
            raise self._wrong(
                "SM2013", f"{self._reads.name} has a column {sorted(taken)[0]} already, and {self._word} would add one",
                hint="give it another name in a stream before: SELECT * EXCLUDE (window_end), window_end AS ended ...",
                at=self._call.expressions[0],
            )  # fmt: skip
        if not time:
            kind = "BIGINT"
        else:
            kind = self._known[time]
            kind = "TIMESTAMP" if kind == "DATE" else kind
        if self._function == "session":
            return (*names, "window_start", "window_end"), (*types, kind, kind)
        if time:
            select = f"SELECT time_bucket({self._first_size()}, NULL::{kind}) AS c"
            kind = self._binder.columns(select).types[0]
        return (*names, "window_start", "window_end"), (*types, kind, kind)

    def _first_size(self) -> str:
        return str(self._call.expressions[2].sql("duckdb"))

    def _latest(
        self, names: tuple[str, ...], types: tuple[str, ...]
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Without keys it is a change stream's table: the fields of `after`."""
        if len(self._call.expressions) > 1:
            return names, types
        after = {n.lower(): t for n, t in zip(names, types, strict=True)}.get("after", "")
        if "op" not in {n.lower() for n in names} or not after.startswith("STRUCT"):
            raise self._wrong(
                "SM2010", f"{self._reads.name} is no change stream: it has no op and after",
                hint="name the key: latest(stream, key)",
            )  # fmt: skip
        select = f"SELECT unnest(CAST(NULL AS {after})) LIMIT 0"
        columns = self._binder.columns(select)
        return columns.names, columns.types

    def _check_stream(self, arg: exp.Expr) -> None:
        if not isinstance(arg, exp.Column):
            hint = (
                f"make it a stream or a CTE first: WITH q AS (SELECT ...) SELECT ... FROM {self._word}(q, ts, ...)"
                if arg.find(exp.Select)
                else self._usage
            )
            raise self._wrong(
                "SM2010", f"the first argument of {self._word} is the name of a stream", hint=hint, at=arg
            )  # fmt: skip

    def _time(self, arg: exp.Expr) -> str:
        times = [n for n, t in self._known.items() if t.startswith(("TIMESTAMP", "DATE"))]
        if isinstance(arg, exp.Anonymous) and str(arg.this).lower() == "proctime":
            self._known[PROCTIME] = "TIMESTAMP"
            return PROCTIME
        column = self._column(arg)
        if column is None or column not in times:
            what = "is no time" if column else "is no column of it"
            watermark = self._reads.time_column if isinstance(self._reads, Relation) else None
            raise LanguageError(
                "SM2011", f"{self._word} needs a time column of {self._reads.name}: {arg.sql('duckdb')} {what}",
                hint=f"write {watermark or times[0]}" if times else "select a TIMESTAMP column into the stream first",
                span=span_of(arg, self._text), note=f"{self._reads.name} has the times: {', '.join(times) or 'none'}",
            )  # fmt: skip
        return column

    def _key(self, arg: exp.Expr) -> str:
        column = self._column(arg)
        if column is None:
            raise LanguageError(
                "SM2011", f"the key of {self._word} is a column of {self._reads.name}: {arg.sql('duckdb')} is none",
                hint=self._usage, span=span_of(arg, self._text), note=f"{self._reads.name} has: {', '.join(self._known)}",
            )  # fmt: skip
        return column

    def _column(self, arg: exp.Expr) -> str | None:
        names = {n.lower(): n for n in self._known}
        return (
            names.get(arg.name.lower()) if isinstance(arg, exp.Column) and not arg.table else None
        )

    def _size(self, arg: exp.Expr, word: str) -> str:
        if word.endswith("rows"):
            if not isinstance(arg, exp.Literal) or arg.is_string or not str(arg.this).isdigit() or int(arg.this) < 1:  # fmt: skip
                raise self._wrong(
                    "SM2012", f"{self._word} counts rows: a whole number above 0", at=arg
                )
            return str(arg.this)
        sql = self._interval(arg, word)
        if self._binder.interval_us(sql) <= 0:
            raise self._wrong("SM2012", f"a window's {word} is more than nothing", at=arg)
        return sql

    def _check_sizes(self, sizes: tuple[str, ...], args: list[exp.Expr]) -> None:
        if self._function in ("tumble", "hop", "cumulate"):
            probe = f"SELECT time_bucket({sizes[0]}, TIMESTAMP '2000-01-01')"
            if not self._binder.can_run(probe, ()):
                raise self._wrong(
                    "SM2012", "a window is months long, or days and shorter, but not both", at=args[2]
                )  # fmt: skip
        if self._function in ("hop", "cumulate"):
            step, size = (self._binder.interval_us(s) for s in sizes)
            is_month = any("MONTH" in s.upper() or "YEAR" in s.upper() for s in sizes)
            if is_month or (self._function == "cumulate" and size % step):
                what = (
                    "HOP and CUMULATE take no months" if is_month else "CUMULATE's size is a multiple of its step"
                )  # fmt: skip
                raise self._wrong("SM2012", what, at=args[3])

    def _check_shift(self, size: str, shift: str, arg: exp.Expr) -> None:
        """DuckDB ignores the day of a month window's origin; then no window begins there."""
        origin = f"(TIMESTAMP '1970-01-01' + {shift})"
        try:
            off = self._binder.interval_us(f"time_bucket({size}, {origin}, {origin}) - {origin}")
        except duckdb.Error:
            return
        if off:
            raise self._wrong(
                "SM2012", "windows of months begin with a month: they are shifted by whole months only",
                hint="leave the shift out, or make the windows days long", at=arg,
            )  # fmt: skip

    def _interval(self, arg: exp.Expr, word: str) -> str:
        sql: str = arg.sql("duckdb")
        try:
            if not isinstance(arg, exp.Interval):
                raise duckdb.InvalidInputException(sql)
            self._binder.interval_us(sql)
        except duckdb.Error:
            raise self._wrong(
                "SM2012", f"the {word} of {self._word} is an interval", hint="write INTERVAL 10 SECONDS", at=arg
            ) from None  # fmt: skip
        return sql

    def _wrong(self, code: str, what: str, hint: str = "", at: exp.Expr | None = None) -> LanguageError:  # fmt: skip
        return LanguageError(
            code, what, hint=hint or self._usage, span=span_of(at or self._call, self._text)
        )


def bucket(time: str, size: str, kind: str, shift: str) -> str:
    """`time_bucket` from the Unix epoch, shifted."""
    zoned = "WITH TIME ZONE" in kind
    origin = (
        f"{'TIMESTAMPTZ' if zoned else 'TIMESTAMP'} '1970-01-01 00:00:00{'+00' if zoned else ''}'"
    )
    if shift:
        origin = f"{origin} + {shift}"
    column = f"CAST({time} AS TIMESTAMP)" if kind == "DATE" else time
    return f"time_bucket({size}, {column}, {origin})"
