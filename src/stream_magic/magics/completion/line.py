"""Tab on the line of a magic."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from stream_magic.contracts.options import describe_options
from stream_magic.contracts.registry import registry
from stream_magic.magics.completion.suggestions import Suggestions

if TYPE_CHECKING:
    from stream_magic.app.app import App
    from stream_magic.magics.notebook import Notebook

_OUTPUT = re.compile(r"\bAS\s+(\w+)", re.IGNORECASE)
_NODE_COMMANDS = ("preview", "describe", "explain", "drop", "errors")


def complete_line(notebook: Notebook, magic: str, before: str, body: str) -> Suggestions | None:
    """What may stand at the end of `before`, the line up to the cursor.

    Args:
        notebook: knows the app.
        magic: '%%stream', '%%cq' or '%stream'.
        before: begins with the magic.
        body: the cell below the line.
    """
    if not before.startswith(magic + " "):
        return None
    words = before[len(magic) :].split()
    fragment = "" if before[-1].isspace() else words.pop()
    found = Suggestions(fragment)
    app = notebook.known_app()
    option = words[-1][2:] if words and words[-1].startswith("--") else ""
    if option == "app" or magic == "%%stream":
        found.add(_apps(), "app")
    elif magic == "%stream":
        _command(found, words, app)
    elif option == "chart":
        found.add(registry.names("charts"), "chart")
    elif option and option != "once":
        found.add(_columns(app, words, body), "column")
    elif fragment.startswith("-"):
        found.add(_options(words), "option")
    return found.best()


def _command(found: Suggestions, words: list[str], app: App | None) -> None:
    from stream_magic.magics.commands import COMMANDS

    if not words:
        found.add(COMMANDS, "command")
    elif words[0] in _NODE_COMMANDS and len(words) == 1:
        found.add(app.status() if app is not None else (), "node")
    elif words[0] == "help" and len(words) == 1:
        found.add(COMMANDS, "command")
    if found.fragment.startswith("-"):
        found.add(["--app"], "option")


def _options(words: list[str]) -> list[str]:
    names = ["app", "chart", "once"]
    chart = words[words.index("--chart") + 1] if "--chart" in words[:-1] else None
    if chart in registry.names("charts"):
        names += [o.name for o in describe_options(registry.chart(str(chart)).options_type)]
    return [f"--{n}" for n in names if f"--{n}" not in words]


def _columns(app: App | None, words: list[str], body: str) -> list[str]:
    """Columns of the query: those of the running one, and what the text names with AS."""
    name = words[0] if words and not words[0].startswith("-") else ""
    known = app.schema(name).names if app is not None and name in app else []
    return [*known, *_OUTPUT.findall(body)]


def _apps() -> list[str]:
    if "stream_magic.app.session" not in sys.modules:
        return []
    from stream_magic.app.session import session

    return session().names()
