from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from bench.peers import rounds
from bench.peers.adapters import NAMES, adapter
from bench.peers.adapters.stream_magic import Adapter
from bench.peers.agreement import DisagreementError, check
from bench.peers.files import read_rows
from bench.peers.member import DiedError, Member
from bench.peers.page import page, section
from bench.peers.queries import QUERIES
from bench.peers.rounds import BATCH, Given, Timed, measured, middle
from bench.peers.rows import write_rows

MILLI = pa.table({"k": [2, 1], "w": pa.array([0, 1_000], pa.timestamp("ms"))})
MICRO = pa.table({"k": [1, 2], "w": pa.array([1_000_000, 0], pa.timestamp("us"))})


def test_rows_in_another_order_and_unit_agree() -> None:
    check(MILLI, MICRO)


def test_times_of_a_zone_agree_with_those_without() -> None:
    check(pa.table({"w": pa.array([1_000], pa.timestamp("ns", "UTC"))}), pa.table({"w": pa.array([1], pa.timestamp("us"))}))  # fmt: skip


def test_floats_agree_within_rounding_only() -> None:
    expected = pa.table({"v": [0.3]})
    check(pa.table({"v": [0.1 + 0.2]}), expected)
    with pytest.raises(DisagreementError, match=r"column v: 0\.31, not 0\.3"):
        check(pa.table({"v": [0.31]}), expected)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (pa.table({"k": [1, 3]}), "column k: 3, not 2"),
        (pa.table({"k": [1, None]}), "column k: None, not 2"),
        (pa.table({"k": [1, 2, 2]}), "3 rows, not 2"),
        (pa.table({"k": [1, 2], "n": [1, 2]}), "2 columns, not 1"),
    ],
)
def test_another_answer_is_told(given: pa.Table, words: str) -> None:
    with pytest.raises(DisagreementError, match=words):
        check(given, pa.table({"k": [1, 2]}))


def test_the_middle_is_taken_of_wall_and_processors_apart() -> None:
    assert middle([(1, 30), (9, 10), (2, 20)]) == (2, 20)


def test_the_rows_are_the_same_at_every_writing(tmp_path: Path) -> None:
    folders = [tmp_path / n for n in "ab"]
    for folder in folders:
        folder.mkdir()
        write_rows(folder, 1_000)
    first, second = (read_rows(f, ("bid", "ask")) for f in folders)
    assert first == second
    assert (first["bid"].num_rows, first["ask"].num_rows) == (1_000, 200)


@pytest.mark.parametrize("name", QUERIES)
def test_our_own_answer_is_the_batch_answer(name: str, tmp_path: Path) -> None:
    write_rows(tmp_path, 2_000)
    tables = read_rows(tmp_path, QUERIES[name].reads)
    peer = Adapter(name, tables)
    peer.prepare()
    peer.run()
    with duckdb.connect() as con:
        for table, rows in tables.items():
            con.register(table, rows)
        check(peer.answer(), con.sql(QUERIES[name].batch).to_arrow_table())
    peer.clear()


def test_the_batch_and_a_system_in_its_process_are_timed(tmp_path: Path) -> None:
    write_rows(tmp_path, 2_000)
    batch, ours = measured(QUERIES["sum_100"], ["stream_magic"], Given(tmp_path, 2_000), 1)
    assert (batch.system, ours.system, ours.reason) == (BATCH, "stream_magic", "")
    assert ours.versions.startswith("stream_magic ")
    assert batch.wall_s > 0
    assert ours.wall_s > 0


def test_a_wrong_answer_is_not_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_rows(tmp_path, 100)
    monkeypatch.setattr(rounds, "_batch", lambda *_: duckdb.sql("SELECT 1 AS k, 2 AS s").to_arrow_table())  # fmt: skip
    _, ours = measured(QUERIES["sum_100"], ["stream_magic"], Given(tmp_path, 2_000), 1)
    assert ours.reason.startswith("DisagreementError: ")
    assert ours.wall_s == 0


def test_a_process_that_dies_says_its_last_words(tmp_path: Path) -> None:
    member = Member("stream_magic", "nothing", Path(sys.executable), tmp_path)
    with pytest.raises(DiedError, match="KeyError: 'nothing'"):
        member.started()
    member.close()


SUM = [
    Timed(BATCH, 1_000_000, 0.01, 0.02, "duckdb 2.0"),
    Timed("stream_magic", 1_000_000, 0.5, 0.6, "stream_magic 1"),
    Timed("flink", 500_000, 2.0, 3.0, "apache-flink 2"),
    Timed("csp", reason="not expressible: it has no groups"),
]


def test_a_section_gives_ratios_aims_and_reasons() -> None:
    assert section(QUERIES["sum_100"], SUM) == (
        "## Running sum of 100 keys\n"
        "\n"
        "| system | bids | wall | CPU | rows/s | ours / theirs | by CPU |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |\n"
        "| DuckDB, one batch | 1,000,000 | 0.01 | 0.02 | 100,000,000 | 0.02 | 0.03 |\n"
        "| stream_magic | 1,000,000 | 0.50 | 0.60 | 2,000,000 | | |\n"
        "| flink | 500,000 | 2.00 | 3.00 | 250,000 | 8.00 | 10.00 |\n"
        "| csp | - | - | - | - | not expressible | - |\n"
        "\n"
        "- csp: not expressible: it has no groups.\n"
        "- aim: ahead of each: reached (the best is flink).\n"
        "- aim: 5 times Flink: reached.\n"
    )


@pytest.mark.parametrize(
    ("theirs", "verdict"),
    [(0.2, "MISSED"), (0.4, "no difference that means anything"), (0.7, "no difference that means anything"), (0.8, "reached")],
)  # fmt: skip
def test_being_ahead_needs_more_than_noise(theirs: float, verdict: str) -> None:
    told = section(QUERIES["sum_100"], [SUM[1], Timed("deephaven", 1_000_000, theirs, 1)])
    assert f"ahead of each: {verdict} (the best is deephaven)" in told


@pytest.mark.parametrize(("theirs", "verdict"), [(0.26, "reached"), (0.24, "MISSED")])
def test_a_filter_may_take_twice_as_long_as_the_best(theirs: float, verdict: str) -> None:
    told = section(QUERIES["filter"], [SUM[1], Timed("deephaven", 1_000_000, theirs, 1)])
    assert f"half of the best (deephaven): {verdict}" in told


def test_the_page_names_versions_and_how_each_was_run() -> None:
    text = page({"sum_100": SUM[:2]}, 5)
    assert "duckdb 2.0, stream_magic 1." in text
    assert "\n- stream_magic: rows wait in a memory source" in text


@pytest.mark.parametrize("name", NAMES)
def test_every_system_says_what_it_needs_and_how_it_is_run(name: str) -> None:
    """Bounds on both sides: an environment made next year is like the one that was run."""
    assert adapter(name).reads
    assert all(name == "stream_magic" or {">", "<"} <= set(r) for r in adapter(name).requirements)


def test_a_slow_system_gets_the_first_rows_only(tmp_path: Path) -> None:
    given = Given(tmp_path, 2_000)
    all_rows, few = (read_rows(given.folder(share), ("bid",))["bid"] for share in (1, 10))
    assert few.num_rows == 200
    assert few["ts"].equals(all_rows["ts"].slice(0, 200))


def test_no_runner_without_a_known_name() -> None:
    ran = subprocess.run([sys.executable, "-m", "bench.peers", "--only", "flnk"], capture_output=True, text=True, check=False)  # fmt: skip
    assert ran.returncode == 2
    assert "no system or query is called flnk" in ran.stderr
