"""The forms of a query, each as often as it is worth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from support.grammar.clauses import (
    distinct,
    distinct_on,
    grouped,
    grouping_sets,
    pivot,
    projection,
    qualify,
    top,
    unnested,
)
from support.grammar.clocked import clocked
from support.grammar.draw import Draw
from support.grammar.joins import asof, brackets, interval_join, join, lookup
from support.grammar.names import names
from support.grammar.over import over
from support.grammar.over_close import over_on_close
from support.grammar.python import python
from support.grammar.select import Query
from support.grammar.series import filled, series, time_weighted
from support.grammar.subqueries import cte, lateral, nested, set_operation, subquery, values
from support.grammar.tables import latest, latest_cdc
from support.grammar.versions import as_of
from support.grammar.windows import (
    joined_windows,
    row_window,
    session,
    totals,
    window_join,
    windowed,
)
from support.grammar.world import World

SHAPES: tuple[tuple[int, Callable[[Draw], Query]], ...] = (
    (13, projection), (34, grouped), (26, grouping_sets), (13, distinct), (13, distinct_on), (13, top), (13, qualify), (18, unnested),
    (26, pivot), (48, join), (52, lookup), (13, brackets), (13, asof), (13, interval_join), (13, nested), (13, cte), (32, subquery),
    (16, lateral), (34, set_operation), (28, values), (52, over), (26, over_on_close), (28, windowed), (54, totals), (32, session), (26, row_window),
    (13, window_join), (13, latest), (30, series), (27, filled), (13, time_weighted), (13, as_of), (13, latest_cdc), (13, clocked),
    (13, joined_windows), (15, python), (34, names),
)  # fmt: skip


@dataclass(frozen=True)
class Drawn:
    """A query and what it met: its form, clauses, joins, functions."""

    query: Query
    met: frozenset[str]

    @property
    def sql(self) -> str:
        return self.query.text.sql

    @property
    def twin(self) -> str:
        return self.query.text.twin


def draw_query(rng: random.Random, world: World, only: str = "") -> Drawn:
    """One random query over the tables of the world; `only` names a form."""
    draw = Draw(rng, world)
    shape = draw.weighted([s for s in SHAPES if only in ("", s[1].__name__)])
    query = shape(draw)
    draw.meet(f"form:{shape.__name__}")
    return Drawn(query, frozenset(draw.met))
