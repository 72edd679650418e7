"""Pieces of sessions by id: put, dropped, taken back, and tidied, against a dict."""

from __future__ import annotations

import random

import numpy as np
import pyarrow as pa
import pytest

from stream_magic.engine.keyed import sessions
from stream_magic.engine.keyed.columns import Number, Values
from stream_magic.engine.keyed.sessions import Pieces, SessionPieces

_KEYS = pa.schema([("k", pa.string())])


def _made() -> SessionPieces:
    return SessionPieces(_KEYS, [Number(pa.int64(), "sum")])


def _given(rows: dict[int, int]) -> tuple[np.ndarray, Pieces]:
    ids = np.array(list(rows), np.int64)
    values = np.array(list(rows.values()), np.int64)
    keys = pa.table([pa.array([f"key {i}" for i in rows], pa.string())], schema=_KEYS)
    return ids, Pieces(keys, ids * 10, ids * 10 + 5, [Values((values,), values >= 0)])


def _content(pieces: SessionPieces) -> dict[str, tuple[int, int, int | None]]:
    there = pieces.all()
    (value,) = there.values
    numbers = [
        n if ok else None for n, ok in zip(value.words[0].tolist(), value.valid, strict=True)
    ]
    rows = zip(there.first.tolist(), there.last.tolist(), numbers, strict=True)
    return dict(zip(there.keys.column("k").to_pylist(), rows, strict=True))


def _expected(rows: dict[int, int]) -> dict[str, tuple[int, int, int | None]]:
    return {f"key {i}": (i * 10, i * 10 + 5, v if v >= 0 else None) for i, v in rows.items()}


@pytest.mark.parametrize("seed", range(20))
def test_what_is_there_is_what_was_put_and_not_dropped(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_FORGET", 3)
    rng = random.Random(seed)
    pieces, there, next_id = _made(), dict[int, int](), 0
    for _ in range(30):
        pieces.tidy()
        before = dict(there)
        chosen = rng.sample(sorted(there), min(len(there), rng.randrange(4)))
        fresh = list(range(next_id, next_id + rng.randrange(5)))
        put = {i: rng.randrange(-1, 100) for i in (*chosen, *fresh)}
        undo = [pieces.put(*_given(put))]
        there |= put
        gone = rng.sample(sorted(there), rng.randrange(len(there) + 1))
        slots = pieces.slots(np.array([*gone, 999_999], np.int64))
        assert slots[-1] == -1
        undo.append(pieces.drop(slots))
        there = {i: v for i, v in there.items() if i not in gone}
        assert _content(pieces) == _expected(there)
        if rng.random() < 0.3:
            for back in reversed(undo):
                back()
            there = before
            assert _content(pieces) == _expected(there)
        else:
            next_id += len(fresh)
        assert pieces.size == len(there)


def test_places_of_sessions_that_are_gone_are_let_go() -> None:
    pieces = _made()
    for first in range(0, 200_000, 2_000):
        pieces.tidy()
        ids, given = _given({i: i for i in range(first, first + 2_000)})
        pieces.put(ids, given)
        pieces.drop(pieces.slots(ids[:-1]))
    assert pieces.size == 100
    assert pieces.nbytes < 2_000_000
