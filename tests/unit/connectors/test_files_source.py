from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_magic.connectors.files import FileSource, FileSourceOptions
from stream_magic.contracts.source import EndOfSource, SourceContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.formats.csv import CsvFormat, CsvOptions

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def source(path: Path, columns: pa.Schema | None = SCHEMA, **options: Any) -> FileSource:
    made = FileSource(
        FileSourceOptions(path=str(path), **options),
        SourceContext("s", "app", ManualClock(), columns),
    )
    MADE.append(made)
    return made


MADE: list[FileSource] = []


@pytest.fixture(autouse=True)
def closing():
    yield
    while MADE:
        MADE.pop().close()


class Reading:
    """A source that is read, with all that came out of it."""

    def __init__(self, s: FileSource, position: Any = None) -> None:
        self.source = s
        self.ids: list[int | None] = []
        self.errors: list[tuple[str, str]] = []
        self.position = position
        s.open(position)

    def more(self, max_rows: int = 1000) -> Reading:
        while True:
            try:
                batch = self.source.read(max_rows, 0)
            except EndOfSource:
                return self
            if batch is None:
                return self
            assert batch.rows.schema == self.source.schema()
            self.ids += batch.rows.column("id").to_pylist()
            self.errors += [(e.position, e.reason) for e in batch.errors]
            self.position = batch.position


def test_files_of_a_pattern_are_read_in_order_of_name_each_with_its_header(tmp_path):
    (tmp_path / "b.csv").write_text("name,id\nx,3\ny,4")
    (tmp_path / "a.csv").write_text('id,name\n1,"two\nlines"\n2,é😀\n')
    (tmp_path / "c.csv").write_text("")
    reading = Reading(source(tmp_path / "*.csv")).more()
    assert reading.ids == [1, 2, 3, 4]
    assert not reading.errors


def test_bad_rows_say_their_line(tmp_path):
    path = tmp_path / "access.csv"
    path.write_text('id,name\n1,"two\nlines"\n2,a,b\nx,c\n3,d\n')
    reading = Reading(source(path)).more()
    assert reading.ids == [1, 3]
    assert reading.errors == [
        ("access.csv line 4", "3 fields, the header has 2"),
        ("access.csv line 5", "column 'id': 'x' does not fit BIGINT"),
    ]


@pytest.mark.parametrize("bite", [1, 2, 7])
@pytest.mark.parametrize("name", ["x.csv", "x.jsonl", "x.csv.gz", "x.parquet"])
def test_reading_goes_on_from_any_position(tmp_path, name, bite):
    path = tmp_path / name
    if name.endswith("parquet"):
        pq.write_table(pa.table({"id": range(10)}), path, row_group_size=4)
    elif name.endswith("jsonl"):
        path.write_text("".join(f'{{"id":{i}}}\n' for i in range(10)))
    else:
        data = ("id,name\n" + "".join(f'{i},"a\nb"\n' for i in range(10))).encode()
        path.write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    first = source(path)
    first.open(None)
    ids, position = [], None
    for _ in range(3):
        batch = first.read(bite, 0)
        if batch is None:
            break
        ids += batch.rows.column("id").to_pylist()
        position = batch.position
        if len(ids) == 10:
            break
    first.close()
    first.close()
    assert len(ids) > 0
    assert ids + Reading(source(path), position).more(bite).ids == list(range(10))


def test_an_empty_file_ends_at_once_and_a_missing_one_says_so(tmp_path):
    (tmp_path / "empty.csv").write_text("")
    assert Reading(source(tmp_path / "empty.csv")).more().ids == []
    with pytest.raises(ConnectorError, match="there is no file"):
        source(tmp_path / "none.csv").open(None)
    with pytest.raises(ConnectorError, match="no rows yet") as caught:
        source(tmp_path / "empty.csv", columns=None).schema()
    assert "declare columns" in str(caught.value.hint)


def test_tail_waits_for_the_file_and_for_whole_lines(tmp_path):
    path = tmp_path / "log.jsonl"
    reading = Reading(source(path, mode="tail")).more()
    assert reading.ids == []
    path.write_text('{"id":1}\n{"id":')
    assert reading.more().ids == [1]
    with path.open("a") as f:
        f.write("2}\n")
    assert reading.more().ids == [1, 2]
    (tmp_path / "other.jsonl").write_text('{"id":9}\n')
    assert reading.more().ids == [1, 2]
    assert not reading.errors


