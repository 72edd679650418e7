from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from stream_magic.app.app import App
from stream_magic.app.interrupts import uninterrupted


@pytest.fixture(autouse=True)
def _python_handles_interrupts() -> Iterator[None]:
    """As in a kernel; a shell's background job is started with interrupts ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_until_the_change_is_done():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_interrupt_is_not_held_back():
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        done.append(1)
    assert done == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_other_threads_are_not_concerned():
    ran = []

    def work() -> None:
        with uninterrupted():
            ran.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert ran == [signal.default_int_handler]


def test_a_cell_that_is_interrupted_while_it_takes_effect_is_whole(monkeypatch: pytest.MonkeyPatch):
    app = App("interrupted")
    app.execute("CREATE SOURCE s (id INT) WITH (connector = 'memory')")
    add = app._engine.add
    monkeypatch.setattr(
        app._engine, "add", lambda node: (signal.raise_signal(signal.SIGINT), add(node))
    )
    with pytest.raises(KeyboardInterrupt):
        app.execute("CREATE STREAM a AS SELECT id FROM s")
    app.push("s", [{"id": 1}])
    app.step()
    assert app["a"].preview().to_pylist() == [{"id": 1}]
    app.close()
