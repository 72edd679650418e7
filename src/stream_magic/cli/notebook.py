"""The cells of a notebook that run without it: statements, queries, and Python functions with their imports."""

from __future__ import annotations

import ast
import json
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """A cell of statements, or a query with a name."""

    text: str
    app: str
    query: str = ""


class Notebook:
    """Reads cells from the first to the last; Python functions are defined as they come."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._app = "main"
        self._scope: dict[str, Any] = {"__name__": "__main__"}

    def cells(self) -> Iterator[Cell]:
        """The `%%stream` and `%%cq` cells."""
        for number, cell in enumerate(json.loads(self._path.read_text(encoding="utf-8"))["cells"]):
            source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
            if cell["cell_type"] != "code":
                continue
            if source.lstrip().startswith("%%"):
                yield from self._statements(source.lstrip(), number)
            else:
                self._python(source, number)

    def _statements(self, source: str, number: int) -> Iterator[Cell]:
        head, _, body = source.partition("\n")
        words = shlex.split(head)
        if words[0] == "%%stream":
            self._app = words[1] if len(words) > 1 else self._app
            yield Cell(body, self._app)
        elif words[0] == "%%cq" and "--once" not in words:
            name = words[1] if len(words) > 1 and not words[1].startswith("-") else f"cq_{number}"
            yield Cell(body, self._app, name)

    def _python(self, source: str, number: int) -> None:
        """All of a cell that defines functions; of others the imports."""
        try:
            tree = ast.parse(source)
        except SyntaxError:  # %magic, !shell: the notebook's own business
            return
        if not any(_is_udf(node) for node in tree.body):
            tree.body = [n for n in tree.body if isinstance(n, ast.Import | ast.ImportFrom)]
        if tree.body:
            code = compile(tree, f"{self._path.name}, cell {number + 1}", "exec")
            exec(code, self._scope)  # noqa: S102  # whoever runs a notebook runs its Python


def _is_udf(node: ast.stmt) -> bool:
    """A function decorated with `udf`, called or not, however it was imported."""
    if not isinstance(node, ast.FunctionDef):
        return False
    named = [d.func if isinstance(d, ast.Call) else d for d in node.decorator_list]
    return any(getattr(d, "attr", getattr(d, "id", "")) == "udf" for d in named)
