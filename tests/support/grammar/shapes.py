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
from support.grammar.over import over
from support.grammar.over_close import over_on_close
from support.grammar.python import python
from support.grammar.select import Query
from support.grammar.series import filled, series, time_weighted
from support.grammar.subqueries import cte, lateral, nested, set_operation, subquery, values
from support.grammar.tables import latest, latest_cdc
from support.grammar.versions import as_of
from support.grammar.windows import joined_windows, row_window, session, window_join, windowed
from support.grammar.world import World

SHAPES: tuple[tuple[int, Callable[[Draw], Query]], ...] = (
    (8, projection), (14, grouped), (3, grouping_sets), (3, distinct), (2, distinct_on), (4, top), (4, qualify),
    (3, unnested), (2, pivot), (14, join), (4, lookup), (2, brackets), (3, asof), (3, interval_join), (8, nested), (5, cte), (8, subquery),
    (2, lateral), (6, set_operation), (2, values), (10, over), (3, over_on_close), (12, windowed), (4, session), (3, row_window), (3, window_join), (2, latest),
    (5, series), (2, filled), (1, time_weighted), (3, as_of), (3, latest_cdc), (4, clocked), (5, joined_windows), (6, python),
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
