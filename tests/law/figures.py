"""`make law-figures FILES="a.jsonl b.jsonl" REQUIRE=200`: adds up what law runs have seen.

Fails if there was a difference, or if something that the law is about was met by fewer compared
queries than required: a rule of the planner, an aggregate, a join, a window, a form of query.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from law.needed import needed
from support.grammar import figures as slices
from support.grammar.figures import Figures, Slice


def report(found: Sequence[Slice]) -> Figures:
    """Prints the sum."""
    total = Figures()
    for each in found:
        total.add(each.figures)
    shown = total.as_json()
    shown["differences"] = len(total.differences)
    commits = list(dict.fromkeys(s.commit for s in found))
    print(json.dumps({"slices": len(found), "commits": commits, **shown}, indent=1))
    return total


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--require", type=int, default=0, help="so many compared queries met each")
    options = parser.parse_args(argv)
    total = report(slices.read(options.files))
    lacking = total.lacking(needed(), options.require)
    for name, count in lacking.items():
        print(f"met {count} times: {name}")
    for difference in total.differences:
        print(difference)
    return 1 if lacking or total.differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
