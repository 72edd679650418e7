"""The shop as a pure function: event n is computed from the seed and n alone.

No state is kept, so any stretch of events can be made again and made fast. Orders live in groups
of 8: each group has a fixed number of events (its orders' lives laid side by side), and the events
of `_LANES` groups are interleaved one by one. A random number is a hash of (seed, what it is for, number).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream_magic.core.noise import Ints, below, chosen, share

ORDER = pa.struct(
    [
        ("order_id", pa.int64()),
        ("customer_id", pa.int64()),
        ("product_id", pa.int64()),
        ("location_id", pa.int32()),
        ("quantity", pa.int32()),
        ("amount", pa.decimal128(12, 2)),
        ("status", pa.string()),
        ("note", pa.string()),
        ("ordered_at", pa.timestamp("us")),
    ]
)
PLACE = pa.struct(
    [
        ("database", pa.string()),
        ("table", pa.string()),
        ("file", pa.string()),
        ("pos", pa.int64()),
        ("gtid", pa.string()),
        ("transaction", pa.string()),
        ("row", pa.int64()),
    ]
)
CHANGES = pa.schema(
    [
        ("op", pa.string()),
        ("before", ORDER),
        ("after", ORDER),
        ("ts", pa.timestamp("us")),
        ("source", PLACE),
    ]
)

# The lives of the 8 orders of a group: the ops of each, in order. 16 events in all.
_LIVES = ("c", "cu", "cuu", "cu", "cud", "c", "cu", "cd")
_SPREAD = (0, 1, 2, 3, 1, 4, 2, 5, 6, 3, 4, 7, 4, 6, 2, 7)  # whose event comes next
_LANES = 64  # groups open side by side: an order's events are this many events apart, at least
_GROUP = len(_SPREAD)
_ORDERS = len(_LIVES)
_BLOCK = _LANES * _GROUP

_STATUS = ("new", "paid", "shipped", "cancelled")
_NOTES = (
    "leave at the door", "gift 🎁, please wrap", "ring twice", "Grüße an Zoë", "no plastic 🌱",
    "\u914d\u9001\u524d\u8bf7\u6253\u7535\u8bdd", 'he said "today"', "fragile 🍷🥂",
)  # fmt: skip
_CATEGORIES = (
    "books", "garden", "kitchen", "toys", "sports", "music", "office", "pets", "travel", "tools",
)  # fmt: skip
_BRANDS = (
    "Alder & Finch", "Brightwater", "Calyx", "Dunmore", "Ember", "Fjordline", "Greyhaven",
    "Hollybank", "Ivory Oak", "Juniper", "Kestrel", "Larkspur", "Möbius", "Northwind", "Ostara",
)  # fmt: skip
_THINGS = (
    "atlas", "basket", "bowl", "chair", "compass", "drum", "globe", "hammer", "jacket", "kettle",
    "lamp", "notebook", "puzzle", "rope", "teapot", "umbrella", "vase", "wrench",
)  # fmt: skip
_LOOKS = ("blue", "compact", "folding", "handmade", "large", "oak", "red", "small", "steel", "soft")


def _step_tables() -> tuple[Ints, Ints]:
    """For each event of a group: its order in the group, and which event of that order it is."""
    seen = [0] * _ORDERS
    steps = []
    for order in _SPREAD:
        steps.append(seen[order])
        seen[order] += 1
    return np.array(_SPREAD, np.int64), np.array(steps, np.int64)


_ORDER_OF, _STEP_OF = _step_tables()
_OPS = np.array([_LIVES[o][s] for o, s in zip(_ORDER_OF, _STEP_OF, strict=True)])


def prices_cents(seed: int, product_ids: Ints) -> Ints:
    """Price of each product: many cheap ones, few dear ones."""
    return (199 + share(seed, 20, product_ids) ** 3 * 49_800).astype(np.int64)


def catalogue(products: int = 200, seed: int = 42) -> pa.Table:
    """The products that the orders of this seed name."""
    ids = np.arange(1, products + 1, dtype=np.int64)
    things = chosen(_THINGS, below(seed, 21, ids, len(_THINGS)))
    looks = chosen(_LOOKS, below(seed, 22, ids, len(_LOOKS)))
    description = [
        f"{look} {thing} no. {i}"
        for look, thing, i in zip(looks.to_pylist(), things.to_pylist(), ids, strict=True)
    ]
    return pa.table(
        {
            "product_id": ids,
            "description": description,
            "brand": chosen(_BRANDS, below(seed, 23, ids, len(_BRANDS))),
            "category": chosen(_CATEGORIES, below(seed, 24, ids, len(_CATEGORIES))),
            "price": _cents(prices_cents(seed, ids)),
        }
    )


def customers(count: int = 1000, seed: int = 42) -> pa.Table:
    """The customers that the orders of this seed name."""
    ids = np.arange(1, count + 1, dtype=np.int64)
    names = ("Ada", "Björn", "Chiara", "Diego", "Élodie", "Fatima", "Goran", "Hana", "Ivan", "Jun")
    cities = ("Bergen", "Cork", "Dresden", "Évora", "Gdańsk", "Lyon", "Osaka", "Quito", "Turin")
    first = chosen(names, below(seed, 30, ids, len(names)))
    return pa.table(
        {
            "customer_id": ids,
            "name": [f"{n} {i}" for n, i in zip(first.to_pylist(), ids, strict=True)],
            "city": chosen(cities, below(seed, 31, ids, len(cities))),
        }
    )


@dataclass(frozen=True)
class Shop:
    """The change log of the orders of one shop.

    Attributes:
        seed: everything random comes from it.
        products: number of products.
        start_us: event time of event 0.
        step_us: event time between two events.
        disorder_us: an event may carry a time that is up to this much too early.
    """

    seed: int
    products: int
    start_us: int
    step_us: float
    disorder_us: int

    def changes(self, first: int, count: int) -> pa.Table:
        """The events from number `first` on, with the columns of `CHANGES`."""
        n = np.arange(first, first + count, dtype=np.int64)
        block, rest = np.divmod(n, _BLOCK)
        event, lane = np.divmod(rest, _LANES)
        orders = (block * _LANES + lane) * _ORDERS + _ORDER_OF[event]
        steps, ops = _STEP_OF[event], _OPS[event]
        after = self._orders(orders, steps, ops == "d")
        # What was there before is the same order one step earlier.
        before = self._orders(orders, steps - 1, ops == "c")
        columns = [pa.array(ops.tolist(), pa.string()), before, after, self._times(n)]
        return pa.table([*columns, self._source(n)], schema=CHANGES)

    def _times_us(self, numbers: Ints) -> Ints:
        times: Ints = self.start_us + np.floor(numbers * self.step_us).astype(np.int64)
        if self.disorder_us:
            times -= below(self.seed, 1, numbers, self.disorder_us + 1)
        return times

    def _times(self, numbers: Ints) -> pa.Array:
        return pa.array(self._times_us(numbers)).cast(pa.timestamp("us"))

    def _orders(self, orders: Ints, steps: Ints, absent: np.ndarray) -> pa.Array:
        """The orders as they are after the given step of their lives."""
        seed = self.seed
        # Cubed: a tenth of the products gets almost half of the orders.
        popular = (share(seed, 2, orders) ** 3 * self.products).astype(np.int64)
        products = 1 + np.minimum(popular, self.products - 1)
        locations = 1 + (share(seed, 3, orders) ** 1.5 * 20).astype(np.int32)
        quantity = 1 + (share(seed, 4, orders) ** 2 * 5).astype(np.int64)
        # The second update of an order changes how many are wanted.
        other = 1 + (quantity + below(seed, 5, orders, 5)) % 6
        quantity = np.where(steps >= 2, other, quantity)
        cancelled = (share(seed, 6, orders) < 0.15) & (steps >= 1)
        status = np.where(cancelled, 3, np.clip(steps, 0, 2))
        noted = below(seed, 7, orders, 3 * len(_NOTES))
        columns = [
            pa.array(orders + 1),
            pa.array(1 + below(seed, 8, orders, 1000)),
            pa.array(products),
            pa.array(locations.astype(np.int32)),
            pa.array(quantity.astype(np.int32)),
            _cents(prices_cents(seed, products) * quantity),
            chosen(_STATUS, status),
            chosen((*_NOTES, None), np.minimum(noted, len(_NOTES))),
            self._times(self._created(orders)),
        ]
        return pa.StructArray.from_arrays(columns, fields=list(ORDER), mask=pa.array(absent))

    @staticmethod
    def _created(orders: Ints) -> Ints:
        """Number of the event that made each order."""
        first = np.array([_SPREAD.index(o) for o in range(_ORDERS)], np.int64)
        group, order = np.divmod(orders, _ORDERS)
        block, lane = np.divmod(group, _LANES)
        return block * _BLOCK + first[order] * _LANES + lane

    @staticmethod
    def _source(numbers: Ints) -> pa.Array:
        count = len(numbers)

        def same(text: str) -> pa.Array:
            return pa.repeat(pa.scalar(text), count)

        texts = pa.array(numbers + 1).cast(pa.string())
        columns = [
            same("shop"),
            same("orders"),
            same("generator.000001"),
            pa.array(numbers),
            texts,
            texts,
            pa.array(np.zeros(count, np.int64)),
        ]
        return pa.StructArray.from_arrays(columns, fields=list(PLACE))


def _cents(cents: Ints) -> pa.Array:
    """DECIMAL(12,2) from whole cents, by its 128-bit form: a cast would divide each."""
    wide = np.empty((len(cents), 2), np.int64)
    wide[:, 0] = cents
    wide[:, 1] = cents >> 63
    return pa.Array.from_buffers(pa.decimal128(12, 2), len(cents), [None, pa.py_buffer(wide)])
