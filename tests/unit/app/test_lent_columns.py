from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pytest

from stream_magic import App
from stream_magic.contracts.options import Options, SourceOptions, option
from stream_magic.contracts.registry import registry
from stream_magic.contracts.source import PAYLOAD, Source, SourceBatch
from stream_magic.contracts.target import Target
from stream_magic.core.epoch import Mark, Position
from stream_magic.errors import ConnectorError, NotThereError

SHELVES: dict[str, list[bytes]] = {}


@dataclass(frozen=True, kw_only=True)
class ShelfOptions(SourceOptions):
    shelf: str = option("Where messages lie.", example="'a'")
    is_locked: bool = option("Nobody may read.", default=False)


@dataclass(frozen=True, kw_only=True)
class ShelfTargetOptions(Options):
    shelf: str = option("Where messages lie.", example="'a'")


class ShelfSource(Source):
    options_type = ShelfOptions
    options: ShelfOptions
    takes_format = True

    def __init__(self, options, context) -> None:
        super().__init__(options, context)
        self.address = f"shelf://{options.shelf}"

    def check(self) -> None:
        if self.options.is_locked:
            raise ConnectorError("SM4998", "the shelf is locked")
        self._messages(transient=False)

    def open(self, position: Position | None) -> None:
        self._messages(transient=True)
        self._next = int(str(position["next"])) if position else 0

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        found = self._messages(transient=True)[self._next :]
        if not found:
            return None
        self._next += len(found)
        return SourceBatch(pa.table({PAYLOAD: pa.array(found, pa.binary())}), {"next": self._next})

    def close(self) -> None:
        return

    def _messages(self, *, transient: bool) -> list[bytes]:
        if self.options.shelf not in SHELVES:
            raise NotThereError("SM4999", "there is no such shelf", transient=transient)
        return SHELVES[self.options.shelf]


class ShelfTarget(Target):
    options_type = ShelfTargetOptions
    options: ShelfTargetOptions
    takes_format = True

    def __init__(self, options, context) -> None:
        super().__init__(options, context)
        self.address = f"shelf://{options.shelf}"

    def open(self) -> None:
        SHELVES.setdefault(self.options.shelf, [])

    def last_mark(self) -> Mark | None:
        return None

    def write(self, mark: Mark, rows: pa.Table) -> None:
        SHELVES[self.options.shelf] += self.context.format.encode(rows)

    def close(self) -> None:
        return


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> Iterator[App]:
    SHELVES.clear()
    known = {("sources", "shelf"): ShelfSource, ("targets", "shelf"): ShelfTarget}
    monkeypatch.setattr(registry, "_added", {**registry._added, **known})
    app = App("t")
    app.execute("CREATE SOURCE s (id INT, what STRUCT(name VARCHAR)) WITH (connector = 'memory');")
    yield app
    app.close()


def test_a_source_may_read_what_a_target_of_the_same_cell_has_yet_to_make(app: App) -> None:
    app.execute(
        "CREATE TARGET t FROM s WITH (connector = 'shelf', shelf = 'a') FORMAT json;"
        "CREATE SOURCE back WITH (connector = 'shelf', shelf = 'a') FORMAT json;"
    )
    assert app.schema("back") == app.schema("s")
    app.push("s", [{"id": 7, "what": {"name": "kite"}}])
    app.start()
    arrived = app["back"]
    while not arrived.preview().num_rows:
        app.drain()
    assert arrived.preview().to_pylist() == [{"id": 7, "what": {"name": "kite"}}]


def test_what_nobody_of_the_app_will_make_fails_the_cell(app: App) -> None:
    with pytest.raises(NotThereError):
        app.execute("CREATE SOURCE b (id INT) WITH (connector = 'shelf', shelf = 'b') FORMAT json")
    assert "b" not in app


def test_a_lent_source_still_fails_the_cell_for_what_will_not_mend_itself(app: App) -> None:
    app.execute("CREATE TARGET t FROM s WITH (connector = 'shelf', shelf = 'a') FORMAT json;")
    with pytest.raises(ConnectorError, match="locked"):
        app.execute(
            "CREATE SOURCE back WITH (connector = 'shelf', shelf = 'a', is_locked = true) FORMAT json"
        )
