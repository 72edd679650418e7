"""All sessions of a SESSION window: those that are open, and closed ones as long as a row may touch them.

The sessions of a key are a chain (`head` of the key, `next` of each). Closed ones are forgotten once
no row that touches them can be in time: the gap after they closed, if no session of their key is open that
was there already; that one may begin earlier by any row above its floor.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from stream_magic.core.change import BEFORE_TIME, END_OF_TIME
from stream_magic.engine.sessions.arrays import Arrays, Ints
from stream_magic.engine.sessions.judge import Event, Judge
from stream_magic.engine.sessions.spans import Spans, joined
from stream_magic.engine.state import StateSize

Flags = npt.NDArray[np.bool_]
_NONE = np.empty(0, np.int64)


@dataclass(frozen=True)
class Rows:
    """New rows in order of arrival.

    Attributes:
        key: of each, a number of `keys`.
        keys: those that there are.
        time: of the event.
        mark: the watermark that it is judged by.
        closed_by: the watermark that had closed sessions just before it.
    """

    key: Ints
    keys: Sequence[bytes]
    time: Ints
    mark: Ints
    closed_by: Ints


@dataclass(frozen=True)
class Merge:
    """What rows did to the sessions.

    Attributes:
        is_late: of each row.
        session: of each row in time, its id.
        now: the sessions that got rows: their ids in place of keys.
        before: the sessions that they were made of, with their ids.
        becomes: for each of `before` its place in `now`.
    """

    is_late: Flags
    session: Ints
    now: Spans
    before: Spans
    becomes: Ints


NOTHING = Merge(
    np.empty(0, np.bool_), _NONE, Spans(_NONE, _NONE, _NONE), Spans(_NONE, _NONE, _NONE), _NONE
)


def _no_sessions() -> Arrays:
    return Arrays(id=-1, key=-1, first=0, last=0, floor=0, next=-1, is_told=0)


class SessionTable:
    """Sessions by key. Ids are given once and never again."""

    def __init__(self, gap_us: int, lateness_us: int) -> None:
        self._gap_us, self._reach_us = gap_us, gap_us + lateness_us
        self._lateness_us = lateness_us
        self._places: dict[bytes, int] = {}
        self._names: list[bytes] = []
        self._keys = Arrays(head=-1)
        self._sessions = _no_sessions()
        self._next_id = 0
        self._live = 0
        self._before: tuple[int, int] = (0, 0)
        self._added: list[bytes] = []
        self._dropped: list[tuple[bytes, int]] = []

    def size(self) -> StateSize:
        """Sessions that are remembered; bytes also of places of those that are gone."""
        return StateSize(self._live, self._sessions.bytes + self._keys.bytes + sum(map(len, self._places)))  # fmt: skip

    def begin(self) -> None:
        """An epoch: `undo` goes back to here."""
        if self._sessions.size > 2 * self._live + 4096:
            self._compact()
        self._keys.keep()
        self._sessions.keep()
        self._before = (self._next_id, self._live)
        self._added, self._dropped = [], []

    def undo(self) -> None:
        """As it was at `begin`."""
        self._next_id, self._live = self._before
        self._keys.undo()
        self._sessions.undo()
        for name in self._added:
            self._places.pop(name, None)
        self._places.update((n, at) for n, at in self._dropped if at < self._keys.size)
        del self._names[self._keys.size :]

    def merge(self, rows: Rows) -> Merge:
        """Puts rows into their sessions; late ones are left out."""
        keys = self._numbers(rows.keys)
        there = self._of(keys)
        old = self._spans(there)
        new = Spans(keys[rows.key], rows.time, rows.time)
        number, whole = joined(old + new, self._gap_us)
        is_late = self._late(rows, there, old, number)
        if is_late.any():
            number, whole = joined(old + new.at(~is_late), self._gap_us)
        floors = np.concatenate((self._sessions["floor"][there], self._floors(rows)[~is_late]))
        merge = self._write(there, old, number, whole, is_late, floors)
        self._drop(keys)
        return merge

    def told(self, watermark_us: int) -> Spans:
        """The sessions that have closed since this was asked last; those that no row can touch are forgotten."""
        s = self._sessions
        due = watermark_us - self._reach_us
        if watermark_us == BEFORE_TIME:
            return NOTHING.now
        is_closed = (s["last"] <= due) & (s["id"] >= 0)
        closed = np.flatnonzero(is_closed & (s["is_told"] == 0))
        spans = Spans(s["id"][closed], s["first"][closed], s["last"][closed])
        s.put("is_told", closed, 1)
        self._forget(
            self._out_of_reach(np.flatnonzero(is_closed & (s["last"] <= due - self._gap_us)), due)
        )
        return spans

    def _out_of_reach(self, closed: Ints, due: int) -> Ints:
        """Of closed sessions those that no row in time can touch, neither alone nor by an open session of their key."""
        s = self._sessions
        there = self._of(np.unique(s["key"][closed]))
        still_open = there[s["last"][there] > due]
        if not len(still_open):
            return closed
        floor = np.full(self._keys.size, END_OF_TIME)
        np.minimum.at(floor, s["key"][still_open], s["floor"][still_open])
        return closed[s["last"][closed] + self._gap_us <= floor[s["key"][closed]]]

    # --- late rows -------------------------------------------------------------------------------

    def _late(self, rows: Rows, there: Ints, old: Spans, number: Ints) -> Flags:
        """Rows ahead of the watermark are in time. Others are judged, with all that may be in a session with them."""
        is_late = np.zeros(len(rows.time), np.bool_)
        doubtful = rows.time <= rows.mark - self._lateness_us
        doubtful &= rows.mark != BEFORE_TIME
        if not doubtful.any():
            return is_late
        of_old, of_row = number[: len(old.key)], number[len(old.key) :]
        judged = np.zeros(int(number.max()) + 1, np.bool_)
        judged[of_row[doubtful]] = True
        sessions: dict[int, list[tuple[int, int, int]]] = {}
        known = np.flatnonzero(judged[of_old])
        spans = (of_old, old.first, old.last, self._sessions["floor"][there])
        for at, *span in zip(*(c[known].tolist() for c in spans), strict=True):
            sessions.setdefault(at, []).append((span[0], span[1], span[2]))
        judges: dict[int, Judge] = {}
        asked = np.flatnonzero(judged[of_row])
        columns = (of_row, rows.time, rows.mark, rows.closed_by)
        for row, at, *event in zip(asked.tolist(), *(c[asked].tolist() for c in columns), strict=True):  # fmt: skip
            judge = judges.get(at)
            if judge is None:
                given = sessions.get(at, ())
                judge = judges[at] = Judge(given, self._gap_us, self._lateness_us)
            is_late[row] = not judge.admits(Event(*event))
        return is_late

    def _floors(self, rows: Rows) -> Ints:
        """The last time that had ended alone when the row came: a session that it is the first to come of begins above."""
        return np.maximum(rows.closed_by, BEFORE_TIME + self._reach_us) - self._reach_us

    # --- state -----------------------------------------------------------------------------------

    def _numbers(self, names: Sequence[bytes]) -> Ints:
        """Of keys, in their order; new ones get theirs."""
        unknown = itertools.repeat(-1)
        found = np.fromiter(map(self._places.get, names, unknown), np.int64, len(names))
        is_new = found < 0
        added = [names[i] for i in np.flatnonzero(is_new).tolist()]
        first = self._keys.size
        found[is_new] = self._keys.add(len(added))
        self._names += added
        self._places.update(zip(added, range(first, first + len(added)), strict=True))
        self._added += added
        return found

    def _of(self, keys: Ints) -> Ints:
        """Places of all sessions of these keys."""
        found = [_NONE]
        at = self._keys["head"][keys]
        while (at >= 0).any():
            at = at[at >= 0]
            found.append(at)
            at = self._sessions["next"][at]
        return np.concatenate(found)

    def _spans(self, places: Ints) -> Spans:
        s = self._sessions
        return Spans(s["key"][places], s["first"][places], s["last"][places])

    def _write(
        self, there: Ints, old: Spans, number: Ints, whole: Spans, is_late: Flags, floors: Ints
    ) -> Merge:
        """Args: `floors` of the old ones and of the rows in time; a session has the lowest of its parts."""
        of_old, of_row = number[: len(there)], number[len(there) :]
        is_touched = np.zeros(len(whole.key), np.bool_)
        is_touched[of_row] = True
        merged = np.flatnonzero(is_touched[of_old])
        at, place = np.full(len(whole.key), -1, np.int64), there[merged]
        ids, before = self._sessions["id"][place], old.at(merged)
        at[of_old[merged][::-1]] = place[::-1]  # of several that become one the first stays
        gone = place[at[of_old[merged]] != place]
        new = np.flatnonzero(is_touched & (at < 0))
        at[new] = self._add(whole.at(new))
        touched = np.flatnonzero(is_touched)
        self._sessions.put("first", at[touched], whole.first[touched])
        self._sessions.put("last", at[touched], whole.last[touched])
        floor = np.full(len(whole.key), END_OF_TIME)
        np.minimum.at(floor, number, floors)
        self._sessions.put("floor", at[touched], floor[touched])
        self._sessions.put("id", gone, -1)
        self._live -= len(gone)
        rest = np.setdiff1d(there, place, assume_unique=True)
        self._link(np.unique(whole.key), np.concatenate((rest, at[touched])))
        where = np.full(len(whole.key), -1, np.int64)
        where[touched] = np.arange(len(touched))
        id_of = self._sessions["id"][at[touched]]
        return Merge(
            is_late, id_of[where[of_row]], whole.at(touched)._replace(key=id_of),
            before._replace(key=ids), where[of_old[merged]],
        )  # fmt: skip

    def _add(self, spans: Spans) -> Ints:
        count = len(spans.key)
        places = self._sessions.add(count)
        self._sessions.put("id", places, np.arange(self._next_id, self._next_id + count))
        self._sessions.put("key", places, spans.key)
        self._next_id += count
        self._live += count
        return places

    def _link(self, keys: Ints, places: Ints) -> None:
        """Makes the chains of these keys anew; the sessions in them are at `places`."""
        self._keys.put("head", keys, -1)
        order = np.argsort(self._sessions["key"][places], kind="stable")
        places = places[order]
        key = self._sessions["key"][places]
        is_last = np.ones(len(key), np.bool_)
        is_last[:-1] = key[1:] != key[:-1]
        following = np.append(places[1:], -1)[: len(places)]
        self._sessions.put("next", places, np.where(is_last, -1, following))
        is_first = np.ones(len(key), np.bool_)
        is_first[1:] = is_last[:-1]
        self._keys.put("head", key[is_first], places[is_first])

    def _forget(self, places: Ints) -> None:
        if not len(places):
            return
        keys = np.unique(self._sessions["key"][places])
        rest = np.setdiff1d(self._of(keys), places, assume_unique=True)
        self._sessions.put("id", places, -1)
        self._live -= len(places)
        self._link(keys, rest)
        self._drop(keys)

    def _drop(self, keys: Ints) -> None:
        """Keys without a session are not remembered."""
        for at in keys[self._keys["head"][keys] < 0].tolist():
            name = self._names[at]
            if self._places.get(name) == at:
                del self._places[name]
                self._dropped.append((name, at))

    def _compact(self) -> None:
        """Leaves out the places of sessions that are gone, and of keys without one."""
        live = np.flatnonzero(self._sessions["id"] >= 0)
        keys, key = np.unique(self._sessions["key"][live], return_inverse=True)
        names = [self._names[k] for k in keys.tolist()]
        columns = {n: self._sessions[n][live] for n in ("id", "first", "last", "floor", "is_told")}
        self._names, self._places = names, {n: i for i, n in enumerate(names)}
        self._keys, self._sessions = (
            Arrays(head=-1),
            _no_sessions(),
        )
        self._keys.add(len(names))
        places = self._sessions.add(len(live))
        for n, values in (*columns.items(), ("key", key)):
            self._sessions.put(n, places, values)
        self._link(np.arange(len(names)), places)
