"""Cutting CSV text into records, and records into fields."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc


class Dialect:
    """The three characters of a CSV file, and the patterns made of them."""

    def __init__(self, delimiter: str, quote: str, null: str) -> None:
        self.delimiter, self.quote, self.null = delimiter, quote, null
        d, q = re.escape(delimiter), re.escape(quote)
        quoted = f"{q}(?:[^{q}]|{q}{q})*+{q}"
        plain = f"(?:[^{q}{d}\\n][^{d}\\n]*+)?+"
        field = f"(?:{quoted}|{plain})"
        # Possessive, so that a record that does not match costs its length and no more.
        self._record = re.compile(f"{field}(?:{d}{field})*+\\r?+(?:\\n|\\Z)".encode())
        self._open = re.compile(f"(?:{field}{d})*+{q}(?:[^{q}]|{q}{q})*+\\Z".encode())
        self._field = re.compile(f"({quoted})(?={d}|\\Z)|((?:[^{q}{d}][^{d}]*+)?+)(?={d}|\\Z)")

    def frame(self, data: bytes, *, at_end: bool) -> tuple[list[bytes], int]:
        """Records, and how many bytes they take: a newline in quotes ends nothing."""
        quote = self.quote.encode()
        if quote not in data:
            records = data.split(b"\n")
            rest = records.pop()
            used = len(data) - len(rest)
            if at_end and rest:
                records.append(rest)
                used = len(data)
            return [r.removesuffix(b"\r") for r in records], used
        records, at = [], 0
        while at < len(data):
            line_end = data.find(b"\n", at) + 1
            end = line_end or len(data)
            if data.find(quote, at, end) >= 0:
                found = self._record.match(data, at)
                if found is not None:
                    end = found.end()
                elif self._open.match(data, at) and not at_end:
                    break  # the closing quote may come
                # Else a quote in the wrong place: this line alone is a bad record.
            if data[end - 1 : end] != b"\n" and not at_end:
                break
            records.append(data[at:end].removesuffix(b"\n").removesuffix(b"\r"))
            at = end
        return records, at

    def split(self, record: str) -> list[str | None]:
        """The fields of one record; NULL as None.

        Raises:
            ValueError: a quote stands in the wrong place.
        """
        fields: list[str | None] = []
        at = 0
        while True:
            found = self._field.match(record, at)
            if found is None:
                raise ValueError(
                    f"field {len(fields) + 1} has text after its closing quote, or no closing quote"
                )
            quoted, plain = found.groups()
            if quoted is None:
                fields.append(None if plain == self.null else plain)
            else:
                fields.append(quoted[1:-1].replace(self.quote * 2, self.quote))
            at = found.end()
            if at == len(record):
                return fields
            at += 1


class Fields:
    """The fields of many records as text columns.

    Attributes:
        rows: number of records that have the right number of fields.
        places: index of the record of each row.
        reasons: why the other records are bad, by index.
    """

    def __init__(self, payloads: pa.Array, width: int, dialect: Dialect, *, named: bool) -> None:
        self.reasons: dict[int, str] = {}
        self._width = width
        self._dialect = dialect
        self._expected = f"the header has {width}" if named else f"there are {width} columns"
        texts, places = self._texts(payloads.cast(pa.binary()))
        quoted = pc.match_substring(texts, dialect.quote).to_numpy(zero_copy_only=False)
        self._plain, plain_places = self._split_plain(
            texts.filter(pa.array(~quoted)), places[~quoted]
        )
        self._rows, row_places = self._split_quoted(texts.filter(pa.array(quoted)), places[quoted])
        places = np.concatenate([plain_places, row_places])
        self._order = None if not self._rows else np.argsort(places, kind="stable")
        self.places = places if self._order is None else places[self._order]
        self.rows = len(self.places)

    def column(self, at: int) -> pa.Array:
        """The texts of field number `at`."""
        count = len(self._plain) // self._width
        plain = self._plain.take(pa.array(np.arange(count) * self._width + at))
        plain = _null_if(plain, self._dialect.null)
        if self._order is None:
            return plain
        quoted = pa.array([row[at] for row in self._rows], pa.string())
        return pa.concat_arrays([plain, quoted]).take(pa.array(self._order))

    def _texts(self, payloads: Any) -> tuple[pa.Array, np.ndarray]:
        if isinstance(payloads, pa.ChunkedArray):
            payloads = payloads.combine_chunks()
        places = np.arange(len(payloads))
        if payloads.null_count == 0:
            try:
                return payloads.cast(pa.string()), places
            except pa.ArrowInvalid:
                pass  # the record at fault is found below
        texts, kept = [], []
        for place, payload in enumerate(payloads.to_pylist()):
            if payload is None:
                self.reasons[place] = "the message has no value (NULL)"
                continue
            try:
                texts.append(payload.decode())
                kept.append(place)
            except UnicodeDecodeError as e:
                self.reasons[place] = f"the record is not UTF-8 (byte {e.start})"
        return pa.array(texts, pa.string()), np.array(kept, dtype=np.int64)

    def _split_plain(self, texts: pa.Array, places: np.ndarray) -> tuple[pa.Array, np.ndarray]:
        """Fields of records without a quote, row after row."""
        fields = pc.split_pattern(texts, self._dialect.delimiter)
        widths = pc.list_value_length(fields).to_numpy(zero_copy_only=False)
        right = widths == self._width
        if not right.all():
            for place, width in zip(places[~right], widths[~right], strict=True):
                self._bad_width(int(place), int(width))
            fields = fields.filter(pa.array(right))
        return fields.flatten(), places[right]

    def _split_quoted(
        self, texts: pa.Array, places: np.ndarray
    ) -> tuple[list[list[str | None]], np.ndarray]:
        rows, kept = [], []
        for place, text in zip(places.tolist(), texts.to_pylist(), strict=True):
            try:
                fields = self._dialect.split(text)
            except ValueError as e:
                self.reasons[place] = str(e)
                continue
            if len(fields) == self._width:
                rows.append(fields)
                kept.append(place)
            else:
                self._bad_width(place, len(fields))
        return rows, np.array(kept, dtype=np.int64)

    def _bad_width(self, place: int, width: int) -> None:
        self.reasons[place] = f"{width} field{'' if width == 1 else 's'}, {self._expected}"


def _null_if(texts: pa.Array, null: str) -> pa.Array:
    return pc.if_else(pc.equal(texts, null), pa.scalar(None, pa.string()), texts)
