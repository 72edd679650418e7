"""docs/benchmarks.md: words by hand, and between two marks for each benchmark the figures of its last run."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.feed import EVENTS
from bench.result import Result


def write_figures(page: Path, name: str, results: Sequence[Result]) -> None:
    """Puts the results in place of those that stand between the marks of this benchmark."""
    day = datetime.now(UTC).date()  # noqa: TID251  # a page is dated, no row is
    load = os.getloadavg()[1]
    about = f"{day}, Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}, EVENTS={EVENTS:,}."
    lines = "\n".join(f"- {r}" for r in results)
    text, count = re.subn(
        rf"(<!-- {name} -->\n).*?(<!-- end -->)",
        lambda m: f"{m[1]}{about}\n\n{lines}\n{m[2]}",
        page.read_text(encoding="utf-8"),
        flags=re.DOTALL,
    )
    if count != 1:
        raise ValueError(f"{page} has no place for {name}: <!-- {name} --> and <!-- end -->")
    page.write_text(text, encoding="utf-8")
