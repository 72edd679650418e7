"""JSON, one object a message: RFC 8259 in and out, lossless or an error row.

The rule: a missing key is NULL; an unknown key is left out and counted; of equal keys the last
counts; 12.0 and "12" fit an integer column, 1.5 and overflows do not; a number fits a text column
as its own text, an object or list as its JSON text. `exact` is the rule, `columns` and `fast` are
quicker ways to the same answers; each hands on the messages that it cannot prove to be plain.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any, BinaryIO, ClassVar

import numpy as np
import pyarrow as pa

from stream_magic.contracts.format import BadRecord, Decoded, FileWriter, Format
from stream_magic.contracts.options import Options
from stream_magic.core.values import is_text
from stream_magic.formats.json.columns import ColumnDecoder, Doubt
from stream_magic.formats.json.encode import encode_lines
from stream_magic.formats.json.exact import ExactDecoder
from stream_magic.formats.json.fast import FastDecoder
from stream_magic.formats.json.infer import infer_schema

_FAST_FROM = 128  # rows: below, the fixed cost of a query is more than it saves
_PROBE = 512  # rows that tell whether the rest is plain enough for the fast path
_EXACT_TO = 32  # rows: among so few, each is looked at by itself


class JsonFormat(Format):
    """One JSON object for each row; files hold one a line (JSON lines)."""

    extension: ClassVar[str] = "jsonl"

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self._decoders: dict[
            pa.Schema, _Decoders
        ] = {}  # made once: a schema is used again and again

    def infer(self, samples: Sequence[bytes], header: bytes | None = None) -> pa.Schema:  # noqa: ARG002
        return infer_schema(samples)

    def decode(
        self,
        payloads: pa.Array,
        schema: pa.Schema,
        header: bytes | None = None,  # noqa: ARG002
    ) -> Decoded:
        decoders = self._decoders.get(schema)
        if decoders is None or not decoders.schema.equals(schema):
            decoders = self._decoders[schema] = _Decoders(schema)
        return _Decoding(payloads, decoders).result()

    def encode(self, rows: pa.Table) -> list[bytes]:
        encoded: list[bytes] = encode_lines(rows).cast(pa.binary()).to_pylist()
        return encoded

    def frame(self, data: bytes, *, at_end: bool) -> tuple[list[bytes], int]:
        records = data.split(b"\n")
        rest = records.pop()
        used = len(data) - len(rest)
        if at_end and rest:
            records.append(rest)
            used = len(data)
        return [r.removesuffix(b"\r") for r in records], used

    def open_file(self, stream: BinaryIO, schema: pa.Schema, *, at_start: bool) -> FileWriter:  # noqa: ARG002
        return _LinesWriter(stream)


class _LinesWriter(FileWriter):
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def write(self, rows: pa.Table) -> None:
        if rows.num_rows:
            lines = encode_lines(rows)
            self._stream.write(b"\n".join(lines.cast(pa.binary()).to_pylist()) + b"\n")

    def close(self) -> None:
        """Nothing is held back."""


class _Decoders:
    """The quick paths that there are for a schema."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.fast = FastDecoder(schema) if FastDecoder.supports(schema) else None
        self.is_plain = False  # the last messages were: no need to probe the next
        self.columns: ColumnDecoder | None = None
        with contextlib.suppress(Doubt):
            self.columns = ColumnDecoder(schema)


