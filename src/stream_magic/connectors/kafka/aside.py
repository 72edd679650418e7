"""Calls of the client that may not come back in time."""

from __future__ import annotations

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue


def call_aside(call: Callable[[], None], is_hopeless: Callable[[], bool]) -> bool:
    """Calls in a thread of its own, which is left alone when there is no hope.

    librdkafka ignores the time that it is given to send offsets in a transaction while the group's coordinator
    is away (its issue 5456). What is left behind ends when brokers are back, with an error: whoever opens the
    target again has fenced its producer by then.

    Returns:
        False if the call was left alone; what it raises is raised here.
    """
    answer: SimpleQueue[Exception | None] = SimpleQueue()

    def ask() -> None:
        try:
            call()
        except Exception as e:  # raised again by the caller  # noqa: BLE001
            answer.put(e)
        else:
            answer.put(None)

    threading.Thread(target=ask, name="stream_magic kafka transaction", daemon=True).start()
    while True:
        try:
            error = answer.get(timeout=0.5)
        except Empty:
            if is_hopeless():
                return False
        else:
            break
    if error is not None:
        raise error
    return True
