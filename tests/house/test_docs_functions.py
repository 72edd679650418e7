"""The chapter on Python functions runs: its Python, its statements, and what it says comes out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import stream_magic
from support.python_functions import _functions  # noqa: F401

PAGE = Path(__file__).parents[2] / "docs" / "functions.md"
_BLOCK = re.compile(r"```(python|sql|result)\n(.*?)```", re.DOTALL)


@pytest.mark.usefixtures("_functions")
def test_the_chapter_on_functions_runs() -> None:
    app = stream_magic.App("docs")
    app.execute(
        "CREATE SOURCE orders (id INT, name VARCHAR, price DOUBLE, rate DOUBLE) WITH (connector = 'memory')"
    )
    app.push("orders", [
        {"id": 1, "name": "ada", "price": 11.9, "rate": 0.19}, {"id": 2, "price": 23.8, "rate": 0.19},
    ])  # fmt: skip
    scope: dict[str, Any] = {}
    made, results = "", 0
    for kind, text in _BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        if kind == "python":
            exec(text, scope)
        elif kind == "sql":
            app.execute(text)
            app.step()
            made = text.split()[2]
        else:
            shown = app.sql(f"SELECT * FROM {made} ORDER BY 1").df().to_string(index=False)
            assert shown.split() == text.split()
            results += 1
    assert results == 3
    scored = app.sql("SELECT score(price, rate) AS s FROM orders ORDER BY id").fetchall()
    assert scored[0][0] == pytest.approx(11.9 * 0.5 + 0.19**0.5)
    app.close()