class _Decoding:
    """One call of `decode`: three paths, each taking what the one before left over."""

    def __init__(self, payloads: pa.Array, decoders: _Decoders) -> None:
        self._payloads = payloads.cast(pa.binary())
        if isinstance(self._payloads, pa.ChunkedArray):
            self._payloads = self._payloads.combine_chunks()
        self._schema = decoders.schema
        self._decoders = decoders
        self._parts: list[pa.Table] = []
        self._places: list[np.ndarray] = []
        self._bad: list[BadRecord] = []
        self._unknown = 0

    def result(self) -> Decoded:
        total = len(self._payloads)
        rest = self._fast(np.arange(total))
        self._typed(rest)
        if not self._parts:
            rows = self._schema.empty_table()
            places = np.array([], dtype=np.int64)
        else:
            rows, places = pa.concat_tables(self._parts), np.concatenate(self._places)
            if len(self._parts) > 1:
                order = np.argsort(places, kind="stable")
                rows, places = rows.take(pa.array(order)), places[order]
        good = None if len(places) == total else pa.array(places, pa.int64())
        self._bad.sort(key=lambda b: b.index)
        return Decoded(rows, good, tuple(self._bad), self._unknown)

    def _fast(self, places: np.ndarray) -> np.ndarray:
        """Takes the plain rows; returns the places of the others."""
        decoder = self._decoders.fast
        if len(places) < _FAST_FROM or decoder is None:
            return places
        if self._decoders.is_plain:
            rest = self._fast_part(decoder, places)
            self._decoders.is_plain = 2 * len(rest) <= len(places)
            return rest
        rest = self._fast_part(decoder, places[:_PROBE])
        if 2 * len(rest) > _PROBE:
            return np.concatenate([rest, places[_PROBE:]])
        self._decoders.is_plain = True
        return np.concatenate([rest, self._fast_part(decoder, places[_PROBE:])])

    def _fast_part(self, decoder: FastDecoder, places: np.ndarray) -> np.ndarray:
        if len(places) == 0:
            return places
        chosen = self._payloads.slice(places[0], len(places))
        filled = np.ones(len(places), dtype=bool)
        if chosen.null_count:
            filled = chosen.is_valid().to_numpy(zero_copy_only=False)
            chosen = chosen.drop_null()
        decoded = decoder.decode(chosen)
        clean = np.zeros(len(places), dtype=bool)
        clean[filled] = decoded.clean
        self._unknown += decoded.unknown_keys
        self._add(decoded.rows, places[clean])
        return places[~clean]

    def _typed(self, places: np.ndarray) -> None:
        """Decodes by msgspec's types; messages that do not fit these go to the exact path."""
        if self._decoders.columns is None:
            self._exact(places)
            return
        messages, taken, odd = [], [], []
        decode = self._decoders.columns.decode
        chosen = (
            self._payloads
            if len(places) == len(self._payloads)
            else self._payloads.take(pa.array(places))
        )
        for place, payload in zip(places.tolist(), chosen.to_pylist(), strict=True):
            try:
                messages.append(decode(payload))
                taken.append(place)
            except (ValueError, RecursionError, TypeError):  # TypeError: a NULL payload
                odd.append(place)
        self._build(messages, np.array(taken, dtype=np.int64))
        self._exact(np.array(odd, dtype=np.int64))

    def _build(self, messages: list[Any], places: np.ndarray) -> None:
        if not messages or self._decoders.columns is None:
            return
        try:
            self._add(self._decoders.columns.build(messages), places)
        except Doubt:
            if len(messages) <= _EXACT_TO:
                self._exact(places)
                return
            half = len(messages) // 2
            self._build(messages[:half], places[:half])
            self._build(messages[half:], places[half:])

    def _exact(self, places: np.ndarray) -> None:
        if len(places) == 0:
            return
        decoder = ExactDecoder(self._schema)
        values: list[list[Any]] = []
        good = []
        for place in places.tolist():
            try:
                values.append(decoder.decode(self._payloads[place].as_py()))
                good.append(place)
            except ValueError as e:
                self._bad.append(BadRecord(place, str(e)))
        self._unknown += decoder.unknown_keys
        if values:
            columns = zip(zip(*values, strict=True), self._schema, strict=True)
            rows = pa.table([_array(v, f.type) for v, f in columns], schema=self._schema)
            self._add(rows, np.array(good, dtype=np.int64))

    def _add(self, rows: pa.Table, places: np.ndarray) -> None:
        if len(places):
            self._parts.append(rows)
            self._places.append(places)


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if is_text(kind):  # ENUM: Arrow makes no dictionaries from Python values of a given type
        return pa.array(values, pa.string()).cast(kind)
    return pa.array(values, kind)
