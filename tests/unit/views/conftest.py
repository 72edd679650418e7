from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import comm
import pytest
from comm.base_comm import BaseComm

from stream_magic.views.pump import Pump


class Wire(list[dict[str, Any]]):
    """What the kernel sent to the browser: one dict a message."""

    def updates(self, ident: str | None = None) -> list[dict[str, Any]]:
        """The state changes, with their binary parts put back."""
        return [
            m["state"] for m in self if m["method"] == "update" and ident in (None, m["comm_id"])
        ]

    def customs(self) -> list[dict[str, Any]]:
        return [m["content"] for m in self if m["method"] == "custom"]


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    """Widgets without a kernel: the messages are recorded."""
    recorded = Wire()

    class RecordingComm(BaseComm):
        def publish_msg(self, msg_type: str, data: Any = None, metadata: Any = None,
                        buffers: Any = None, **keys: Any) -> None:  # fmt: skip
            del metadata, keys
            if msg_type != "comm_msg":
                return
            state = data.get("state")
            for path, buffer in zip(data.get("buffer_paths", []), buffers or [], strict=True):
                place = state
                for step in path[:-1]:
                    place = place[step]
                place[path[-1]] = bytes(buffer)
            recorded.append({**data, "comm_id": self.comm_id})

    monkeypatch.setattr(comm, "create_comm", lambda *a, **k: RecordingComm(*a, **k))
    yield recorded
    import ipywidgets

    ipywidgets.Widget.close_all()


class HandTime:
    """Monotonic seconds moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class HandPump(Pump):
    """A pump without its thread: `turn()` lets every view be due and serves it."""

    def __init__(self) -> None:
        self.time = HandTime()
        super().__init__(self.time)

    def add(self, view: Any, *, start: bool = False) -> None:
        super().add(view, start=start)

    def turn(self, seconds: float = 0.5) -> None:
        self.time.now += seconds
        self.tick()


@pytest.fixture
def pump() -> HandPump:
    return HandPump()
