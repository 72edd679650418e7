"""The forms of a query, each as often as it is worth."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from support.grammar.chains import chained
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
from support.grammar.windows import joined_windows, row_window, session, window_join, windowed
from support.grammar.world import World

SHAPES: tuple[tuple[int, Callable[[Draw], Query]], ...] = (
    (7, projection), (22, grouped), (7, grouping_sets), (6, distinct), (7, distinct_on), (6, top), (6, qualify), (6, unnested), (11, pivot),
    (20, join), (14, lookup), (6, brackets), (8, asof), (6, interval_join), (9, nested), (7, cte), (16, subquery), (7, lateral),
    (13, set_operation), (7, values), (26, over), (11, over_on_close), (14, windowed), (9, session), (10, row_window), (6, window_join),
    (7, latest), (13, series), (11, filled), (7, time_weighted), (7, as_of), (7, latest_cdc), (9, clocked), (8, joined_windows), (9, python),
    (9, names),
    (10, chained),
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
