"""Docs are read by tests: reference pages are those of the code, and pages name what there is."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from stream_magic.language import statements

ROOT = Path(__file__).parents[2]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["connectors.md", "errors.md"])
def test_the_reference_is_that_of_the_code(page: str) -> None:
    written = (ROOT / "docs" / "reference" / page).read_text(encoding="utf-8")
    assert written == generator().PAGE_TEXTS[page](), "run `make docs`"


def test_the_language_page_names_every_statement() -> None:
    page = (ROOT / "docs" / "language.md").read_text(encoding="utf-8")
    kinds = [
        k
        for k in vars(statements).values()
        if isinstance(k, type) and issubclass(k, statements.Statement)
    ]
    words = {k.word for k in kinds if k.word and k.word != "SELECT"}
    assert {w for w in words if w not in page} == set()


def test_links_between_pages_lead_somewhere() -> None:
    pages = [
        ROOT / "README.md",
        ROOT / "ARCHITECTURE.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").rglob("*.md"),
    ]
    broken = [
        f"{page.name}: {link}"
        for page in pages
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]
    assert broken == []


def test_versions_agree() -> None:
    import tomllib

    import stream_magic

    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == stream_magic.__version__


def test_no_file_names_a_registry_or_a_machine_path() -> None:
    import subprocess

    files = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    words = [
        "pypi" + ".org",
        "registry." + "npmjs",
        "files.python" + "hosted",
        "repo1." + "maven",
        "/ro" + "ot/",
        "/wo" + "rk/",
    ]
    found = []
    for name in files:
        path = ROOT / name
        if path.suffix in {".png", ".parquet", ".gz"} or not path.is_file():
            continue
        text = path.read_text(encoding="utf-8", errors="ignore")
        found += [f"{name}: {w}" for w in words if w in text]
    assert found == []
