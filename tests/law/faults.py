"""`make faults`: plants each fault of `planted.py`, and hunts it with the law run.

Each is planted in a process of its own, by importing the module from changed text. Fails if one is
not found within so many comparisons, or if its line does not stand in the sources any more.
"""

from __future__ import annotations

import argparse
import importlib.util
import io
import multiprocessing
import random
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from dataclasses import dataclass
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType

from law.planted import FAULTS, Fault


@dataclass(frozen=True)
class Hunt:
    """How it went.

    Attributes:
        found: what differed first; '' if nothing did.
        trouble: why it could not be hunted.
    """

    fault: Fault
    comparisons: int = 0
    found: str = ""
    trouble: str = ""


class _Planted(SourceFileLoader):
    """Compiles the changed text, and leaves no byte code behind."""

    def __init__(self, name: str, fault: Fault) -> None:
        super().__init__(name, str(fault.path))
        self._fault = fault

    def get_code(self, fullname: str) -> CodeType:
        text = self._fault.path.read_text(encoding="utf-8")
        return compile(text.replace(self._fault.line, self._fault.broken), self.path, "exec")


class _Finder(MetaPathFinder):
    def __init__(self, fault: Fault) -> None:
        self._fault = fault
        self._name = f"stream_magic.{fault.module}"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is None or fullname != self._name:
            return spec
        return importlib.util.spec_from_file_location(
            fullname, self._fault.path, loader=_Planted(fullname, self._fault)
        )


def is_in_place(fault: Fault) -> bool:
    """Its line stands in the sources, once."""
    return fault.path.exists() and fault.path.read_text(encoding="utf-8").count(fault.line) == 1


def hunt(fault: Fault, limit: int) -> Hunt:
    """Plants the fault in this process, which must not have imported the sources, and looks for it."""
    sys.meta_path.insert(0, _Finder(fault))
    if fault.test:
        import pytest

        with redirect_stdout(io.StringIO()):
            failed = pytest.main([fault.test, "-q", "-x", "-p", "no:cacheprovider"])
        return Hunt(fault, found="a test fails" if failed == pytest.ExitCode.TESTS_FAILED else "")
    from support.grammar.history import draw_history
    from support.grammar.play import play
    from support.grammar.shapes import draw_query
    from support.grammar.world import World

    comparisons, seed = 0, 0
    while comparisons < limit and seed < limit:
        rng = random.Random(f"{fault.name} {seed}")
        world = World.draw(rng)
        drawn = [draw_query(rng, world, rng.choice(fault.forms)) for _ in range(6)]
        try:
            seen = play(world, drawn, draw_history(rng, world, 8))
        except Exception as e:  # a run that breaks has found it, too
            return Hunt(fault, comparisons, f"{type(e).__name__}: {e}")
        comparisons += seen.figures.comparisons
        if seen.differences:
            first = seen.differences[0]
            return Hunt(fault, comparisons, f"{first.drawn.sql}\n{first.message}")
        seed += 1
    return Hunt(fault, comparisons)


def _hunts(chosen: Sequence[Fault], limit: int, jobs: int) -> Iterator[Hunt]:
    """Each in a process of its own, forked from one that has imported no sources yet."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["duckdb", "numpy", "pyarrow.compute", "pyarrow.parquet", "sqlglot"])  # fmt: skip
    with ProcessPoolExecutor(jobs, context, max_tasks_per_child=1) as pool:
        hunts = [(f, pool.submit(hunt, f, limit) if is_in_place(f) else None) for f in chosen]
        for fault, running in hunts:
            if running is None:
                yield Hunt(fault, trouble="its line is not in the sources")
            elif (error := running.exception()) is not None:
                yield Hunt(fault, trouble=f"{type(error).__name__}: {error}")
            else:
                yield running.result()


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="faults whose name or module has this in it")
    parser.add_argument("--limit", type=int, default=3000, help="comparisons for each")
    parser.add_argument("--jobs", type=int, default=2)
    options = parser.parse_args(argv)
    chosen = [f for f in FAULTS if options.only in f"{f.name} {f.module}"]
    survivors = 0
    for done in _hunts(chosen, options.limit, options.jobs):
        survivors += not done.found
        print(_told(done), flush=True)
    print(f"{len(chosen) - survivors} of {len(chosen)} planted faults were found")
    return 1 if survivors else 0


def _told(done: Hunt) -> str:
    if done.trouble:
        how = f"NOT HUNTED: {done.trouble}"
    elif not done.found:
        how = f"NOT FOUND in {done.comparisons} comparisons"
    else:
        how = f"found in {done.comparisons}" if done.comparisons else f"found by {done.fault.test}"
    return f"{how:>40}  {done.fault.module}: {done.fault.name}"


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    sys.exit(main(sys.argv[1:]))
