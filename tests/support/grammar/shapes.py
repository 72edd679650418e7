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
    (17, projection), (36, grouped), (26, grouping_sets), (17, distinct), (17, distinct_on), (17, top), (17, qualify), (18, unnested),
    (30, pivot), (60, join), (52, lookup), (17, brackets), (17, asof), (17, interval_join), (17, nested), (17, cte), (42, subquery),
    (17, lateral), (34, set_operation), (36, values), (66, over), (30, over_on_close), (28, windowed), (54, totals), (30, session), (34, row_window),
    (17, window_join), (17, latest), (30, series), (27, filled), (17, time_weighted), (17, as_of), (17, latest_cdc), (24, clocked),
    (24, joined_windows), (24, python), (44, names),
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
