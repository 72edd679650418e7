"""`python -m bench.peers`: measures, prints a table for each query, and writes the page if asked."""

from __future__ import annotations

import argparse
import json
import tempfile
from dataclasses import asdict
from pathlib import Path

from bench.peers.adapters import NAMES, OURS
from bench.peers.page import page, section
from bench.peers.queries import QUERIES
from bench.peers.rounds import Given, Timed, measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.peers", description=__doc__)
    parser.add_argument("--only", nargs="*", default=[], help="of " + ", ".join((*NAMES, *QUERIES)))
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, help="the page to write")
    parser.add_argument("--kept", type=Path, help="figures of earlier runs, which are added to: one query at a time")  # fmt: skip
    given = parser.parse_args()
    unknown = set(given.only) - {*NAMES, *QUERIES}
    if unknown:
        parser.error(f"no system or query is called {', '.join(sorted(unknown))}")
    systems = [n for n in NAMES if n in {OURS, *given.only} or not {*NAMES} & {*given.only}]
    queries = [q for q in QUERIES if q in given.only or not {*QUERIES} & {*given.only}]
    found = _read(given.kept)
    with tempfile.TemporaryDirectory() as folder:
        rows = Given(Path(folder), given.rows)
        for name in queries:
            found[name] = list(measured(QUERIES[name], systems, rows, given.rounds))
            print(section(QUERIES[name], found[name]), flush=True)
    if given.kept:
        given.kept.write_text(json.dumps({n: [asdict(t) for t in found[n]] for n in found}))
    if given.out:
        in_order = {n: found[n] for n in QUERIES if n in found}
        given.out.write_text(page(in_order, given.rounds), encoding="utf-8")


def _read(kept: Path | None) -> dict[str, list[Timed]]:
    if kept is None or not kept.exists():
        return {}
    return {n: [Timed(**t) for t in times] for n, times in json.loads(kept.read_text()).items()}


if __name__ == "__main__":
    main()