def test_a_last_line_without_newline_counts_when_read_once(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"id":1}\n{"id":2}')
    assert Reading(source(tmp_path / "log.jsonl")).more().ids == [1, 2]


def test_rotation_reads_the_old_file_to_its_end_first(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"id":1}\n')
    reading = Reading(source(path, mode="tail")).more()
    with path.open("a") as f:
        f.write('{"id":2}\n{"id":3}')
    path.rename(tmp_path / "log.jsonl.1")
    path.write_text('{"id":4}\n')
    assert reading.more().ids == [1, 2, 3, 4]
    assert not reading.errors


def test_rotation_while_the_source_was_closed_loses_nothing(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"id":1}\n')
    before = Reading(source(path, mode="tail")).more()
    before.source.close()
    with path.open("a") as f:
        f.write('{"id":2}\n')
    path.rename(tmp_path / "old")
    path.write_text('{"id":3}\n')
    after = Reading(source(path, mode="tail"), before.position).more()
    assert after.ids == [2, 3]
    assert Reading(source(path, mode="tail"), after.position).more().ids == []


def test_renamed_files_that_still_match_are_not_read_twice(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("id,name\n1,a\n")
    reading = Reading(source(tmp_path / "*.csv", mode="tail")).more()
    path.rename(tmp_path / "log-1.csv")
    path.write_text("id,name\n2,b\n")
    assert reading.more().ids == [1, 2]


def test_a_file_that_is_gone_is_said_when_reading_goes_on(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"id":1}\n')
    before = Reading(source(path, mode="tail")).more()
    before.source.close()
    path.rename(tmp_path / "kept")
    (tmp_path / "kept").rename(tmp_path.parent / f"{tmp_path.name}-elsewhere")
    path.write_text('{"id":3}\n')
    after = Reading(source(path, mode="tail"), before.position).more()
    assert after.ids == [3]
    assert after.errors == [
        ("log.jsonl line 2", "the file is gone; what was not read of it is lost")
    ]


@pytest.mark.parametrize("again", ['{"id":7}\n', '{"id":70}\n{"id":71}\n{"id":72}\n'])
def test_truncation_begins_the_file_again_and_says_so(tmp_path, again):
    path = tmp_path / "log.jsonl"
    path.write_text('{"id":1}\n{"id":2}\n')
    reading = Reading(source(path, mode="tail")).more()
    path.write_text(again)
    reading.more()
    assert reading.ids[2] in (7, 70)
    assert len(reading.ids) == 2 + again.count("\n")
    assert reading.errors == [("log.jsonl line 3", "the file was truncated: it is read again")]


def test_tail_can_begin_at_the_end(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("id,name\n1,a\n")
    reading = Reading(source(path, mode="tail", start="end")).more()
    with path.open("a") as f:
        f.write("2,b\n")
    (tmp_path / "x.csv").write_text("")
    assert reading.more().ids == [2]


def test_columns_are_inferred_from_header_and_rows(tmp_path):
    path = tmp_path / "x.csv"
    path.write_text("id,at\n1,2026-01-01 10:00:00\n")
    s = source(path, columns=None)
    assert s.schema() == pa.schema([("id", pa.int64()), ("at", pa.timestamp("us"))])
    assert Reading(s).more().ids == [1]
    assert s.sample() == [b"1,2026-01-01 10:00:00"]
    pq.write_table(pa.table({"id": [1]}), tmp_path / "x.parquet")
    assert source(tmp_path / "x.parquet", columns=None).schema() == pa.schema([("id", pa.int64())])


def test_the_format_is_that_of_the_statement_or_of_the_name(tmp_path):
    path = tmp_path / "data.txt"
    path.write_text("1;a\n")
    with pytest.raises(ConfigError, match="format of"):
        source(path)
    form = CsvFormat(CsvOptions(delimiter=";", header=False))
    s = FileSource(
        FileSourceOptions(path=str(path)), SourceContext("s", "a", ManualClock(), SCHEMA, form)
    )
    assert Reading(s).more().ids == [1]
    assert s.address == f"file://{path}"


def test_a_line_of_five_megabytes_is_read(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text('{"id":1}\n{"id":2,"name":"' + "é" * 2_500_000 + '"}\n{"id":3}\n')
    assert Reading(source(path)).more().ids == [1, 2, 3]
