"""Messages into columns by msgspec's typed decoder: strict, nested, for rows the SQL path leaves over.

It answers only where it provably gives the rule's answer: unknown keys, texts in number columns and
the like make it hand the message on to the exact path.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

import msgspec
import pyarrow as pa

from stream_magic.core.values import is_list, is_text, texts_to_array

_FLOAT32 = 3.4028234663852886e38


class Doubt(Exception):
    """The columns of these rows cannot be built here."""


class ColumnDecoder:
    """Decodes messages of one schema.

    Raises:
        Doubt: on construction, if the schema has a type that only the exact path knows.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._struct = _struct_type([(f.name, f.type) for f in schema])
        self.decode: Callable[[bytes], Any] = msgspec.json.Decoder(self._struct).decode

    def build(self, messages: Sequence[Any]) -> pa.Table:
        """Columns from decoded messages.

        Raises:
            Doubt: some value needs the exact path.
        """
        try:
            columns = _children(messages, [f.type for f in self._schema])
            return pa.table(columns, schema=self._schema)
        except (pa.ArrowException, OverflowError, ValueError, TypeError):
            raise Doubt from None


def _struct_type(fields: list[tuple[str, pa.DataType]]) -> type:
    """A msgspec struct with the fields f0, f1, ... under their own names in JSON."""
    names = [name for name, _ in fields]
    if len(set(names)) < len(names):
        raise Doubt
    members = [(f"f{i}", _optional(kind), None) for i, (_, kind) in enumerate(fields)]
    renamed = {f"f{i}": name for i, name in enumerate(names)}
    try:
        return msgspec.defstruct(
            "Message", members, rename=renamed, forbid_unknown_fields=True, gc=False
        )
    except ValueError:  # a name with a quote or a control character
        raise Doubt from None


def _optional(kind: pa.DataType) -> Any:
    inner = _python_type(kind)
    return inner if inner is msgspec.Raw else inner | None


def _python_type(kind: pa.DataType) -> Any:
    if pa.types.is_struct(kind):
        return _struct_type([(f.name, f.type) for f in kind])
    if pa.types.is_map(kind):
        if not is_text(kind.key_type):
            raise Doubt
        return dict[str, _optional(kind.item_type)]  # type: ignore[misc]
    if is_list(kind):
        return list[_optional(kind.value_type)]  # type: ignore[misc]
    if pa.types.is_boolean(kind):
        return bool
    if pa.types.is_integer(kind):
        return _integer_type(kind)
    if pa.types.is_float64(kind):
        return float
    if pa.types.is_float32(kind):
        return Annotated[float, msgspec.Meta(ge=-_FLOAT32, le=_FLOAT32)]
    if pa.types.is_decimal(kind):
        return msgspec.Raw  # with all its digits
    return str


def _integer_type(kind: pa.DataType) -> Any:
    bits = kind.bit_width
    if pa.types.is_unsigned_integer(kind):
        bounds = msgspec.Meta(ge=0) if bits == 64 else msgspec.Meta(ge=0, le=(1 << bits) - 1)
    else:
        bounds = msgspec.Meta(ge=-(1 << (bits - 1)), le=(1 << (bits - 1)) - 1)
    return Annotated[int, bounds]


def _children(structs: Sequence[Any], kinds: list[pa.DataType]) -> list[pa.Array]:
    filled = next((s for s in structs if s is not None), None)
    if filled is None:
        return [pa.nulls(len(structs), kind) for kind in kinds]
    blank = type(filled)()  # all fields None: stands for a NULL struct
    rows = map(msgspec.structs.astuple, [blank if s is None else s for s in structs])
    return [
        _array(values, kind) for values, kind in zip(zip(*rows, strict=True), kinds, strict=True)
    ]


def _array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    if pa.types.is_struct(kind):
        return _struct_array(values, kind)
    if pa.types.is_list(kind):
        items = [i for v in values if v is not None for i in v]
        inner = _array(items, kind.value_type)
        return pa.ListArray.from_arrays(_offsets(values), inner, type=kind)
    if pa.types.is_map(kind):
        return _map_array(values, kind)
    if is_list(kind):
        raise Doubt
    if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind):
        return pa.array(values, kind)
    texts = [_raw_text(v) for v in values] if pa.types.is_decimal(kind) else values
    column, reasons = texts_to_array(pa.array(texts, pa.string()), kind)
    if reasons:
        raise Doubt
    return column


def _struct_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    fields = list(kind)
    if not fields:
        raise Doubt
    mask = pa.array([v is None for v in values], pa.bool_())
    children = _children(values, [f.type for f in fields])
    return pa.StructArray.from_arrays(children, fields=fields, mask=mask)


def _map_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    keys = [k for v in values if v is not None for k in v]
    items = [i for v in values if v is not None for i in v.values()]
    return pa.MapArray.from_arrays(
        _offsets(values), _array(keys, kind.key_type), _array(items, kind.item_type), type=kind
    )


def _offsets(values: Sequence[Any]) -> pa.Array:
    """List offsets; the one of a NULL is NULL, as Arrow has it."""
    offsets: list[int | None] = []
    at = 0
    for v in values:
        offsets.append(None if v is None else at)
        at += 0 if v is None else len(v)
    return pa.array([*offsets, at], pa.int32())


def _raw_text(raw: msgspec.Raw | None) -> str | None:
    """The text of a number, also of one in quotes."""
    if raw is None:
        return None
    text = bytes(raw)
    if text == b"null":
        return None
    if b"\\" in text or text[:1] in b"[{tf":
        raise Doubt
    return text.strip(b'"').decode()
