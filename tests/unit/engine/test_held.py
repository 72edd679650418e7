"""Rows of a side of a join that is soon forgotten."""

from __future__ import annotations

import pyarrow as pa
import pytest

from stream_magic.core.change import SEQ_FIELD
from stream_magic.engine.operators.base import Turn
from stream_magic.engine.operators.held import Held
from stream_magic.engine.state import Database

_SCHEMA = pa.schema([pa.field("_c0", pa.int64()), SEQ_FIELD])


def _rows(first: int, count: int) -> pa.Table:
    numbers = pa.array(range(first, first + count), pa.int64())
    return pa.table([numbers, numbers], schema=_SCHEMA)


def _held(database: Database) -> Held:
    return Held(database, _SCHEMA, ["_c0"], ["BIGINT"])


def _sum(database: Database, held: Held) -> int:
    found: int = database.arrow(f"SELECT sum(_c0)::BIGINT AS s FROM {held.rows}")["s"][0].as_py()
    return found


def _broken(database: Database, held: Held) -> None:
    with database.transaction():
        held.apply(held.change(_rows(10, 10), Turn()))
        held.delete("_c0 < 5")
        raise RuntimeError


def test_rows_are_there_until_they_are_forgotten() -> None:
    database = Database()
    held = _held(database)
    with database.transaction():
        for first in range(0, 100, 10):
            held.apply(held.change(_rows(first, 10), Turn()))
    assert (held.count(), _sum(database, held)) == (100, 4_950)
    assert database.arrow(f"FROM {held.delta}").num_rows == 10
    with database.transaction():
        assert held.delete("_c0 < 90") == 90
        assert held.delete("_c0 < 90") == 0
    assert (held.count(), _sum(database, held)) == (10, 945)
    assert held.size().rows == 10


def test_what_an_epoch_did_is_undone_with_it() -> None:
    database = Database()
    held = _held(database)
    with database.transaction():
        held.apply(held.change(_rows(0, 10), Turn()))
    with pytest.raises(RuntimeError):
        _broken(database, held)
    assert (held.count(), _sum(database, held)) == (10, 45)


def test_many_small_changes_are_few_parts() -> None:
    database = Database()
    held = _held(database)
    with database.transaction():
        for first in range(1_000):
            held.apply(held.change(_rows(first, 1), Turn()))
    parts = held._kept.table.to_batches()
    assert len(parts) < 20
    assert _sum(database, held) == sum(range(1_000))
