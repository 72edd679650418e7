from __future__ import annotations

import re
from collections import Counter

import pytest

from stream_magic.views.assets import STATIC, script, style

ENTRIES = [p.name for p in STATIC.glob("*.js") if "export default" in p.read_text(encoding="utf-8")]


@pytest.mark.parametrize("entry", ENTRIES)
def test_a_widget_is_one_text_without_imports(entry: str) -> None:
    text = script(entry)
    assert not re.search(r"^import |^export (?!default)", text, re.MULTILINE)
    assert text.count("export default") == 1


def test_top_level_names_are_unique_over_all_files() -> None:
    names: Counter[str] = Counter()
    for path in STATIC.glob("*.js"):
        text = path.read_text(encoding="utf-8")
        names.update(
            re.findall(r"^(?:export )?(?:function|class|const|let) (\w+)", text, re.MULTILINE)
        )
    assert [n for n, times in names.items() if times > 1] == []


def test_nothing_is_loaded_from_elsewhere() -> None:
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|@import|@font-face", text), path.name


def test_tokens_are_scoped() -> None:
    assert ":root" not in style("table.css")
    assert "light-dark(#2f5dc2, #5383e5)" in style("table.css")
