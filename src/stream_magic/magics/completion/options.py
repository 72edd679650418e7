"""Names and values inside WITH ( ... ) and FORMAT name ( ... ), from the declared options."""

from __future__ import annotations

from stream_magic.contracts.options import OptionInfo, describe_options
from stream_magic.contracts.registry import Group, registry
from stream_magic.magics.completion.suggestions import Suggestions

_GROUPS: dict[str, Group] = {"SOURCE": "sources", "TARGET": "targets", "CACHE": "caches"}
_OWN = {"SECRET": ("value", "env", "file"), "STREAM": ("retention",), "TABLE": ("retention",)}


def add_option_names(found: Suggestions, tokens: tuple[str, ...], kind: str) -> None:
    """Options that are not given yet, required ones first."""
    given = _given(tokens)
    if kind in _OWN:
        found.add([f"{n} = " for n in _OWN[kind] if n not in given], "option")
        return
    if _format_of(tokens) is None and "connector" not in given:
        found.add(["connector = '"], "option")
        return
    for info in _infos(tokens, kind):
        name = info.name.removesuffix("*")
        if name not in given:
            found.add([name if name.endswith(".") else f"{name} = "], "option")


def add_option_values(
    found: Suggestions, tokens: tuple[str, ...], kind: str, *, in_quotes: bool
) -> None:
    """Values for the option before the last `=`."""
    name = _name_before_equals(tokens)
    quote = "" if in_quotes else "'"
    if name == "connector" and kind in _GROUPS:
        found.add([f"{quote}{n}{quote}" for n in registry.names(_GROUPS[kind])], "connector")
        return
    info = next((i for i in _infos(tokens, kind) if i.name == name), None)
    if info is None:
        return
    if info.choices:
        found.add([f"{quote}{c}{quote}" for c in info.choices], "value")
    elif not in_quotes and info.type.startswith("true"):
        found.add(("true", "false"), "value")
    elif not in_quotes:
        found.add([t for t in (info.default, info.example) if t], "value")
        if info.type in ("secret", "text"):
            found.add(["secret('"], "function")


def _infos(tokens: tuple[str, ...], kind: str) -> list[OptionInfo]:
    format_name = _format_of(tokens)
    if format_name is not None:
        if format_name not in registry.names("formats"):
            return []
        return describe_options(registry.format(format_name).options_type)
    connector = _given(tokens).get("connector", "").strip("'")
    group = _GROUPS.get(kind)
    if group is None or connector not in registry.names(group):
        return []
    plugin = getattr(registry, group.removesuffix("s"))(connector)
    return describe_options(plugin.options_type)


def _bracket(tokens: tuple[str, ...]) -> int:
    """Where the innermost open bracket is."""
    depth = 0
    for at in range(len(tokens) - 1, -1, -1):
        depth += {")": 1, "(": -1}.get(tokens[at], 0)
        if depth < 0:
            return at
    return -1


def _format_of(tokens: tuple[str, ...]) -> str | None:
    """The format's name if the cursor is in its brackets."""
    at = _bracket(tokens)
    return tokens[at - 1].lower() if at >= 2 and tokens[at - 2].upper() == "FORMAT" else None


def _given(tokens: tuple[str, ...]) -> dict[str, str]:
    """Options before the cursor with their values as written. Dotted names keep their first part."""
    inside = tokens[_bracket(tokens) + 1 :]
    return {
        inside[i - 1].lower(): inside[i + 1] for i in range(1, len(inside) - 1) if inside[i] == "="
    }


def _name_before_equals(tokens: tuple[str, ...]) -> str:
    return tokens[-2].lower() if len(tokens) > 1 else ""
