"""Sources start last and stop first."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_magic import App
from stream_magic.engine.delivery import Deliverer
from stream_magic.engine.ingest import LocalReader, Reader
from stream_magic.engine.lookup import CacheLoader

KINDS = {"cache": CacheLoader, "target": Deliverer, "source": Reader, "local source": LocalReader}


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What begins, before it does; what ends, when it has."""
    found: list[tuple[str, str]] = []

    def recording(method: Callable[..., Any], what: str, *, after: bool) -> Callable[..., Any]:
        def call(self: Any, *args: Any) -> Any:
            if not after:
                found.append((what, self.name))
            result = method(self, *args)
            if after:
                found.append((what, self.name))
            return result

        return call

    for kind in KINDS.values():
        monkeypatch.setattr(kind, "start", recording(kind.start, "start", after=False))
        monkeypatch.setattr(kind, "stop", recording(kind.stop, "stop", after=True))
    return found


def test_sources_start_last_and_stop_first(events: list[tuple[str, str]], tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": [1], "name": ["kite"]}), tmp_path / "names.parquet")
    (tmp_path / "in.csv").write_text("id\n1\n")
    app = App("t")
    app.execute(
        f"CREATE SOURCE f WITH (connector = 'file', path = '{tmp_path}/in.csv', mode = 'tail') FORMAT csv;"
        "CREATE SOURCE m (id BIGINT) WITH (connector = 'memory');"
        f"CREATE CACHE names KEY (id) WITH (connector = 'file', path = '{tmp_path}/names.parquet');"
        "CREATE STREAM j AS SELECT m.id, n.name FROM m JOIN names n ON n.id = m.id;"
        f"CREATE TARGET out FROM j WITH (connector = 'file', path = '{tmp_path}/out') FORMAT csv;"
        f"CREATE TARGET copy FROM f WITH (connector = 'file', path = '{tmp_path}/copy') FORMAT csv;"
    )
    app.start()
    started = [name for what, name in events if what == "start"]
    assert set(started[:3]) == {"names", "out", "copy"}
    assert set(started[3:]) == {"f", "m"}
    events.clear()
    app.stop()
    stopped = list(dict.fromkeys(name for what, name in events if what == "stop"))
    assert set(stopped[:2]) == {"f", "m"}
    assert set(stopped[2:]) == {"names", "out", "copy"}
    app.close()
