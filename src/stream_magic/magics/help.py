"""`%stream help WORD`: a command, an error code, a connector or a format."""

from __future__ import annotations

import difflib
import inspect
import re
from typing import TYPE_CHECKING, Any

from stream_magic import errors
from stream_magic.contracts.options import describe_options
from stream_magic.contracts.registry import Group
from stream_magic.errors import ConfigError, StreamMagicError
from stream_magic.magics.arguments import Word
from stream_magic.magics.display import Cell, Grid, Sentence

if TYPE_CHECKING:
    from stream_magic.magics.commands import Command

_CODE = re.compile(r"SM(\d)\d{3}", re.IGNORECASE)
_GROUPS: tuple[Group, ...] = ("sources", "targets", "caches", "formats", "charts")
_GENERAL = """What a message says: the code, what is wrong in your own names, the place in the cell
(^^^), and after 'hint:' what to write or do instead. A cell with an error changes nothing."""


def help_on(word: Word, commands: dict[str, Command]) -> Any:
    """Raises ConfigError for a word that nothing is known about."""
    name = word.text.lower()
    if name in commands:
        return Sentence(f"{commands[name].usage}\n    {inspect.getdoc(commands[name].run)}")
    code = _CODE.fullmatch(word.text)
    if code is not None:
        found = family(code[1])
        if found is not None:
            return Sentence(f"{word.text.upper()} is one of {found}\n\n{_GENERAL}")
    return _plugin(word, commands)


def family(digit: str) -> str | None:
    """What all codes SM<digit>nnn have in common: the docstring of their class."""
    for kind in vars(errors).values():
        if not (isinstance(kind, type) and issubclass(kind, StreamMagicError)):
            continue
        doc = inspect.getdoc(kind) or ""
        if kind is not StreamMagicError and f"SM{digit}xxx" in doc:
            return f"{kind.__name__}: {doc}"
    return None


def _plugin(word: Word, commands: dict[str, Command]) -> Any:
    from stream_magic.contracts.registry import registry

    name = word.text.lower()
    rows = [
        [Cell(group.removesuffix("s"), "quiet"), Cell(o.name), Cell(o.type, "quiet"),
         Cell("required" if o.required else o.default), Cell(o.doc), Cell(o.example)]
        for group in _GROUPS if name in registry.names(group)
        for o in describe_options(getattr(registry, group.removesuffix("s"))(name).options_type)
    ]  # fmt: skip
    if rows:
        heads = ("", "option", "type", "default", "meaning", "example")
        return Grid(name, heads, (False,) * len(heads), rows)
    known = [*commands, *(n for group in _GROUPS for n in registry.names(group))]
    close = difflib.get_close_matches(name, known, n=1)
    hint = (
        f"did you mean '{close[0]}'?"
        if close
        else "write a command, a code such as SM2003, a connector or a format"
    )
    raise ConfigError("SM7071", f"there is no help on '{word.text}'", hint=hint, span=word.span)
