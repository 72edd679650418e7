"""Writes docs/reference from the code (connectors and their options, error codes), and what docs/language takes from it.

`make docs` runs it; with `--examples` it runs those of docs/language and writes their results. `tests/house/test_docs.py` and `tests/golden/test_reference.py` fail while a page is old.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import reference

from stream_magic.contracts.options import describe_options
from stream_magic.contracts.registry import Group, registry
from stream_magic.language.functions import series

_MARK, _END = "<!-- made of the code: macros -->", "<!-- end -->"
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
    found = _found()
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


def _found() -> dict[str, set[str]]:
    """The sentences of each code."""
    found: dict[str, set[str]] = {}
    for path in sorted((ROOT / "src").rglob("*.py")):
        for code, message in _messages(ast.parse(path.read_text(encoding="utf-8"))):
            found.setdefault(code, set()).add(message)
    return found


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


def refused() -> str:
    """Every code of what has no rule, with the cells of tests/golden that meet it."""
    cells = _refused_cells()
    lines = [
        "# What is refused", "",
        "What has no incremental rule is refused when the cell runs, never run wrongly. Each code with examples and the whole text that",
        "their author reads: what to write instead is the hint. Written from tests/golden by `make docs`.", "",
    ]  # fmt: skip
    for code, messages in sorted(_found().items()):
        if code[2] != "3":
            continue
        lines += [f"## {code}", ""]
        if code not in cells:
            lines += [f"{' / '.join(sorted(m for m in messages if m))}", ""]
        for cell, error in cells.get(code, [])[:3]:
            lines += ["```sql refused", *cell, "```", "", "```text", *error, "```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _refused_cells() -> dict[str, list[tuple[list[str], list[str]]]]:
    """For each code: cells and what is said of them, from the golden files."""
    found: dict[str, list[tuple[list[str], list[str]]]] = {}
    for path in sorted((ROOT / "tests" / "golden" / "bind").glob("*.txt")):
        text = path.read_text(encoding="utf-8").partition("\ncell\n")[2]
        for part in text.split("\ncell\n"):
            cell, _, error = part.rstrip("\n").partition("\nerror\n")
            found.setdefault(error[:6], []).append((cell.split("\n"), error.split("\n")))
    return found


def macro_table() -> str:
    """Every time series helper with its meaning."""
    lines = []
    for macro in series.MACROS:
        lines += [f"`{macro.usage}` is {macro.doc}:", "", "```sql meaning", macro.sql, "```", ""]
    return "\n".join(lines)


def with_macros(page: str) -> str:
    """The page with the table between its marks."""
    before, opening, rest = page.partition(_MARK)
    return before + opening + "\n\n" + macro_table() + "\n" + _END + rest.partition(_END)[2]


PAGE_TEXTS = {"connectors.md": connectors, "errors.md": errors}


def main(arguments: list[str]) -> int:
    PAGES.mkdir(exist_ok=True)
    for name, text in PAGE_TEXTS.items():
        (PAGES / name).write_text(text(), encoding="utf-8")
    (reference.FOLDER / "refused.md").write_text(refused(), encoding="utf-8")
    page = reference.FOLDER / "series.md"
    page.write_text(with_macros(page.read_text(encoding="utf-8")), encoding="utf-8")
    if "--examples" in arguments:
        for path, text in reference.written().items():
            path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
