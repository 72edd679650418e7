"""Where epochs are cut changes nothing: late rows, closed windows and results are those of the reference."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from support.cases import PROFILE, START, source
from support.compare import bag
from support.events import Judge, bucket_end
from support.law import Query, Row, Source, Trial

SIZE, DELAY, LATENESS = timedelta(seconds=10), timedelta(seconds=5), timedelta(seconds=3)
COLUMNS = "k VARCHAR, v INTEGER, ts TIMESTAMP, WATERMARK FOR ts AS ts - INTERVAL 5 SECONDS"
WINDOWED = (
    "SELECT *, time_bucket(INTERVAL 10 SECONDS, ts, TIMESTAMP '1970-01-01') AS window_start, "
    "window_start + INTERVAL 10 SECONDS AS window_end FROM {table}"
)
ITEMS = "window_start, window_end, k, count(*) AS n, sum(v) AS t, {last}, count(DISTINCT v) AS d"
MERGED = "window_end, count(*) AS n, avg(v) AS m, max(v) AS hi"

events = st.lists(
    st.tuples(
        st.sampled_from(["a", "b", None]),
        st.sampled_from([None, 1, 2, 3]),
        st.one_of(st.none(), st.integers(-20, 60)),
        st.integers(0, 2),
        st.booleans(),  # an epoch ends here
        st.sampled_from(["", "", "", "", "", "idle"]),
    ),
    max_size=25,
)


def queries(judge_rows: Any, closed: Any) -> list[Query]:
    """Each window query twice: changes at once, and only what is closed."""
    shapes = [(ITEMS, "window_start, window_end, k"), (MERGED, "window_end")]
    made = []
    for items, keys in shapes:
        text = items.format(last="last(v) AS l")
        select = f"SELECT {text} FROM TUMBLE(s, ts, INTERVAL 10 SECONDS) GROUP BY {keys}"
        inner = WINDOWED.format(table="s_n")
        twin = (
            f"SELECT {items.format(last='last(v ORDER BY _n) AS l')} FROM ({inner}) GROUP BY {keys}"
        )
        made.append(Query(select, twin, judge_rows))
        made.append(Query(f"{select} EMIT ON WINDOW CLOSE", twin, closed))
    made.append(Query("SELECT k, count(*) AS n FROM s GROUP BY k"))
    return made


class Reference:
    """What DESIGN 3.4 says of all events so far."""

    def __init__(self) -> None:
        self.judge = Judge(partitions=3, delay=DELAY, lateness=LATENESS)
        self.on_time: list[tuple[Row, datetime]] = []
        self.late: list[Row] = []

    def see(self, row: Row, partition: int) -> None:
        end = bucket_end(row["ts"], SIZE)
        is_open = self.judge.admit(row, partition, end)
        if end is not None:
            (self.on_time.append((row, end)) if is_open else self.late.append(row))

    def rows(self, _: Source) -> list[Row]:
        return [row for row, _ in self.on_time]

    def closed(self, _: Source) -> list[Row]:
        return [row for row, end in self.on_time if self.judge.has_closed(end)]


@PROFILE
@given(events)
def test_windows_agree_with_the_reference_after_every_epoch(given_events: Any) -> None:
    seen = Reference()
    options = "partitions = 3, allowed_lateness = '3 seconds', idle_timeout = '60 seconds'"
    with Trial([source("s", options, COLUMNS)], queries(seen.rows, seen.closed)) as trial:
        recent: dict[int, float] = {0: 0, 1: 0, 2: 0}
        for k, v, at, partition, ends, what in given_events:
            row = {"k": k, "v": v, "ts": None if at is None else START + timedelta(seconds=at)}
            trial.push([row], partition=partition)
            seen.see(row, partition)
            recent[partition] = trial.clock.monotonic_s()
            if what == "idle":
                trial.step()
                trial.clock.advance(61)
                trial.step(check=False)
                seen.judge.fall_idle(*recent)
                trial.check()
            elif ends:
                trial.step()
        trial.step()
        lates = [e for e in trial.errors(0) if e["code"] == "SM5003"]
        assert len(lates) == len(seen.late)
        nulls = [e for e in trial.errors(0) if e["code"] == "SM5002"]
        assert len(nulls) == sum(1 for _, _, at, *_ in given_events if at is None)


@PROFILE
@given(events)
def test_epochs_may_be_cut_anywhere(given_events: Any) -> None:
    """One row an epoch, as drawn, and all in one: the same tables, errors and closed windows."""
    ends = []
    for cut in ("rows", "drawn", "none"):
        with Trial([source("s", "partitions = 3", COLUMNS)], queries(None, None)) as trial:
            for k, v, at, partition, is_cut, _ in given_events:
                ts = None if at is None else START + timedelta(seconds=at)
                trial.push([{"k": k, "v": v, "ts": ts}], partition=partition)
                if cut == "rows" or (cut == "drawn" and is_cut):
                    trial.step(check=False)
            trial.step(check=False)
            trial.app.end("s")
            trial.step(check=False)
            tables = [bag(trial.result(i)) for i in range(len(trial.queries))]
            errors = [[(e["code"], e["raw"]) for e in trial.errors(i)] for i in range(4)]
            ends.append((tables, errors))
    assert ends[0] == ends[1] == ends[2]
