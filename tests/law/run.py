"""`make law CASES=n SEED=s`: random queries over random rows until n comparisons are done.

A comparison is one query after one epoch. Prints and writes (OUT=file) as JSON: comparisons,
queries, refusals by code, how often each kind was met; each difference as a golden law file.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import time
from pathlib import Path
from typing import Any

from support.grammar.golden import as_golden
from support.grammar.history import draw_history
from support.grammar.play import Figures, play, shrink
from support.grammar.shapes import draw_query
from support.grammar.world import World


def one_slice(seed: int, queries: int = 12, epochs: int = 10, only: str = "") -> Figures:
    """Some queries over one history."""
    rng = random.Random(seed)
    world = World.draw(rng)
    drawn = [draw_query(rng, world, only) for _ in range(queries)]
    return play(world, drawn, draw_history(rng, world, epochs))


def main(argv: list[str]) -> int:
    options = _options(argv)
    total, seed, began = Figures(), options.seed, time.monotonic()
    while total.comparisons < options.cases:
        found = one_slice(seed, options.queries, options.epochs, options.only)
        for difference in found.differences:
            small = shrink(difference) if options.shrink else difference
            print(f"seed {seed}\n{as_golden(small)}\n{small.message}\n", flush=True)
        total.add(found)
        seed += 1
        if seed - options.seed >= options.slices > 0:
            break
    figures = report(total, options.seed, seed, time.monotonic() - began)
    print(json.dumps(figures, indent=1))
    if options.out:
        Path(options.out).write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return 1 if total.differences else 0


def report(total: Figures, first: int, last: int, seconds: float) -> dict[str, Any]:
    return {
        "seeds": [first, last - 1],
        "seconds": round(seconds, 1),
        "queries": total.queries,
        "comparisons": total.comparisons,
        "differences": len(total.differences),
        "refused": dict(total.refused.most_common()),
        "refused_first": total.refusals,
        "unsuited": dict(total.unsuited.most_common(20)),
        "met": dict(sorted(total.met.items())),
    }


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=1000, help="comparisons")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--queries", type=int, default=12, help="over one history")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--slices", type=int, default=0, help="stop after so many histories")
    parser.add_argument("--only", default="", help="one form: join, over, windowed, ...")
    parser.add_argument("--out", default="", help="file for the figures")
    parser.add_argument("--shrink", action=argparse.BooleanOptionalAction, default=True)
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
