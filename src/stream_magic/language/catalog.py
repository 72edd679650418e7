"""What names mean: the relations of an app, as queries see them."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

import pyarrow as pa

from stream_magic.core.change import LATE_FIELD, SEQ_FIELD, WEIGHT_FIELD
from stream_magic.errors import LanguageError, Span

RelationKind = Literal["source", "stream", "table", "cache", "target", "errors"]

_SHOWN = 10  # names in a message

ERRORS_SCHEMA = pa.schema(
    [
        ("epoch", pa.int64()),
        ("at", pa.timestamp("us")),  # UTC, by the app's clock
        ("code", pa.string()),
        ("reason", pa.string()),
        ("position", pa.string()),
        ("raw", pa.binary()),
    ]
)


@dataclass(frozen=True)
class Relation:
    """A name that may stand in FROM.

    Attributes:
        name: as written when it was created.
        schema: the user's columns (types as DuckDB returns them to Arrow).
        types: their DuckDB types; HUGEINT, ENUM and some more do not survive Arrow and are cast back when read.
        is_changelog: rows have a weight; else rows are only added.
        time_column: the column that the watermark follows, or None.
        lateness_us: allowed lateness of the source behind it, microseconds.
        key: key columns (caches, grouped results), () if not known.
        inputs: names of the relations that it reads.
        is_bounded: it comes to an end.
        has_order: the rows' numbers of arrival do not depend on where epochs are cut.
        is_settled: of a changelog: what the watermark has passed does not change any more.
        windows: columns that say which window a row is of, and the column with its end, which the watermark closes.
    """

    name: str
    kind: RelationKind
    schema: pa.Schema
    types: tuple[str, ...]
    is_changelog: bool = False
    time_column: str | None = None
    lateness_us: int = 0
    key: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    is_bounded: bool = False
    has_order: bool = True
    is_settled: bool = False
    windows: Mapping[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """Lower-case name: names are compared without case, as DuckDB does."""
        return self.name.lower()

    @property
    def stream_schema(self) -> pa.Schema:
        """The schema of its deltas: the user's columns, then the engine's."""
        fields = [*self.schema, SEQ_FIELD]
        if self.time_column is not None:
            fields.append(LATE_FIELD)
        if self.is_changelog:
            fields.append(WEIGHT_FIELD)
        return pa.schema(fields)


CLOCK_RELATION = Relation(
    "the clock", "stream", pa.schema([]), (), time_column="now", is_bounded=True
)
"""Has no rows, and the app's clock for a watermark: windows over `proctime()` close by it."""


class Catalog:
    """Relations by name. Copied for a cell, so that a cell with an error changes nothing."""

    def __init__(self, relations: dict[str, Relation] | None = None) -> None:
        self._relations = dict(relations or {})

    def copy(self) -> Catalog:
        return Catalog(self._relations)

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._relations

    def __iter__(self) -> Iterator[Relation]:
        return iter(self._relations.values())

    def get(self, name: str) -> Relation | None:
        return self._relations.get(name.lower())

    def put(self, relation: Relation) -> None:
        self._relations[relation.id] = relation

    def remove(self, name: str) -> None:
        self._relations.pop(name.lower(), None)

    def roots(self, relation: Relation) -> frozenset[str]:
        """Ids of the relations in which its rows got their numbers of arrival."""
        above = (self._relations.get(name.lower()) for name in relation.inputs)
        found = [self.roots(r) for r in above if r is not None and r.kind != "cache"]
        return frozenset().union(*found) if found else frozenset([relation.id])

    def names(self) -> list[str]:
        return [r.name for r in self._relations.values() if r.kind != "errors"]

    def find(self, name: str, span: Span | None = None) -> Relation:
        """The relation of that name.

        Raises:
            LanguageError: SM2002, with the nearest name.
        """
        found = self.get(name)
        if found is not None:
            return found
        known = [r.name for r in self._relations.values()]
        close = difflib.get_close_matches(name, known, n=1)
        last = self.get(name.rpartition(".")[2]) if "." in name else None
        if last is not None:
            hint = f"names stand in no schema: write {last.name}"
        elif close:
            hint = f"did you mean '{close[0]}'?"
        elif names := self.names():
            more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
            hint = f"there are: {', '.join(names[:_SHOWN])}{more}"
        else:
            hint = "nothing has been created yet: begin with CREATE SOURCE"
        raise LanguageError(
            "SM2002", f"there is no stream, table or cache '{name}'", hint=hint, span=span
        )
