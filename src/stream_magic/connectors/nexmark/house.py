"""The auction house as a pure function: event n is computed from the seed and n alone.

Of 50 events one is a person, three are auctions and 46 are bids, in this order. People and auctions
that came lately are busier than others, and a few are hot. Bids may name what comes a little later.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stream_magic.core.noise import Ints, below, chosen, share

Kind = Literal["event", "person", "auction", "bid"]

_FIRST_ID = 1000  # of persons and of auctions
_FIRST_CATEGORY, _CATEGORIES = 10, 5
_IN_FLIGHT = 100  # auctions that are bid for
_ACTIVE = 1000  # people that bid and sell
_LEAD = 10  # a bid may name an auction or person that is so many ahead
_HOT_EVERY = 100  # of so many auctions, sellers and bidders one is hot
_TEXTS = 512  # of each pool

_TIME = pa.timestamp("us")
PERSON = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("emailAddress", pa.string()),
        ("creditCard", pa.string()),
        ("city", pa.string()),
        ("state", pa.string()),
        ("dateTime", _TIME),
        ("extra", pa.string()),
    ]
)
AUCTION = pa.schema(
    [
        ("id", pa.int64()),
        ("itemName", pa.string()),
        ("description", pa.string()),
        ("initialBid", pa.int64()),
        ("reserve", pa.int64()),
        ("dateTime", _TIME),
        ("expires", _TIME),
        ("seller", pa.int64()),
        ("category", pa.int64()),
        ("extra", pa.string()),
    ]
)
BID = pa.schema(
    [
        ("auction", pa.int64()),
        ("bidder", pa.int64()),
        ("price", pa.int64()),
        ("channel", pa.string()),
        ("url", pa.string()),
        ("dateTime", _TIME),
        ("extra", pa.string()),
    ]
)
EVENT = pa.schema(
    [
        ("event_type", pa.int32()),  # 0 person, 1 auction, 2 bid
        ("person", pa.struct(list(PERSON))),
        ("auction", pa.struct(list(AUCTION))),
        ("bid", pa.struct(list(BID))),
        ("dateTime", _TIME),
    ]
)
SCHEMAS: dict[Kind, pa.Schema] = {"event": EVENT, "person": PERSON, "auction": AUCTION, "bid": BID}
# Of each 50 events: where those of a kind begin, and how many they are.
_PLACES: dict[Kind, tuple[int, int]] = {
    "event": (0, 50),
    "person": (0, 1),
    "auction": (1, 3),
    "bid": (4, 46),
}
_KINDS: tuple[Kind, ...] = ("person", "auction", "bid")
_GROUP = 50

_FIRST_NAMES = ("Peter", "Paul", "Luke", "John", "Saul", "Vicky", "Kate", "Julie", "Sarah", "Deiter", "Walter")  # fmt: skip
_LAST_NAMES = ("Shultz", "Abrams", "Spencer", "White", "Bartels", "Walton", "Smith", "Jones", "Noris")  # fmt: skip
_CITIES = ("Phoenix", "Los Angeles", "San Francisco", "Boise", "Portland", "Bend", "Redmond", "Seattle", "Kent", "Cheyenne")  # fmt: skip
_STATES = ("AZ", "CA", "ID", "OR", "WA", "WY")
_HOT_CHANNELS = ("Google", "Facebook", "Baidu", "Apple")
_CHANNELS = 10_000


def numbers(kind: Kind, rows: Ints) -> Ints:
    """Event number of each row of a kind."""
    first, count = _PLACES[kind]
    group, place = np.divmod(rows, count)
    return group * _GROUP + first + place


def rows_among(kind: Kind, events: int) -> int:
    """How many of the first events are of a kind."""
    first, count = _PLACES[kind]
    groups, rest = divmod(events, _GROUP)
    return groups * count + min(max(rest - first, 0), count)


@dataclass(frozen=True)
class House:
    """All events of one seed.

    Attributes:
        start_us: event time of event 0.
        step_us: event time between two events.
        disorder_us: an event may carry a time that is up to this much too early.
    """

    seed: int
    start_us: int
    step_us: float
    disorder_us: int

    def rows(self, kind: Kind, first: int, count: int) -> pa.Table:
        """Rows of a kind from number `first` on, in order of arrival."""
        make = {"event": self._events, "person": self._persons, "auction": self._auctions, "bid": self._bids}  # fmt: skip
        return make[kind](np.arange(first, first + count, dtype=np.int64))

    # --- kinds -----------------------------------------------------------------------------------

    def _events(self, n: Ints) -> pa.Table:
        """One stream of all kinds; two of the three structs are NULL."""
        place = n % _GROUP
        kinds = (place >= _PLACES["auction"][0]).astype(np.int32) + (place >= _PLACES["bid"][0])
        structs = []
        for at, kind in enumerate(_KINDS):
            is_kind = kinds == at
            first, last = (rows_among(kind, int(e)) for e in (n[0], n[-1] + 1)) if n.size else (0, 0)  # fmt: skip
            made = self.rows(kind, first, last - first).to_struct_array().combine_chunks()
            found = np.cumsum(is_kind) - 1
            structs.append(made.take(pa.array(found, mask=~is_kind)))
        return pa.table([pa.array(kinds), *structs, self._times(n)], schema=EVENT)

    def _persons(self, rows: Ints) -> pa.Table:
        n, seed = numbers("person", rows), self.seed
        card = below(seed, 14, rows, 10**16).astype("U16")
        columns = [
            pa.array(_FIRST_ID + rows),
            pc.binary_join_element_wise(
                chosen(_FIRST_NAMES, below(seed, 10, rows, len(_FIRST_NAMES))),
                chosen(_LAST_NAMES, below(seed, 11, rows, len(_LAST_NAMES))),
                " ",
            ),
            pc.binary_join_element_wise(
                self._words.take(pa.array(below(seed, 12, rows, _TEXTS))),
                self._words.take(pa.array(below(seed, 13, rows, _TEXTS))),
                "@",
            ),
            pc.utf8_lpad(pa.array(card), 16, "0"),
            chosen(_CITIES, below(seed, 15, rows, len(_CITIES))),
            chosen(_STATES, below(seed, 16, rows, len(_STATES))),
            self._times(n),
            self._extra(17, rows, self._long),
        ]
        return pa.table(columns, schema=PERSON)

    def _auctions(self, rows: Ints) -> pa.Table:
        n, seed = numbers("auction", rows), self.seed
        initial = self._prices(20, rows)
        times = self._times_us(n)
        # So long that about `_IN_FLIGHT` auctions are open at a time.
        horizon = max(int(_IN_FLIGHT * _GROUP / _PLACES["auction"][1] * self.step_us), 1)
        columns = [
            pa.array(_FIRST_ID + rows),
            self._words.take(pa.array(below(seed, 21, rows, _TEXTS))),
            self._extra(22, rows, self._long),
            pa.array(initial),
            pa.array(initial + self._prices(23, rows)),
            _as_time(times),
            _as_time(times + 1000 + below(seed, 24, rows, 2 * horizon)),
            pa.array(self._people(25, n, hot=0)),
            pa.array(_FIRST_CATEGORY + below(seed, 28, rows, _CATEGORIES)),
            self._extra(29, rows, self._long),
        ]
        return pa.table(columns, schema=AUCTION)

    def _bids(self, rows: Ints) -> pa.Table:
        n, seed = numbers("bid", rows), self.seed
        last = n // _GROUP * _PLACES["auction"][1] + _PLACES["auction"][1] - 1
        lowest = np.maximum(last - _IN_FLIGHT, 0)
        fresh = lowest + below_each(seed, 30, rows, last + _LEAD - lowest + 1)
        is_hot = below(seed, 31, rows, 2) > 0
        is_known = below(seed, 32, rows, 2) > 0
        channel = np.where(
            is_known,
            below(seed, 33, rows, len(_HOT_CHANNELS)),
            len(_HOT_CHANNELS) + below(seed, 34, rows, _CHANNELS),
        )
        columns = [
            pa.array(_FIRST_ID + np.where(is_hot, last // _HOT_EVERY * _HOT_EVERY, fresh)),
            pa.array(self._people(35, n, hot=1)),
            pa.array(self._prices(38, rows)),
            self._channels.take(pa.array(channel)),
            self._urls.take(pa.array(channel)),
            self._times(n),
            self._extra(39, rows, self._short),
        ]
        return pa.table(columns, schema=BID)

    # --- values ----------------------------------------------------------------------------------

    def _people(self, purpose: int, n: Ints, hot: int) -> Ints:
        """Who sells or bids at an event: three in four times a hot person, else one that came lately."""
        last = n // _GROUP
        active = np.minimum(last + 1, _ACTIVE)
        fresh = last + 1 - active + below_each(self.seed, purpose, n, active + _LEAD)
        is_hot = below(self.seed, purpose + 1, n, 4) > 0
        chosen_one: Ints = _FIRST_ID + np.where(
            is_hot, last // _HOT_EVERY * _HOT_EVERY + hot, fresh
        )
        return chosen_one

    def _prices(self, purpose: int, rows: Ints) -> Ints:
        """From one to a million, in cents, evenly spread by order of magnitude."""
        cents: Ints = np.rint(10.0 ** (share(self.seed, purpose, rows) * 6) * 100).astype(np.int64)
        return cents

    def _times_us(self, n: Ints) -> Ints:
        times: Ints = self.start_us + np.floor(n * self.step_us).astype(np.int64)
        if self.disorder_us:
            times -= below(self.seed, 1, n, self.disorder_us + 1)
        return times

    def _times(self, n: Ints) -> pa.Array:
        return _as_time(self._times_us(n))

    def _extra(self, purpose: int, rows: Ints, pool: pa.Array) -> pa.Array:
        return pool.take(pa.array(below(self.seed, purpose, rows, _TEXTS)))

    # --- pools of texts --------------------------------------------------------------------------

    @cached_property
    def _words(self) -> pa.Array:
        return pa.array(_texts(self.seed, 2, 4, 12))

    @cached_property
    def _short(self) -> pa.Array:
        return pa.array(_texts(self.seed, 3, 32, 48))

    @cached_property
    def _long(self) -> pa.Array:
        return pa.array(_texts(self.seed, 4, 80, 160))

    @cached_property
    def _channels(self) -> pa.Array:
        return pa.array([*_HOT_CHANNELS, *(f"channel-{i}" for i in range(_CHANNELS))])

    @cached_property
    def _urls(self) -> pa.Array:
        """Of each channel; those of the hot ones do not say which it is."""
        paths = _texts(self.seed, 5, 9, 15)
        hot = [f"https://www.nexmark.com/{paths[i]}/item.htm?query=1" for i in range(len(_HOT_CHANNELS))]  # fmt: skip
        others = [
            f"https://www.nexmark.com/{paths[i % _TEXTS]}/{paths[i * 7 % _TEXTS]}/{paths[i * 3 % _TEXTS]}/item.htm?query=1&channel_id={i}"
            for i in range(_CHANNELS)
        ]
        return pa.array([*hot, *others])


def below_each(seed: int, purpose: int, rows: Ints, limits: Ints) -> Ints:
    """A whole number below the limit of each row."""
    found: Ints = np.floor(share(seed, purpose, rows) * limits).astype(np.int64)
    return found


def _as_time(us: Ints) -> pa.Array:
    return pa.array(us).cast(_TIME)


def _texts(seed: int, purpose: int, shortest: int, longest: int) -> Sequence[str]:
    """Small letters, `_TEXTS` times."""
    pool = np.arange(_TEXTS, dtype=np.int64)
    lengths = shortest + below(seed, purpose * 100, pool, longest - shortest + 1)
    letters = below(seed, purpose * 100 + 1, np.arange(_TEXTS * longest, dtype=np.int64), 26)
    text = (letters + ord("a")).astype(np.uint8).tobytes().decode()
    return [text[i * longest :][: int(lengths[i])] for i in range(_TEXTS)]
