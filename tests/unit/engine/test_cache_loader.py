"""A cache that cannot be loaded again keeps what it has, and says since when."""

from __future__ import annotations

import threading
from datetime import timedelta

import pyarrow as pa

from stream_magic.contracts.cache import Cache, CacheContext, CacheOptions
from stream_magic.contracts.testkit import ManualClock
from stream_magic.engine.lookup import CacheLoader
from stream_magic.errors import ConnectorError

ROWS = pa.table({"id": [1, 2], "name": ["a", "b"]})
WAIT_S = 10


class Shelf(Cache):
    """Gives rows once; then it cannot."""

    def __init__(self, clock: ManualClock, error: Exception) -> None:
        options = CacheOptions(refresh=timedelta(microseconds=1))
        super().__init__(options, CacheContext("shelf", "app", clock))
        self.is_read = False
        self.error = error
        self.may_fail = threading.Event()

    def schema(self) -> pa.Schema:
        return ROWS.schema

    def load(self) -> pa.Table:
        if self.is_read:
            self.may_fail.wait(WAIT_S)
            raise self.error
        self.is_read = True
        return ROWS


def message_after(error: Exception) -> tuple[str, str, CacheLoader]:
    clock = ManualClock("2026-01-01 10:00:00")
    shelf = Shelf(clock, error)
    loader = CacheLoader("shelf", shelf, ("id",), ROWS.schema, clock)
    loader.start()
    assert loader.wait_loaded(WAIT_S)
    loader.swap()
    clock.advance(3600)
    shelf.may_fail.set()
    with loader._changed:
        assert loader._changed.wait_for(lambda: loader.message, WAIT_S)
        found = loader.state, loader.message
    loader.stop()
    return *found, loader


def test_the_old_rows_are_kept_and_it_is_said_since_when() -> None:
    state, message, loader = message_after(ConnectorError("SM4120", "line 3 is not JSON"))
    assert state == "reconnecting"
    kept = "the rows loaded at 2026-01-01 10:00:00 UTC are kept"
    assert message == f"line 3 is not JSON; {kept}"
    assert loader.rows.equals(ROWS)


def test_a_fault_of_the_connector_keeps_them_too() -> None:
    state, message, loader = message_after(ZeroDivisionError("division by zero"))
    assert state == "failed"
    assert message.startswith("ZeroDivisionError: division by zero; the rows loaded at 2026-01-01")
    assert loader.rows.equals(ROWS)
