"""Golden files: `test_parse.py` gets every `parse/*.txt` as the fixture `golden`.

A file's first line is `# ` and the one idea that it holds. Then come sections: a line that begins
with a word of the module's SECTIONS opens one; the rest of that line is its `head`, the lines
below are its `body`. Sections may come more than once, in any order.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest


@dataclass
class Section:
    name: str
    head: str = ""
    lines: list[str] = field(default_factory=list)

    @property
    def body(self) -> str:
        return "\n".join(self.lines)


class Golden:
    def __init__(self, path: Path, names: tuple[str, ...], *, update: bool) -> None:
        self.path, self.update = path, update
        self.title, *lines = path.read_text(encoding="utf-8").rstrip("\n").split("\n")
        assert self.title.startswith("# "), f"{path.name}: the first line is '# ' and a sentence"
        self.sections: list[Section] = []
        for line in lines:
            word, _, head = line.partition(" ")
            if word in names:
                self.sections.append(Section(word, head.strip()))
            else:
                self.sections[-1].lines.append(line)

    def __getitem__(self, name: str) -> str:
        """The body of the first section of that name."""
        return next(s.body for s in self.sections if s.name == name)

    def check(self, section: Section | str, actual: str) -> None:
        """Compares with what the file says, or with --update-golden writes it there."""
        if isinstance(section, str):
            named = [s for s in self.sections if s.name == section]
            if not named and self.update:
                named = [Section(section)]
                self.sections += named
            section = named[0]
        if not self.update:
            assert actual == section.body
            return
        section.lines = actual.split("\n") if actual else []
        text = [self.title]
        for s in self.sections:
            text += [f"{s.name} {s.head}".rstrip(), *s.lines]
        self.path.write_text("\n".join(text) + "\n", encoding="utf-8")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "golden" in metafunc.fixturenames:
        here = Path(metafunc.module.__file__)
        folder = here.parent / here.stem.removeprefix("test_")
        files = sorted(f for f in folder.rglob("*.txt") if f.name != "not_yet.txt")
        assert files, f"no golden files for {here.name}"
        ids = [f.relative_to(folder).with_suffix("").as_posix() for f in files]
        metafunc.parametrize("golden", files, ids=ids, indirect=True)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    update = bool(request.config.getoption("--update-golden"))
    return Golden(request.param, request.module.SECTIONS, update=update)
