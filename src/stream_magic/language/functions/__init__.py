"""SQL functions that are written out as plain SQL, a family a file: ours, and those of installed packages."""

from __future__ import annotations

import functools

from stream_magic.contracts.macro import Macro
from stream_magic.contracts.registry import registry
from stream_magic.language.functions import aggregates, series


@functools.cache
def macros() -> dict[str, tuple[Macro, ...]]:
    """All by their names, those of one name together."""
    found: dict[str, tuple[Macro, ...]] = {}
    families = [
        aggregates.MACROS,
        series.MACROS,
        *(registry.functions(n) for n in registry.names("functions")),
    ]
    for macro in (m for family in families for m in family):
        found[macro.name] = (*found.get(macro.name, ()), macro)
    return found
