"""`python -m bench [name ...]`: measures, and prints one line a figure. A missed aim is said, and no failure."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from bench.page import write_figures
from bench.result import Result

NAMES = (
    "kafka_json", "enrich_window", "operators", "nexmark", "sessions", "many_queries", "streams", "mysql_cdc", "latency",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*NAMES, []], help=f"of {', '.join(NAMES)}")
    parser.add_argument("--out", type=Path, help="a page whose figures are written anew")
    arguments = parser.parse_args()
    results: dict[str, list[Result]] = {}
    for name in arguments.name or NAMES:
        results[name] = []
        for result in importlib.import_module(f"bench.{name}").measure():
            print(result, flush=True)
            results[name].append(result)
        if arguments.out:
            write_figures(arguments.out, name, results[name])
    missed = [r.name for found in results.values() for r in found if not r.is_reached]
    print(f"missed: {', '.join(missed)}" if missed else "all aims reached", flush=True)


if __name__ == "__main__":
    main()
