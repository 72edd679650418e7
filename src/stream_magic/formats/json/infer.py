"""A schema from samples: the narrowest types that every sample fits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pyarrow as pa

from stream_magic.core.values import from_text
from stream_magic.errors import ConfigError

_DECODER = msgspec.json.Decoder(float_hook=float)
_BIGINT = 1 << 63
_TIMESTAMP = pa.timestamp("us")


def infer_schema(samples: Sequence[bytes]) -> pa.Schema:
    """Columns in order of first appearance.

    Objects become STRUCT, arrays LIST, whole numbers BIGINT, fractions DOUBLE, ISO texts with a
    time TIMESTAMP; what differs between samples is VARCHAR (as its JSON text).

    Raises:
        ConfigError: no sample is a JSON object with a key.
    """
    seen: dict[str, list[Any]] = {}
    for sample in samples:
        try:
            message = _DECODER.decode(sample)
        except (ValueError, RecursionError):
            continue  # will be an error row
        if isinstance(message, dict):
            for name, value in message.items():
                seen.setdefault(name, []).append(value)
    if not seen:
        raise ConfigError(
            "SM7110",
            "no columns can be inferred: no sample is a JSON object",
            hint="declare columns: CREATE SOURCE name (id BIGINT, ...) WITH (...)",
        )
    return pa.schema([(name, _infer(values)) for name, values in seen.items()])


def _infer(values: list[Any]) -> pa.DataType:
    there = [v for v in values if v is not None]
    if not there:
        return pa.string()
    kinds = {type(v) for v in there}
    if kinds == {bool}:
        return pa.bool_()
    if kinds == {int} and all(-_BIGINT <= v < _BIGINT for v in there):
        return pa.int64()
    if kinds == {int}:
        fits = all(0 <= v < 2 * _BIGINT for v in there)
        return pa.uint64() if fits else pa.string()
    if kinds <= {int, float}:
        # A number beyond 2^53 would lose digits, 1e400 does not fit at all.
        exact = all(isinstance(v, float) or abs(v) <= 1 << 53 for v in there)
        finite = all(abs(v) < float("inf") for v in there)
        return pa.float64() if exact and finite else pa.string()
    if kinds == {str}:
        return _TIMESTAMP if all(_is_timestamp(v) for v in there) else pa.string()
    if kinds == {list}:
        return pa.list_(_infer([item for v in there for item in v]))
    if kinds == {dict}:
        return _struct(there)
    return pa.string()


def _struct(values: list[dict[str, Any]]) -> pa.DataType:
    fields: dict[str, list[Any]] = {}
    for value in values:
        for name, item in value.items():
            fields.setdefault(name, []).append(item)
    if not fields:
        return pa.string()  # a STRUCT needs a field
    return pa.struct([(name, _infer(items)) for name, items in fields.items()])


def _is_timestamp(text: str) -> bool:
    if len(text) < len("2026-01-01T00:00"):  # dates alone stay text
        return False
    try:
        from_text(text, _TIMESTAMP)
    except ValueError:
        return False
    return True
