"""Caches at work: loaded whole by a thread, swapped between two epochs."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from stream_magic.contracts.cache import Cache
from stream_magic.core.clock import Clock
from stream_magic.engine.key_index import KeyIndex, make_index
from stream_magic.engine.row_errors import RowError, RowErrors
from stream_magic.errors import StreamMagicError
from stream_magic.language.binder import quote
from stream_magic.security.redact import redact

_RETRY_S = (0.5, 30.0)
_STOP_S = 5.0


@dataclass(frozen=True)
class Loaded:
    """One load: a row a key, where they are, and the rows that lost against a later one of the same key."""

    rows: pa.Table
    index: KeyIndex | None
    duplicates: pa.Table


class CacheLoader:
    """Loads at the start and every `refresh`; keeps the old rows while loading fails."""

    def __init__(
        self, name: str, cache: Cache, key: tuple[str, ...], schema: pa.Schema, clock: Clock
    ) -> None:
        self.name = name
        self.cache = cache
        self.state = "waiting"
        self.message = ""
        self.rows = schema.empty_table()
        self.index = make_index(self.rows, key)
        self.duplicates = schema.empty_table()
        self.loads = 0
        self.loaded_at_us: int | None = None
        self.on_load: threading.Event | None = None
        self._key = key
        self._schema = schema
        self._clock = clock
        self._changed = threading.Condition()
        self._fresh: Loaded | None = None
        self._thread: threading.Thread | None = None
        self._is_stopping = False

    @property
    def is_loaded(self) -> bool:
        """There is something to look up (or a first load waits to be swapped in)."""
        return self.loads > 0 or self._fresh is not None

    def start(self) -> None:
        with self._changed:
            if self._thread is not None:
                return
            self._is_stopping = False
            self._thread = threading.Thread(
                target=self._run, name=f"stream_magic cache {self.name}", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        with self._changed:
            thread, self._thread = self._thread, None
            self._is_stopping = True
            self._changed.notify_all()
        if thread is not None:
            thread.join(_STOP_S)  # a load may hang in a driver; its thread ends with it
        self.state = "stopped" if self.state != "failed" else self.state

    def wait_loaded(self, timeout_s: float) -> bool:
        """True as soon as there are rows; False if it fails or takes longer."""
        with self._changed:
            self._changed.wait_for(
                lambda: self.is_loaded or self.state in ("failed", "reconnecting"), timeout_s
            )
            return self.is_loaded

    def swap(self) -> tuple[pa.Table, list[RowError]] | None:
        """New rows to look up from the next epoch on, and rows whose key came again; None if nothing is new."""
        with self._changed:
            fresh, self._fresh = self._fresh, None
        if fresh is None:
            return None
        self.loads += 1
        is_news = not fresh.duplicates.equals(self.duplicates)
        self.rows, self.index, self.duplicates = fresh.rows, fresh.index, fresh.duplicates
        return fresh.rows, _duplicate_errors(fresh.duplicates, self._key) if is_news else []

    def _run(self) -> None:
        pause = _RETRY_S[0]
        refresh = self.cache.options.refresh
        while not self._is_stopping:
            try:
                loaded = one_row_a_key(self.cache.load().cast(self._schema), self._key)
                with self._changed:
                    self._fresh = loaded
                    self.state, self.message = "running", ""
                    self.loaded_at_us = self._clock.now_us()
                    self._changed.notify_all()
                pause = _RETRY_S[0]
                wait_s = refresh.total_seconds() if refresh is not None else None
            except StreamMagicError as e:
                self._fail("reconnecting" if e.transient or self.loads else "failed", e.message)
                wait_s, pause = pause, min(2 * pause, _RETRY_S[1])
            except Exception as e:  # a connector's own fault must not end the app  # noqa: BLE001
                self._fail("failed", f"{type(e).__name__}: {e}")
                wait_s, pause = pause, min(2 * pause, _RETRY_S[1])
            if self.on_load is not None:
                self.on_load.set()
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopping, wait_s)
        with suppress(Exception):  # nothing is lost with it
            self.cache.close()

    def _fail(self, state: str, message: str) -> None:
        with self._changed:
            self.state = state
            self.message = redact(message, self.cache.context.secrets) + self._kept()
            self._changed.notify_all()

    def _kept(self) -> str:
        """What there is to look up all the same."""
        if self.loaded_at_us is None:
            return ""
        at = datetime.fromtimestamp(self.loaded_at_us // 1_000_000, UTC)
        return f"; the rows loaded at {at:%Y-%m-%d %H:%M:%S} UTC are kept"


def one_row_a_key(rows: pa.Table, key: tuple[str, ...]) -> Loaded:
    """The last row in load order wins; NULL keys stay, they match nothing."""
    with duckdb.connect() as con:
        con.register("rows", rows.append_column("_sm_n", pa.array(np.arange(rows.num_rows))))
        losers = _losers(con, key)
    wins = np.ones(rows.num_rows, bool)
    wins[losers] = False
    kept = (rows.filter(pa.array(wins)) if len(losers) else rows).combine_chunks()
    return Loaded(kept, make_index(kept, key), rows.take(pa.array(losers)))


def _losers(con: duckdb.DuckDBPyConnection, key: tuple[str, ...]) -> npt.NDArray[np.int64]:
    """Numbers of the rows whose key comes again later. A count tells quickly whether there are any."""
    columns = ", ".join(quote(k) for k in key)
    is_key = " AND ".join(f"{quote(k)} IS NOT NULL" for k in key)
    counts = con.sql(
        f"SELECT count(*), count(DISTINCT ({columns})) FROM rows WHERE {is_key}"
    ).fetchall()[0]
    if counts[0] == counts[1]:
        return np.empty(0, np.int64)
    rank = f"row_number() OVER (PARTITION BY {columns} ORDER BY _sm_n DESC)"
    losers = f"SELECT _sm_n FROM rows WHERE {is_key} QUALIFY {rank} > 1 ORDER BY _sm_n"
    found: npt.NDArray[np.int64] = con.sql(losers).to_arrow_table().column("_sm_n").to_numpy()
    return found


def _duplicate_errors(duplicates: pa.Table, key: tuple[str, ...]) -> list[RowError]:
    numbers = pa.array(range(duplicates.num_rows), pa.int64())
    errors = RowErrors([duplicates.append_column("_sm_seq", numbers)])
    names = ", ".join(key)
    errors.add(
        range(duplicates.num_rows), "SM5010", f"the key {names} comes again: the last row wins"
    )
    return errors.rows
