"""The JSON rule itself, one message at a time: what the faster paths must agree with.

A message is cut into raw texts by msgspec, which keeps to RFC 8259, and each text becomes a value
by the column's type. So a number keeps all its digits, and text columns get what was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pyarrow as pa

from stream_magic.core.values import from_text, is_list, is_text, shown, type_name

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_STRING = msgspec.json.Decoder(str)

_Reader = Callable[[bytes], Any]


class ExactDecoder:
    """Decodes messages of one schema; `unknown_keys` counts what good messages had beside it."""

    def __init__(self, schema: pa.Schema) -> None:
        self.unknown_keys = 0
        self._found_unknown = 0
        self._readers = {f.name: self._reader(f.type, f"column '{f.name}'") for f in schema}

    def decode(self, payload: bytes | None) -> list[Any]:
        """Values in the order of the columns.

        Raises:
            ValueError: the payload is no JSON object, or a value does not fit; says which.
        """
        self._found_unknown = 0
        values = self._members(_cut(payload), self._readers)
        self.unknown_keys += self._found_unknown
        return values

    def _members(self, found: dict[str, msgspec.Raw], readers: dict[str, _Reader]) -> list[Any]:
        values: list[Any] = []
        known = 0
        for name, read in readers.items():
            raw = found.get(name)
            if raw is None:
                values.append(None)
            else:
                known += 1
                values.append(read(bytes(raw)))
        self._found_unknown += len(found) - known
        return values

    def _reader(self, kind: pa.DataType, where: str) -> _Reader:
        if is_text(kind):
            return _read_text
        if pa.types.is_struct(kind):
            return self._struct_reader(kind, where)
        if pa.types.is_map(kind):
            return self._map_reader(kind, where)
        if is_list(kind):
            return self._list_reader(kind, where)
        return _scalar_reader(kind, where)

    def _struct_reader(self, kind: pa.DataType, where: str) -> _Reader:
        readers = {f.name: self._reader(f.type, f"{where[:-1]}.{f.name}'") for f in kind}

        def read(raw: bytes) -> Any:
            if raw == b"null":
                return None
            if raw[:1] != b"{":
                raise _unfit(raw, kind, where)
            return dict(zip(readers, self._members(_OBJECT.decode(raw), readers), strict=True))

        return read

    def _map_reader(self, kind: pa.DataType, where: str) -> _Reader:
        item = self._reader(kind.item_type, where)

        def read(raw: bytes) -> Any:
            if raw == b"null":
                return None
            if raw[:1] != b"{":
                raise _unfit(raw, kind, where)
            return [
                (_convert(key, kind.key_type, where), item(bytes(value)))
                for key, value in _OBJECT.decode(raw).items()
            ]

        return read

    def _list_reader(self, kind: pa.DataType, where: str) -> _Reader:
        item = self._reader(kind.value_type, where)
        size = kind.list_size if pa.types.is_fixed_size_list(kind) else None

        def read(raw: bytes) -> Any:
            if raw == b"null":
                return None
            if raw[:1] != b"[":
                raise _unfit(raw, kind, where)
            items = _ARRAY.decode(raw)
            if size is not None and len(items) != size:
                raise ValueError(f"{where}: {len(items)} items, the type has {size}")
            return [item(bytes(i)) for i in items]

        return read


def _cut(payload: bytes | None) -> dict[str, msgspec.Raw]:
    if payload is None:
        raise ValueError("the message has no value (NULL)")
    if not payload.strip(b" \t\r\n"):
        raise ValueError("the message is empty")
    try:
        payload.decode()  # msgspec does not look into the strings that it skips
        return _OBJECT.decode(payload)
    except UnicodeDecodeError as e:
        raise ValueError(f"the message is not UTF-8 (byte {e.start})") from None
    except RecursionError:
        raise ValueError("the message is nested too deeply") from None
    except msgspec.ValidationError:
        raise ValueError("the message is not a JSON object") from None
    except msgspec.DecodeError as e:
        raise ValueError(str(e)) from None


def _read_text(raw: bytes) -> str | None:
    """A text, or whatever else there is as it was written."""
    if raw[:1] == b'"':
        return _STRING.decode(raw)
    return None if raw == b"null" else raw.decode()


def _scalar_reader(kind: pa.DataType, where: str) -> _Reader:
    takes_bool = pa.types.is_boolean(kind)
    # JSON numbers fit numbers only: one that should be a time has no unit.
    takes_numbers = (
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)
    )

    def read(raw: bytes) -> Any:
        first = raw[:1]
        if first == b'"':
            return _convert(_STRING.decode(raw), kind, where)
        if raw == b"null":
            return None
        if first in b"tf" and takes_bool:
            return first == b"t"
        if takes_numbers and first not in b"tf[{":
            # The whole number -0 is 0; only -0.0 has a sign.
            return _convert("0" if raw == b"-0" else raw.decode(), kind, where)
        raise _unfit(raw, kind, where)

    return read


def _convert(text: str, kind: pa.DataType, where: str) -> Any:
    try:
        return from_text(text, kind)
    except ValueError as e:
        raise ValueError(f"{where}: {e}") from None


def _unfit(raw: bytes, kind: pa.DataType, where: str) -> ValueError:
    return ValueError(f"{where}: {shown(raw.decode())} does not fit {type_name(kind)}")
