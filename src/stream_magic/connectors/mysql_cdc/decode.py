"""Reads raw row images into column lists with a function compiled for each table.

Every type in the log is either of fixed width or a length followed by bytes. So neighbouring fixed
columns of a row without NULLs are unpacked by one call of `struct`, which is what makes this fast
(docs/decisions/0004). What the raw values mean is for `values.py`, column by column.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

from stream_magic.connectors.mysql_cdc import events
from stream_magic.connectors.mysql_cdc.events import LogColumn

# (data, at, end, most) -> (offset behind the images read, their number); the lists are bound.
ReadImages = Callable[[bytes, int, int, int], tuple[int, int]]


@dataclass(frozen=True)
class Shape:
    """How a raw value lies in a row: by a struct code, or with a length of `prefix` bytes before it."""

    fixed: str = ""
    prefix: int = 0


def shape_of(column: LogColumn) -> Shape:
    """The shape of a column's values.

    Raises:
        ValueError: the type is unknown, so that nothing behind it can be read either.
    """
    code, size = column.code, column.size
    fraction = (column.scale + 1) // 2
    if code in _FIXED:
        signed, unsigned = _FIXED[code]
        return Shape(unsigned if column.is_unsigned else signed)
    if code in (events.VARCHAR, events.STRING, events.VAR_STRING):
        return Shape(prefix=2 if size > 255 else 1)
    if code in (events.BLOB, events.GEOMETRY, events.JSON, events.VECTOR):
        return Shape(prefix=size)
    widths = {
        events.TIMESTAMP2: 4 + fraction,
        events.DATETIME2: 5 + fraction,
        events.TIME2: 3 + fraction,
        events.NEWDECIMAL: decimal_width(size, column.scale),
        events.BIT: size,
        events.ENUM: size,
        events.SET: size,
    }
    if code not in widths:
        raise ValueError(f"column {column.name} has the type {code}, which is not known")
    return Shape(f"{widths[code]}s")


_FIXED = {
    events.TINY: ("b", "B"), events.SHORT: ("h", "H"), events.LONG: ("i", "I"),
    events.LONGLONG: ("q", "Q"), events.INT24: ("3s", "3s"), events.FLOAT: ("f", "f"),
    events.DOUBLE: ("d", "d"), events.YEAR: ("B", "B"), events.DATE: ("3s", "3s"),
    events.NEWDATE: ("3s", "3s"), events.TIME: ("3s", "3s"), events.TIMESTAMP: ("I", "I"),
    events.DATETIME: ("Q", "Q"),
}  # fmt: skip

_DIGIT_BYTES = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)


def decimal_width(precision: int, scale: int) -> int:
    """Bytes of a DECIMAL: four for each nine digits, less for the rest."""
    whole, rest = divmod(precision - scale, 9)
    fraction, last = divmod(scale, 9)
    return whole * 4 + _DIGIT_BYTES[rest] + fraction * 4 + _DIGIT_BYTES[last]


def compile_reader(
    columns: Sequence[LogColumn], present: int, wanted: dict[int, list[Any]]
) -> ReadImages:
    """A function that reads images of these columns into lists.

    Args:
        columns: of the table map.
        present: bit i is set if the images hold column i.
        wanted: the list of each column to keep, by its number; the others are skipped.
    """
    shapes = tuple((i, shape_of(c)) for i, c in enumerate(columns) if present >> i & 1)
    code, structs = _compile(shapes, frozenset(wanted))
    names: dict[str, Any] = {f"put{i}": values.append for i, values in wanted.items()}
    names |= {f"unpack{n}": Struct("<" + text).unpack_from for n, text in enumerate(structs)}
    exec(code, names)  # noqa: S102 - the text is ours: it holds numbers only, no name of the table
    read: ReadImages = names["read"]
    return read


@lru_cache(maxsize=256)
def _compile(
    shapes: tuple[tuple[int, Shape], ...], wanted: frozenset[int]
) -> tuple[Any, tuple[str, ...]]:
    writer = _Writer(wanted)
    width = (len(shapes) + 7) // 8
    lines = [
        "def read(data, at, end, most):",
        "    count = 0",
        "    while at < end and count < most:",
        f"        nulls = int.from_bytes(data[at:at + {width}], 'little')",
        f"        at += {width}",
        "        if not nulls:",
        *writer.without_nulls(shapes),
        "        else:",
        *writer.with_nulls(shapes),
        "        count += 1",
        "    return at, count",
    ]
    return compile("\n".join(lines), "<row reader>", "exec"), tuple(writer.structs)


class _Writer:
    """Writes the two ways through a row."""

    def __init__(self, wanted: frozenset[int]) -> None:
        self._wanted = wanted
        self.structs: list[str] = []

    def without_nulls(self, shapes: Sequence[tuple[int, Shape]]) -> list[str]:
        lines: list[str] = []
        codes, targets = "", []
        for i, shape in shapes:
            codes += shape.fixed or _PREFIX_CODES[shape.prefix]
            targets.append(f"v{i}")
            if shape.prefix:
                lines += [*self._unpack(codes, targets), *self._take(i, shape.prefix)]
                codes, targets = "", []
            elif i not in self._wanted:
                targets[-1] = "_"
        if codes:
            lines += self._unpack(codes, targets)
        lines += [f"put{i}(v{i})" for i, _ in shapes if i in self._wanted]
        return ["            " + line for line in lines or ["pass"]]

    def with_nulls(self, shapes: Sequence[tuple[int, Shape]]) -> list[str]:
        lines = []
        for bit, (i, shape) in enumerate(shapes):
            is_wanted = i in self._wanted
            lines.append(f"if nulls & {1 << bit}:")
            lines.append(f"    put{i}(None)" if is_wanted else "    pass")
            lines.append("else:")
            inner = self._unpack(shape.fixed or _PREFIX_CODES[shape.prefix], [f"v{i}"])
            if shape.prefix:
                inner += self._take(i, shape.prefix)
            if is_wanted:
                inner.append(f"put{i}(v{i})")
            lines += ["    " + line for line in inner]
        return ["            " + line for line in lines or ["pass"]]

    def _unpack(self, codes: str, targets: list[str]) -> list[str]:
        if codes not in self.structs:
            self.structs.append(codes)
        n = self.structs.index(codes)
        return [
            f"{', '.join(targets)}, = unpack{n}(data, at)",
            f"at += {Struct('<' + codes).size}",
        ]

    def _take(self, i: int, prefix: int) -> list[str]:
        """From a length in v{i} to the bytes; a slice past the end must not pass for a short value."""
        length = f"int.from_bytes(v{i}, 'little')" if prefix == 3 else f"v{i}"
        lines = [f"stop = at + {length}", "if stop > end: raise ValueError('the event is cut off')"]
        if i in self._wanted:
            lines.append(f"v{i} = data[at:stop]")
        return [*lines, "at = stop"]


_PREFIX_CODES = {1: "B", 2: "H", 3: "3s", 4: "I"}
