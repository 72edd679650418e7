"""What is offered at a cursor."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Item:
    """One offer: the text that takes the fragment's place, and what it is."""

    text: str
    kind: str


@dataclass
class Suggestions:
    """Offers for the fragment before the cursor, in the order in which they are shown."""

    fragment: str
    items: list[Item] = field(default_factory=list)

    def add(self, texts: Iterable[str], kind: str) -> None:
        """Keeps those that begin with the fragment, without case."""
        start = self.fragment.lower()
        self.items += [Item(t, kind) for t in texts if t.lower().startswith(start)]

    def best(self) -> Suggestions:
        """Without doubles, the first of equal texts; a single offer that is already there is none."""
        seen: dict[str, Item] = {}
        for item in self.items:
            seen.setdefault(item.text, item)
        items = list(seen.values())
        if [i.text for i in items] == [self.fragment]:
            items = []
        return Suggestions(self.fragment, items)
