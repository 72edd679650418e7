"""A cell before it takes effect: every statement is checked here, nothing runs yet.

A draft holds what the app would be after the cell. If a statement fails, the draft is thrown away.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from stream_magic.app.secrets import SecretStore
from stream_magic.engine.dataflow import RunningNode
from stream_magic.language.catalog import ERRORS_SCHEMA, Catalog, Relation
from stream_magic.language.statements import Create

_ERRORS_TYPES = ("BIGINT", "TIMESTAMP", "VARCHAR", "VARCHAR", "VARCHAR", "BLOB")


@dataclass(frozen=True)
class Definition:
    """What a name stands for: its statement, the canonical text, and what it reads."""

    statement: Create
    fingerprint: str
    relation: Relation
    address: str = ""  # of a target: a source that reads it borrows its schema

    def calls(self, function: str) -> bool:
        """It is a query that calls this function."""
        query = getattr(self.statement, "query", None)
        if query is None:
            return False
        names = (str(c.this).lower() for c in query.ast.find_all(exp.Anonymous))
        return function.lower() in names


@dataclass
class Draft:
    """The state of an app after a cell.

    Attributes:
        catalog: names as queries see them.
        definitions: by id, inputs before outputs.
        changed: ids that are new or another than before, in order; `makers` make their nodes.
        dropped: ids that are gone.
        warnings: sentences for the user.
    """

    catalog: Catalog
    definitions: dict[str, Definition]
    secrets: SecretStore
    settings: dict[str, str]
    makers: dict[str, Callable[[], RunningNode]] = field(default_factory=dict)
    dropped: list[str] = field(default_factory=list)
    rebuilt: set[str] = field(default_factory=set)  # changed only because something above did
    warnings: list[str] = field(default_factory=list)

    def put(
        self, definition: Definition, make: Callable[[], RunningNode], *, is_rebuilt: bool
    ) -> None:
        relation = definition.relation
        self.definitions[relation.id] = definition
        self.makers.pop(relation.id, None)
        self.makers[relation.id] = make
        if is_rebuilt:
            self.rebuilt.add(relation.id)
        else:
            self.rebuilt.discard(relation.id)
        if relation.kind != "target":
            self.catalog.put(relation)
        self.catalog.put(errors_relation(relation))

    def drop(self, name: str) -> None:
        key = name.lower()
        self.definitions.pop(key, None)
        self.makers.pop(key, None)
        self.catalog.remove(key)
        self.catalog.remove(f"errors.{key}")
        self.dropped.append(key)

    def readers(self, name: str) -> list[Definition]:
        """Definitions that read this name or its errors, directly."""
        wanted = {name.lower(), f"errors.{name.lower()}"}
        return [
            d for d in self.definitions.values() if wanted & {i.lower() for i in d.relation.inputs}
        ]


def errors_relation(relation: Relation) -> Relation:
    """`errors.NAME`: what NAME could not handle."""
    return Relation(
        f"errors.{relation.name}", "errors", ERRORS_SCHEMA, _ERRORS_TYPES, inputs=(relation.name,)
    )
