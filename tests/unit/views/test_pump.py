from __future__ import annotations

import time

from stream_magic.views.pump import Pump


class View:
    interval_s = 0.1

    def __init__(self) -> None:
        self.at = 1
        self.drawn: list[tuple[int, bool]] = []
        self.errors: list[Exception] = []
        self.error: Exception | None = None

    def version(self) -> int:
        return self.at

    def refresh(self, *, rows: bool) -> None:
        if self.error:
            raise self.error
        self.drawn.append((self.at, rows))

    def fail(self, error: Exception) -> None:
        self.errors.append(error)


def test_only_the_latest_version_is_drawn(pump) -> None:
    view = View()
    pump.add(view)
    pump.turn()
    view.at = 100
    pump.turn()
    assert view.drawn == [(1, True), (100, True)]


def test_an_unchanged_view_costs_only_its_figures_once_a_second(pump) -> None:
    view = View()
    pump.add(view)
    for _ in range(30):
        pump.turn(0.1)
    assert view.drawn[0] == (1, True)
    assert 1 <= len(view.drawn[1:]) <= 3
    assert not any(rows for _, rows in view.drawn[1:])


def test_a_failing_view_shows_it_and_the_others_go_on(pump) -> None:
    bad, good = View(), View()
    bad.error = ValueError("no")
    pump.add(bad)
    pump.add(good)
    pump.turn()
    assert (bad.errors, good.drawn) == ([bad.error], [(1, True)])
    bad.error = None
    pump.turn(1.5)
    assert bad.drawn == [(1, True)]


def test_an_expensive_view_is_drawn_less_often(pump) -> None:
    view = View()

    def slow(*, rows: bool) -> None:
        view.drawn.append((view.at, rows))
        pump.time.now += 0.5

    view.refresh = slow  # type: ignore[method-assign]
    pump.add(view)
    pump.turn()
    for _ in range(20):
        view.at += 1
        pump.turn(0.1)
    assert len(view.drawn) == 1, "half a second of work allows the next one after five"


def wait_for(truth, seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not truth():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def test_the_thread_lives_while_there_is_a_view() -> None:
    pump, view = Pump(), View()
    pump.add(view)
    wait_for(lambda: view.drawn)
    view.at = 2
    wait_for(lambda: (2, True) in view.drawn)
    assert pump.is_running
    pump.drop(view)
    wait_for(lambda: not pump.is_running)
    pump.add(view)
    wait_for(lambda: len([v for v, rows in view.drawn if rows]) >= 3)
    pump.drop(view)
    wait_for(lambda: not pump.is_running)
