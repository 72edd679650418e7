"""The JavaScript and CSS of the widgets, from `static/`.

The files are plain ES modules that import each other by `./name.js`. anywidget takes one
self-contained text, so a module and what it imports are joined in order, without the
`import` lines and the `export` words. Top-level names are therefore unique over all files.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

STATIC = Path(__file__).with_name("static")
_IMPORT = re.compile(r'^import \{[^}]*\} from "\./([a-z_]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?!default)", re.MULTILINE)


@cache
def script(entry: str) -> str:
    """The text of `entry` with all that it imports before it."""
    parts: list[str] = []
    _collect(entry, parts, set())
    return "\n".join(parts)


def _collect(name: str, parts: list[str], seen: set[str]) -> None:
    if name in seen:
        return
    seen.add(name)
    text = (STATIC / name).read_text(encoding="utf-8")
    for imported in _IMPORT.findall(text):
        _collect(imported, parts, seen)
    parts.append(_EXPORT.sub("", _IMPORT.sub("", text)))


@cache
def style(*names: str) -> str:
    """The tokens, the frame, and the named style sheets."""
    return "\n".join(
        (STATIC / n).read_text(encoding="utf-8") for n in ("tokens.css", "frame.css", *names)
    )
