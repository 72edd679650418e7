"""`python -m bench [name ...]`: measures, and prints one line a figure. A missed aim is said, and no failure."""

from __future__ import annotations

import argparse
import importlib

NAMES = (
    "kafka_json", "enrich_window", "operators", "sessions", "many_queries", "mysql_cdc", "latency",
)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="*", choices=[*NAMES, []], help=f"of {', '.join(NAMES)}")
    results = []
    for name in parser.parse_args().name or NAMES:
        for result in importlib.import_module(f"bench.{name}").measure():
            print(result, flush=True)
            results.append(result)
    missed = [r.name for r in results if not r.is_reached]
    print(f"missed: {', '.join(missed)}" if missed else "all aims reached", flush=True)


if __name__ == "__main__":
    main()
