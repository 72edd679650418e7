"""Columns of the relations in FROM, and the fields of nested ones."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from stream_magic.magics.completion.suggestions import Suggestions

if TYPE_CHECKING:
    import pyarrow as pa

    from stream_magic.app.app import App

_RELATION = re.compile(
    r"\b(?:FROM|JOIN)\s+(?:(?P<window>TUMBLE)\s*\(\s*)?(?P<name>[A-Za-z_]\w*(?:\s*\.\s*\w+)?)"
    r"(?(window)[^)]*\))(?:\s+(?:AS\s+)?(?P<alias>[A-Za-z_]\w*))?",
    re.IGNORECASE,
)
_NO_ALIAS = frozenset(
    "where join on using left right full inner cross group order having limit emit union with as format".split()  # noqa: SIM905
)


def relations(app: App | None, statement: str) -> dict[str, tuple[pa.Schema, bool]]:
    """By alias, or by name without one: the schema, and whether a window adds its bounds."""
    found: dict[str, tuple[pa.Schema, bool]] = {}
    for match in _RELATION.finditer(statement):
        name = re.sub(r"\s", "", match["name"])
        if app is None or name not in app:
            continue
        alias = match["alias"]
        label = alias if alias and alias.lower() not in _NO_ALIAS else name
        found[label] = (app.schema(name), match["window"] is not None)
    return found


def add_columns(found: Suggestions, app: App | None, statement: str) -> None:
    """Columns and aliases that a SELECT may name."""
    there = relations(app, statement)
    for schema, is_window in there.values():
        found.add(schema.names, "column")
        if is_window:
            found.add(("window_start", "window_end"), "column")
    found.add(there, "alias")


def add_path(found: Suggestions, app: App | None, statement: str, path: str) -> None:
    """What may follow the last dot of `o.after.`: columns of an alias, fields of a STRUCT."""
    first, *rest = path.split(".")
    if first.lower() == "errors" and not rest and app is not None:
        found.add(app.status(), "stream")
        return
    there = relations(app, statement)
    named = next((s for label, (s, _) in there.items() if label.lower() == first.lower()), None)
    fields = list(named) if named is not None else None
    if fields is None:
        rest = [first, *rest]
        fields = [f for schema, _ in there.values() for f in schema]
    for name in rest:
        inner = next((f.type for f in fields if f.name.lower() == name.lower()), None)
        fields = _fields(inner)
    found.add([f.name for f in fields], "column" if named is not None and not rest else "field")


def _fields(kind: pa.DataType | None) -> list[pa.Field]:
    import pyarrow as pa

    if kind is None or not pa.types.is_struct(kind):
        return []
    return [kind.field(i) for i in range(kind.num_fields)]
