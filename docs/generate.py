"""Writes the pages of docs/reference from the code: connectors and their options, error codes.

`make docs` runs it; `tests/house/test_docs.py` fails while a page is old.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

from stream_magic.contracts.options import describe_options
from stream_magic.contracts.registry import Group, registry

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "reference"
_TITLES: dict[Group, str] = {
    "sources": "Sources",
    "targets": "Targets",
    "caches": "Caches",
    "formats": "Formats",
    "charts": "Charts",
}
_FAMILIES = {
    "1": "the text is not StreamSQL",
    "2": "a name or a type does not fit",
    "3": "there is no incremental rule",
    "4": "an outside system cannot be used",
    "5": "a row cannot be decoded or computed",
    "6": "a target did not take its rows",
    "7": "an option, a secret or a setting is wrong",
    "8": "not allowed",
    "9": "our fault",
}


def connectors() -> str:
    """Every plugin with its options."""
    lines = ["# Connectors, formats, charts", "", "Generated from the code by `make docs`.", ""]
    for group, title in _TITLES.items():
        lines += [f"## {title}", ""]
        for name in registry.names(group):
            lines += list(_plugin(group, name))
    return "\n".join(lines).rstrip() + "\n"


def _plugin(group: Group, name: str) -> Iterator[str]:
    plugin = getattr(registry, group.removesuffix("s"))(name)
    yield f"### {name}"
    yield ""
    yield " ".join((plugin.__doc__ or "").split("\n\n")[0].split())
    yield ""
    options = describe_options(plugin.options_type)
    if not options:
        yield "No options."
        yield ""
        return
    yield "| option | type | default | meaning | example |"
    yield "| --- | --- | --- | --- | --- |"
    for o in options:
        default = "required" if o.required else o.default
        yield (
            "| "
            + " | ".join(_cell(c) for c in (f"`{o.name}`", o.type, default, o.doc, o.example))
            + " |"
        )
    yield ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def errors() -> str:
    """Every code in the source with its sentence; what stands in braces is filled in."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for code, message in _messages(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(code, set()).add(message)
    lines = [
        "# Error codes",
        "",
        "Generated from the code by `make docs`. What stands in braces is filled in.",
        "",
    ]
    for digit, family in _FAMILIES.items():
        codes = sorted(c for c in found if c[2] == digit)
        if codes:
            lines += [f"## SM{digit}xxx: {family}", ""]
            lines += [
                f"- **{c}** {' / '.join(sorted(m for m in found[c] if m)) or '...'}" for c in codes
            ]
            lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def _messages(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        first = node.args[0]
        if (
            isinstance(first, ast.Constant)
            and isinstance(first.value, str)
            and _is_code(first.value)
        ):
            yield first.value, _text(node.args[1]) if len(node.args) > 1 else ""


def _is_code(text: str) -> bool:
    return len(text) == 6 and text.startswith("SM") and text[2:].isdigit()


def _text(node: ast.expr) -> str:
    if isinstance(node, ast.Constant):
        return str(node.value)
    if isinstance(node, ast.JoinedStr):
        return "".join(
            str(v.value) if isinstance(v, ast.Constant) else f"{{{ast.unparse(v.value)}}}"
            for v in node.values
            if isinstance(v, ast.Constant | ast.FormattedValue)
        )
    return ""


PAGE_TEXTS = {"connectors.md": connectors, "errors.md": errors}


def main() -> int:
    PAGES.mkdir(exist_ok=True)
    for name, text in PAGE_TEXTS.items():
        (PAGES / name).write_text(text(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
