"""Flat messages into columns by DuckDB: fast, without the GIL, and only where it cannot be wrong.

`from_json` is more lenient than the JSON rule (it rounds 1.5 to 2, takes NaN, trailing commas and
the first of two equal keys). So a row counts only if it can be proven clean: a regular expression
finds none of the forms where the two differ, and the columns' keys that stand in the row are exactly
those that gave a value or are written with null. All other rows are in doubt, and left to the paths
behind this one.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.values import texts_to_array

_NAME = re.compile(r"[A-Za-z0-9_]+")
_WARY_BATCHES = 20  # after one with invalid JSON
_MAX_BYTES = 30_000  # of a row: keys are counted in 16 bits
_VALID = "$valid"  # no column is called so
_WS = r"[ \t\r\n]*"
_SQL_TYPES = {
    pa.bool_(): "BOOLEAN", pa.int8(): "TINYINT", pa.int16(): "SMALLINT", pa.int32(): "INTEGER",
    pa.int64(): "BIGINT", pa.uint8(): "UTINYINT", pa.uint16(): "USMALLINT",
    pa.uint32(): "UINTEGER", pa.uint64(): "UBIGINT", pa.float64(): "DOUBLE",
}  # fmt: skip
_local = threading.local()


class _Messages:
    """The texts that a prepared statement reads."""

    def __init__(self) -> None:
        self.table = pa.table({"p": pa.array([], pa.string())})

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.table.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> object:
        return self.table.schema.__arrow_c_schema__()


class _Statement:
    """A prepared query over `messages(p)`, for one thread."""

    def __init__(self, query: str) -> None:
        if not hasattr(_local, "connection"):
            # One thread: other messages are decoded beside this one, and order stays.
            _local.connection = duckdb.connect(config={"threads": 1})
        self._messages = _Messages()
        self._cursor = _local.connection.cursor()
        # Registered once: a prepared statement goes on reading what had the name first.
        self._cursor.register("messages", self._messages)
        self._cursor.execute(f"PREPARE decoding AS {query}")

    def run(self, texts: pa.Array) -> pa.Table:
        self._messages.table = pa.table({"p": texts})
        try:
            return self._cursor.sql("EXECUTE decoding").to_arrow_table()
        finally:
            self._messages.table = self._messages.table.slice(0, 0)


@dataclass(frozen=True)
class FastRows:
    """`rows` are the columns of the payloads where `clean` is True, in order."""

    rows: pa.Table
    clean: np.ndarray
    unknown_keys: int


class FastDecoder:
    """Decodes messages of one flat schema; `supports` tells whether there is a fast path for it."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._doubtful = _doubtful(schema)
        # Parsing twice (json_valid) is a fifth of the query: only where a batch proved to need it.
        self._trusting, self._guarded = (
            _query(schema, is_guarded=False),
            _query(schema, is_guarded=True),
        )
        self._local = threading.local()

    @staticmethod
    def supports(schema: pa.Schema) -> bool:
        names = [n.lower() for n in schema.names]
        return (
            len(names) > 0
            and len(set(names)) == len(names)
            and all(_NAME.fullmatch(n) for n in names)
            and all(_is_supported(f.type) for f in schema)
        )

    def decode(self, payloads: pa.Array) -> FastRows:
        """Columns of the rows that are proven clean. `payloads` has no NULLs."""
        usable, texts = _utf8(payloads)
        keys = _count_keys(texts)
        doubtful = pc.match_substring_regex(texts, self._doubtful)
        # No row in doubt reaches DuckDB: what is deep, odd or large is not for this path.
        fit = ~doubtful.to_numpy(zero_copy_only=False) & (np.diff(_offsets(texts)) <= _MAX_BYTES)
        if not fit.all():
            texts, keys = texts.filter(pa.array(fit)), keys[fit]
        table = self._run(texts)
        clean, unknown = self._accounted(table, texts, keys)
        clean &= table.column(_VALID).to_numpy()
        columns = []
        for field in self._schema:
            column = table.column(field.name).combine_chunks()
            if field.type not in _SQL_TYPES:
                column, reasons = texts_to_array(column, field.type)
                clean[list(reasons)] = False
            elif pa.types.is_floating(field.type):
                clean &= ~np.isinf(column.fill_null(0).to_numpy(zero_copy_only=False))
            columns.append(column)
        rows = pa.table(columns, schema=self._schema)
        whole = np.zeros(len(payloads), dtype=bool)
        whole[np.flatnonzero(usable)[fit]] = clean
        rows = rows if clean.all() else rows.filter(pa.array(clean))
        return FastRows(rows, whole, int(unknown[clean].sum()))

    def _run(self, texts: pa.Array) -> pa.Table:
        """Prepared once a thread: planning costs a fifth of decoding 20,000 rows."""
        if not hasattr(self._local, "trusting"):
            self._local.trusting = _Statement(self._trusting)
            self._local.guarded = _Statement(self._guarded)
            self._local.wary = 0
        if self._local.wary == 0:
            try:
                found: pa.Table = self._local.trusting.run(texts)
            except duckdb.InvalidInputException:
                self._local.wary = _WARY_BATCHES
            else:
                return found
        self._local.wary -= 1
        guarded: pa.Table = self._local.guarded.run(texts)
        return guarded

    def _accounted(
        self, table: pa.Table, texts: pa.Array, keys: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Which rows have no known key beside those that gave a value or a null; their unknown keys."""
        found = np.zeros(table.num_rows, dtype=np.int64)
        for field in self._schema:
            column = table.column(field.name)
            if column.null_count == 0:
                found += 1
                continue
            valid = pc.is_valid(column).to_numpy(zero_copy_only=False)
            found += valid
            empty = np.flatnonzero(~valid)
            found[empty] += _count(texts.take(pa.array(empty)), f'"{field.name}":{_WS}null')
        clean = found == keys
        more = np.flatnonzero(found < keys)
        if len(more):
            known = f'"(?:{"|".join(self._schema.names)})":'
            clean[more] = _count(texts.take(pa.array(more)), known) == found[more]
        return clean, keys - found


def _count(texts: pa.Array, pattern: str) -> np.ndarray:
    counts: np.ndarray = pc.count_substring_regex(texts, pattern).to_numpy()
    return counts


def _is_supported(kind: pa.DataType) -> bool:
    return bool(
        kind in _SQL_TYPES
        or pa.types.is_string(kind)
        or pa.types.is_decimal128(kind)
        or pa.types.is_timestamp(kind)
        or pa.types.is_date32(kind)
        or pa.types.is_time(kind)
    )


def _query(schema: pa.Schema, *, is_guarded: bool) -> str:
    """SQL over `messages(p)`. What is not in `_SQL_TYPES` comes as text and is converted here."""
    structure = ",".join(f'"{f.name}":"{_SQL_TYPES.get(f.type, "VARCHAR")}"' for f in schema)
    columns = ", ".join(
        # A number as VARCHAR has been through a double: the text itself has all its digits.
        f"nullif(regexp_extract(p, '{_decimal_pattern(f.name)}', 1), '') AS \"{f.name}\""
        if pa.types.is_decimal(f.type)
        else f's."{f.name}"'
        for f in schema
    )
    decoded = f"from_json(p, '{{{structure}}}')"
    if is_guarded:
        decoded = f"CASE WHEN json_valid(p) THEN {decoded} END"
    return f'SELECT {columns}, s IS NOT NULL AS "{_VALID}" FROM (SELECT p, {decoded} AS s FROM messages)'


def _decimal_pattern(name: str) -> str:
    return rf'"{name}":{_WS}"?(-?[0-9]+(?:\.[0-9]+)?)"?{_WS}[,}}]'


def _doubtful(schema: pa.Schema) -> str:
    """Matches every row that has a form on which DuckDB and the rule may differ."""
    integers, floats, booleans, texts = [], [], [], []
    for field in schema:
        if pa.types.is_integer(field.type):
            integers.append(field.name)
        elif pa.types.is_floating(field.type):
            floats.append(field.name)
        elif pa.types.is_boolean(field.type):
            booleans.append(field.name)
        elif not pa.types.is_decimal(field.type):
            texts.append(field.name)
    forms = [
        rf"^{_WS}[^{{ \t\r\n]",  # not an object
        r'"[ \t\r\n]+:',  # the colon is looked for right behind its key
        rf",{_WS}[\]}}]",  # a trailing comma
        rf"[:,\[]{_WS}-?(?i:nan|inf)",
        r'\\u[0-9a-fA-F]{4}[A-Za-z0-9_]*":',  # a key written with escapes
        rf"[:,\[]{_WS}[\[{{]",  # nesting
        rf'[:,\[{{]{_WS}":|\\":',  # `":` that does not end a key
    ]
    for names, wrong in (
        (integers, r'["tf\[{]|-?[0-9]+[.eE]'),
        (floats, r'["tf\[{]|-0+[^0-9.]'),
        (booleans, r"[^tfn \t\r\n]"),
        (texts, r'[^"n \t\r\n]'),
    ):
        if names:
            forms.append(f'"(?:{"|".join(names)})":{_WS}(?:{wrong})')
    return "|".join(forms)


def _utf8(payloads: pa.Array) -> tuple[np.ndarray, pa.Array]:
    """Which payloads are UTF-8, and those as texts."""
    try:
        return np.ones(len(payloads), dtype=bool), payloads.cast(pa.string())
    except pa.ArrowInvalid:
        usable = np.array([_is_utf8(p) for p in payloads.to_pylist()], dtype=bool)
        return usable, payloads.filter(pa.array(usable)).cast(pa.string())


def _is_utf8(payload: bytes) -> bool:
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True


def _offsets(texts: pa.Array) -> np.ndarray:
    buffer = np.frombuffer(texts.buffers()[1], dtype=np.int32)
    return buffer[texts.offset : texts.offset + len(texts) + 1]


def _count_keys(texts: pa.Array) -> np.ndarray:
    """How often `":` stands in each row (modulo 2**16): the number of its keys, if it is plain."""
    offsets = _offsets(texts)
    if offsets[-1] == offsets[0]:
        return np.zeros(len(texts), dtype=np.int64)
    data = np.frombuffer(texts.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
    ends = np.zeros(len(data) + 1, dtype=np.uint8)
    np.logical_and(data[:-1] == ord('"'), data[1:] == ord(":"), out=ends[1:-1].view(bool))
    starts = (offsets[:-1] - offsets[0]).astype(np.int64)
    counts = np.add.reduceat(ends, starts, dtype=np.uint16).astype(np.int64)
    counts[offsets[1:] == offsets[:-1]] = 0  # reduceat has no empty slices
    return counts
