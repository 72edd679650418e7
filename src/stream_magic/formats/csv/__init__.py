"""CSV as RFC 4180 has it: quoted newlines, one header, and a difference between nothing and ''.

An empty field is NULL, `""` is an empty text. Values are read by the same lossless rule as JSON's.
Written files open in a spreadsheet: UTF-8, a header, lines that end in LF, times with a blank in the
middle. A text that a spreadsheet would take for a formula is data, and written as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.contracts.format import BadRecord, Decoded, FileWriter, Format
from stream_magic.contracts.options import Options, option
from stream_magic.core.values import from_text, texts_to_array
from stream_magic.errors import ConfigError
from stream_magic.formats.csv.encode import encode_header, encode_lines
from stream_magic.formats.csv.records import Dialect, Fields

_GUESSES = (pa.int64(), pa.float64(), pa.bool_(), pa.timestamp("us"))
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, kw_only=True)
class CsvOptions(Options):
    delimiter: str = option("What parts two fields: one character.", default=",", example="';'")
    quote: str = option("Encloses fields that need it: one character.", default='"', example="''''")
    header: bool = option("The first line names the columns.", default=True, example="false")
    null: str = option("An unquoted field with this text is NULL.", default="", example="'NULL'")

    def __post_init__(self) -> None:
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if len(value) != 1 or not value.isascii() or value in "\r\n":
                raise ConfigError(
                    "SM7130", f"option {name}: '{value}' is not one character", hint="write ';'"
                )
        if self.delimiter == self.quote:
            raise ConfigError("SM7131", "options delimiter and quote are the same")


class CsvFormat(Format):
    """One line (or several, in quotes) for each row."""

    options_type = CsvOptions
    extension: ClassVar[str] = "csv"
    options: CsvOptions

    def __init__(self, options: CsvOptions) -> None:
        super().__init__(options)
        self.has_header = options.header
        self._dialect = Dialect(options.delimiter, options.quote, options.null)

    def infer(self, samples: Sequence[bytes], header: bytes | None = None) -> pa.Schema:
        rows = [fields for sample in samples if (fields := self._split(sample)) is not None]
        if header is not None:
            names = self._names(header)
        else:
            names = [f"column{i + 1}" for i in range(max(map(len, rows), default=0))]
        if not names:
            raise ConfigError(
                "SM7132",
                "no columns can be inferred: there is no line yet",
                hint="declare columns: CREATE SOURCE name (id BIGINT, ...) WITH (...)",
            )
        rows = [r for r in rows if len(r) == len(names)]
        return pa.schema([(name, _guess([r[i] for r in rows])) for i, name in enumerate(names)])

    def decode(self, payloads: pa.Array, schema: pa.Schema, header: bytes | None = None) -> Decoded:
        try:
            names = schema.names if header is None else self._names(header)
        except ConfigError as e:  # nobody knows what the fields are: all records are bad
            bad = tuple(BadRecord(i, e.message) for i in range(len(payloads)))
            return Decoded(schema.empty_table(), pa.array([], pa.int64()), bad)
        fields = Fields(payloads, len(names), self._dialect, named=header is not None)
        exactly, loosely = _places(names), _places(n.lower() for n in names)
        reasons = dict(fields.reasons)
        columns = []
        for field in schema:
            at = exactly.get(field.name, loosely.get(field.name.lower()))
            if at is None:
                columns.append(pa.nulls(fields.rows, field.type))
                continue
            column, unfit = texts_to_array(fields.column(at), field.type)
            columns.append(column)
            for row, why in unfit.items():
                reasons.setdefault(int(fields.places[row]), f"column '{field.name}': {why}")
        rows = pa.table(columns, schema=schema)
        places = pa.array(fields.places, pa.int64())
        if len(reasons) > len(fields.reasons):
            keep = pc.invert(pc.is_in(places, pa.array(list(reasons), pa.int64())))
            rows, places = rows.filter(keep), places.filter(keep)
        known = {f.name.lower() for f in schema}
        unknown = sum(n.lower() not in known for n in names)
        return Decoded(
            rows,
            None if not reasons else places,
            tuple(BadRecord(i, reasons[i]) for i in sorted(reasons)),
            unknown * rows.num_rows,
        )

    def encode(self, rows: pa.Table) -> list[bytes]:
        encoded: list[bytes] = encode_lines(rows, self._dialect).cast(pa.binary()).to_pylist()
        return encoded

    def frame(self, data: bytes, *, at_end: bool) -> tuple[list[bytes], int]:
        return self._dialect.frame(data, at_end=at_end)

    def open_file(self, stream: BinaryIO, schema: pa.Schema, *, at_start: bool) -> FileWriter:
        if at_start and self.options.header:
            stream.write(encode_header(schema.names, self._dialect) + b"\n")
        return _CsvWriter(stream, self._dialect)

    def _split(self, record: bytes) -> list[str | None] | None:
        try:
            return self._dialect.split(record.decode())
        except ValueError:
            return None

    def _names(self, header: bytes) -> list[str]:
        try:
            fields = self._dialect.split(header.removeprefix(_BOM).decode())
        except ValueError as e:
            raise ConfigError(
                "SM7133", f"the header line of the CSV data cannot be read: {e}"
            ) from None
        return [name or f"column{i + 1}" for i, name in enumerate(fields)]


class _CsvWriter(FileWriter):
    def __init__(self, stream: BinaryIO, dialect: Dialect) -> None:
        self._stream = stream
        self._dialect = dialect

    def write(self, rows: pa.Table) -> None:
        if rows.num_rows:
            lines: list[Any] = encode_lines(rows, self._dialect).cast(pa.binary()).to_pylist()
            self._stream.write(b"\n".join(lines) + b"\n")

    def close(self) -> None:
        """Nothing is held back."""


def _places(names: Iterable[str]) -> dict[str, int]:
    """Where each name stands first."""
    places: dict[str, int] = {}
    for i, name in enumerate(names):
        places.setdefault(name, i)
    return places


def _guess(texts: list[str | None]) -> pa.DataType:
    """The first type that all texts fit; ids with leading zeros stay text."""
    there = [t for t in texts if t is not None]
    padded = any(len(t) > 1 and t[0] == "0" and t.isdigit() for t in there)
    if not there or padded:
        return pa.string()
    for kind in _GUESSES:
        if all(_fits(t, kind) for t in there):
            return kind
    return pa.string()


def _fits(text: str, kind: pa.DataType) -> bool:
    if pa.types.is_timestamp(kind) and len(text) < len("2026-01-01 00:00"):
        return False
    if pa.types.is_integer(kind) and not text.lstrip("-").isdigit():
        return False  # 12.0 would fit, but says that there are fractions
    try:
        from_text(text, kind)
    except ValueError:
        return False
    return True
