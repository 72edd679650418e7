"""Events and sessions as spans of time: which of them are one session."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from stream_magic.engine.sessions.arrays import Ints


class Spans(NamedTuple):
    """From the first to the last event, each of a key (a number); an event alone is a span too."""

    key: Ints
    first: Ints
    last: Ints

    def __add__(self, other: Spans) -> Spans:  # type: ignore[override]
        """Those, and behind them the others."""
        return Spans(*(np.concatenate(pair) for pair in zip(self, other, strict=True)))

    def at(self, places: Ints | np.ndarray) -> Spans:
        return Spans(*(column[places] for column in self))


def joined(spans: Spans, gap_us: int) -> tuple[Ints, Spans]:
    """Those of a key that are at most the gap apart are one: for each span the number of the whole, and the wholes."""
    order = np.lexsort((spans.first, spans.key))
    key, first, last = spans.at(order)
    begins = np.ones(len(key), np.bool_)
    begins[1:] = (key[1:] != key[:-1]) | (first[1:] - _reached(key, last)[:-1] > gap_us)
    starts = np.flatnonzero(begins)
    number = np.empty(len(key), np.int64)
    number[order] = np.cumsum(begins) - 1
    ends = np.maximum.reduceat(last, starts) if len(starts) else last
    return number, Spans(key[starts], first[starts], ends)


def _reached(key: Ints, last: Ints) -> Ints:
    """The highest `last` so far among the spans of the same key; they stand together."""
    count = len(key)
    by_last = np.argsort(last, kind="stable")
    rank = np.empty(count, np.int64)
    rank[by_last] = np.arange(count)
    group = np.zeros(count, np.int64)
    group[1:] = np.cumsum(key[1:] != key[:-1])
    highest = np.maximum.accumulate(group * count + rank) - group * count
    return last[by_last[highest]]
