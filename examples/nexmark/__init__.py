"""The queries of the Nexmark benchmark in StreamSQL: one file each, in `batch/` what DuckDB is asked instead if the text is another.

They read the sources `person`, `auction` and `bid`, which `declare` makes, and q13 the cache `side_input`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Kind = Literal["person", "auction", "bid"]
KINDS: tuple[Kind, ...] = ("person", "auction", "bid")
COLUMNS: dict[Kind, str] = {
    "person": "id BIGINT, name VARCHAR, emailAddress VARCHAR, creditCard VARCHAR, city VARCHAR, state VARCHAR, dateTime TIMESTAMP, extra VARCHAR",
    "auction": "id BIGINT, itemName VARCHAR, description VARCHAR, initialBid BIGINT, reserve BIGINT, dateTime TIMESTAMP, expires TIMESTAMP, seller BIGINT, category BIGINT, extra VARCHAR",
    "bid": "auction BIGINT, bidder BIGINT, price BIGINT, channel VARCHAR, url VARCHAR, dateTime TIMESTAMP, extra VARCHAR",
}
SIDE_INPUT = "SELECT i AS key, concat('value-', i) AS value FROM range(10000) AS t(i)"
_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Query:
    """A continuous query.

    Attributes:
        name: 'q05'.
        about: its first line.
        select: what the app runs.
        batch: what plain DuckDB runs over the tables of all rows.
    """

    name: str
    about: str
    select: str
    batch: str

    @property
    def reads(self) -> tuple[Kind, ...]:
        """The sources that it is made of."""
        return tuple(k for k in KINDS if re.search(rf"(FROM |JOIN |TUMBLE\(|HOP\(|SESSION\(){k}\b", self.select))  # fmt: skip


def queries() -> list[Query]:
    return [_read(path) for path in sorted(_HERE.glob("q*.sql"))]


def declare(kind: Kind, options: str = "connector = 'memory'", delay: str = "1 SECOND") -> str:
    """CREATE SOURCE of one kind, with a watermark `delay` behind its highest time."""
    watermark = f"WATERMARK FOR dateTime AS dateTime - INTERVAL {delay}"
    return f"CREATE SOURCE {kind} ({COLUMNS[kind]}, {watermark}) WITH ({options})"


def _read(path: Path) -> Query:
    about, select = path.read_text(encoding="utf-8").split("\n", 1)
    batch = path.with_name("batch") / path.name
    text = batch.read_text(encoding="utf-8") if batch.exists() else select
    return Query(path.stem, about.removeprefix("-- "), select.strip(), text.strip())
