"""The queries, as DuckDB's batch says them: its answer is the one that every system must give."""

from __future__ import annotations

from dataclasses import dataclass

FEW = 100
FILTER, WINDOW_S, SLIDE_S, GAP_S = 123, 10, 2, 2

_TUMBLE = f"time_bucket(INTERVAL {WINDOW_S} SECONDS, ts)"
_LAST_HOP = f"time_bucket(INTERVAL {SLIDE_S} SECONDS, ts)"
_FIRST_HOP = f"{_LAST_HOP} - INTERVAL {WINDOW_S - SLIDE_S} SECONDS"
_HOPS = f"unnest(generate_series({_FIRST_HOP}, {_LAST_HOP}, INTERVAL {SLIDE_S} SECONDS))"
_BEGINS = f"CASE WHEN ts - lag(ts) OVER (PARTITION BY bidder ORDER BY ts) <= INTERVAL {GAP_S} SECONDS THEN 0 ELSE 1 END"
_NUMBERED = f"SELECT bidder, ts, sum(b) OVER (PARTITION BY bidder ORDER BY ts) AS i FROM (SELECT *, {_BEGINS} AS b FROM bid)"


@dataclass(frozen=True)
class Query:
    """One question.

    Attributes:
        name: a word, by which adapters know it.
        title: for the page.
        batch: DuckDB's text. Windows are told by their start.
        has_state: ours is to be ahead of every peer on it.
        reads: the tables.
    """

    name: str
    title: str
    batch: str
    has_state: bool = True
    reads: tuple[str, ...] = ("bid",)


QUERIES = {
    q.name: q
    for q in (
        Query("map", "a computed column (q1)", "SELECT auction, bidder, price * 0.908::DOUBLE AS price, ts FROM bid", has_state=False),
        Query("filter", "a filter (q2)", f"SELECT auction, price FROM bid WHERE auction % {FILTER} = 0", has_state=False),
        Query(
            "hopping_count", f"count of each auction in hopping windows of {WINDOW_S} s every {SLIDE_S} s (q5)",
            f"SELECT auction, w, count(*) AS n FROM (SELECT auction, {_HOPS} AS w FROM bid) GROUP BY ALL",
        ),
        Query("tumbling_max", f"maximum of {WINDOW_S} s (q7)", f"SELECT {_TUMBLE} AS w, max(price) AS m FROM bid GROUP BY w"),
        Query(
            "tumbling_count", f"count of each bidder in {WINDOW_S} s (q12)",
            f"SELECT bidder, {_TUMBLE} AS w, count(*) AS n FROM bid GROUP BY ALL",
        ),
        Query("sum_100", "running sum of 100 keys", f"SELECT auction % {FEW} AS k, sum(price)::BIGINT AS s FROM bid GROUP BY k"),
        Query("sum_200k", "running sum of 200,000 keys", "SELECT bidder AS k, sum(price)::BIGINT AS s FROM bid GROUP BY k"),
        Query(
            "session_count", f"count of each bidder's sessions with a gap of {GAP_S} s (q11)",
            f"SELECT bidder, min(ts) AS w, count(*) AS n FROM ({_NUMBERED}) GROUP BY bidder, i",
        ),
        Query(
            "window_join", f"bids and asks of one bidder in the same {WINDOW_S} s (q8)",
            f"SELECT b.bidder, b.price, a.seller, b.w FROM (SELECT *, {_TUMBLE} AS w FROM bid) b "
            f"JOIN (SELECT *, {_TUMBLE} AS w FROM ask) a ON a.bidder = b.bidder AND a.w = b.w",
            reads=("bid", "ask"),
        ),
    )
}  # fmt: skip
