"""`make law CASES=n SEED=s`: random queries over random rows until n comparisons are done.

A comparison is one query after one epoch. A seed is a history with some queries over it; a fifth of
the histories is played again with its epochs cut elsewhere. Each difference is printed as a golden
law file, made small. With OUT=file every slice of a few seeds is a line of JSON there, and a run goes
on after the last of them; `tests/law/figures.py` adds such files up.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from pathlib import Path

from law.figures import report
from support.grammar import figures as slices
from support.grammar.figures import Figures, Slice
from support.grammar.golden import as_golden
from support.grammar.history import draw_history
from support.grammar.play import Difference, play, play_recut, shrink
from support.grammar.shapes import draw_query
from support.grammar.world import World

SEEDS = 4  # in a slice


def one_history(
    seed: int, queries: int = 18, epochs: int = 5, only: str = ""
) -> tuple[Figures, list[Difference]]:
    """Some queries over one history."""
    rng = random.Random(seed)
    world = World.draw(rng)
    drawn = [draw_query(rng, world, only) for _ in range(queries)]
    events = draw_history(rng, world, epochs)
    seen = play(world, drawn, events)
    if seed % 5 == 0:
        again = play_recut(world, drawn, events, seen, by_rows=rng.random() < 0.5)
        seen.figures.add(again.figures)
        seen.differences += again.differences
    return seen.figures, seen.differences


def one_slice(first: int, options: argparse.Namespace) -> Slice:
    """The histories of some seeds, one after the other."""
    last = min(first + SEEDS, options.seed + options.histories) - 1 if options.histories else first + SEEDS - 1  # fmt: skip
    total = Figures()
    for seed in range(first, last + 1):
        found, differences = one_history(seed, options.queries, options.epochs, options.only)
        total.add(found)
        for difference in differences:
            small = shrink(difference) if options.shrink else difference
            total.differences.append(f"seed {seed}\n{as_golden(small)}\n{small.message}")
    return Slice(first, last, options.commit, total)


def main(argv: list[str]) -> int:
    options = _options(argv)
    began, done = time.monotonic(), []
    for each in _slices(options):
        done.append(each)
        for difference in each.figures.differences:
            print(difference, flush=True)
        if options.out:
            slices.append(options.out, each)
    total = report(done)
    print(f"{time.monotonic() - began:.0f} s")
    return 1 if total.differences else 0


def _slices(options: argparse.Namespace) -> Iterator[Slice]:
    """Until there are as many comparisons as were asked for; several at a time with `jobs`."""
    comparisons = 0
    last = options.seed + options.histories if options.histories else sys.maxsize
    firsts = iter(range(options.seed, last, SEEDS))
    if options.jobs == 1:
        for first in firsts:
            found = one_slice(first, options)
            comparisons += found.figures.comparisons
            yield found
            if comparisons >= options.cases:
                return
        return
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, spawn) as pool:
        running: set[Future[Slice]] = set()
        while running or comparisons < options.cases:
            for first in firsts if comparisons < options.cases else ():
                running.add(pool.submit(one_slice, first, options))
                if len(running) >= options.jobs:
                    break
            if not running:
                return
            ready, running = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                found = future.result()
                comparisons += found.figures.comparisons
                yield found


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="comparisons, at least")
    parser.add_argument("--seed", type=int, help="the first; else after the last of OUT, or 0")
    parser.add_argument("--queries", type=int, default=18, help="over one history")
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--histories", type=int, default=0, help="stop after so many")
    parser.add_argument("--only", default="", help="one form: join, over, windowed, ...")
    parser.add_argument(
        "--out", type=Path, help="file for the figures: a line is added for each slice"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    parser.add_argument("--shrink", action=argparse.BooleanOptionalAction, default=True)
    options = parser.parse_args(argv)
    if options.seed is None:
        known = slices.read([options.out]) if options.out and options.out.exists() else []
        options.seed = max((s.last + 1 for s in known), default=0)
    options.commit = _commit()
    return options


def _commit() -> str:
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # fmt: skip
    return asked.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
