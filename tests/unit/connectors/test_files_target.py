from __future__ import annotations

import csv
import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_magic.connectors.files import FileTarget, FileTargetOptions
from stream_magic.contracts.options import Options
from stream_magic.contracts.target import TargetContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Mark
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.formats.json import JsonFormat
from stream_magic.formats.parquet import ParquetFormat, ParquetOptions

SCHEMA = pa.schema([("id", pa.int64()), ("name", pa.string())])


def target(
    path: Path | str, state: str = "life", clock: Any = None, form: Any = None, **options: Any
) -> FileTarget:
    made = FileTarget(
        FileTargetOptions(path=str(path), **options),
        TargetContext("out", "app", state, clock or ManualClock(), SCHEMA, format=form),
    )
    MADE.append(made)
    made.open()
    return made


MADE: list[FileTarget] = []


@pytest.fixture(autouse=True)
def closing():
    yield
    while MADE:
        made = MADE.pop()
        made._held.clear()
        made.close()


def rows(*ids: int) -> pa.Table:
    return pa.table([list(ids), [f"n{i}" for i in ids]], schema=SCHEMA)


def read_csvs(folder: Path) -> dict[str, list[int]]:
    found = {}
    for path in sorted(folder.glob("*.csv")):
        with path.open(newline="") as f:
            found[path.name] = [int(r["id"]) for r in csv.DictReader(f)]
    return found


def test_files_roll_by_rows_and_each_has_its_header(tmp_path):
    t = target(tmp_path / "x", roll_rows=2)
    t.write(Mark("life", 1), rows(1))
    t.write(Mark("life", 2), rows(2, 3, 4, 5))
    t.close()
    t.close()
    assert read_csvs(tmp_path / "x") == {
        "out-00001.csv": [1, 2], "out-00002.csv": [3, 4], "out-00003.csv": [5]
    }  # fmt: skip
    assert t.last_mark() == Mark("life", 2)
    assert t.guarantee == "exactly_once"


def test_files_roll_by_bytes_and_by_the_clock(tmp_path):
    clock = ManualClock()
    t = target(tmp_path, clock=clock, roll_interval=timedelta(seconds=10))
    t.write(Mark("life", 1), rows(1))
    clock.advance(9)
    t.tick()
    t.write(Mark("life", 2), rows(2))
    clock.advance(1)
    t.tick()
    t.write(Mark("life", 3), rows(3))
    t.close()
    assert read_csvs(tmp_path) == {"out-00001.csv": [1, 2], "out-00002.csv": [3]}
    big = target(tmp_path / "big", roll_bytes=100)
    big.write(Mark("life", 1), rows(*range(100)))
    big.close()
    files = read_csvs(tmp_path / "big")
    assert [i for ids in files.values() for i in ids] == list(range(100))
    assert all(100 <= (tmp_path / "big" / n).stat().st_size < 130 for n in sorted(files)[:-1])


@pytest.mark.parametrize(
    ("path", "name", "address"),
    [
        ("d", "d/out-00001.csv", "d/out-*.csv"),
        ("d/orders.csv", "d/orders-00001.csv", "d/orders-*.csv"),
        ("d/o-{n}.txt", "d/o-1.txt", "d/o-*.txt"),
        ("d/{n:03d}.csv", "d/001.csv", "d/*.csv"),
    ],
)
def test_the_path_says_what_files_are_called(tmp_path, path, name, address):
    t = target(tmp_path / path)
    t.write(Mark("life", 1), rows(1))
    t.close()
    assert (tmp_path / name).exists()
    assert t.address == f"file://{tmp_path / address}"


def test_files_of_others_are_never_touched(tmp_path):
    (tmp_path / "out-00001.csv").write_text("mine")
    (tmp_path / "out-00007.csv").write_text("mine too")
    t = target(tmp_path)
    t.write(Mark("life", 1), rows(1))
    t.close()
    assert (tmp_path / "out-00001.csv").read_text() == "mine"
    assert (tmp_path / "out-00008.csv").read_text() == "id,name\n1,n1\n"
    with pytest.raises(ConfigError, match="needs one"):
        target(tmp_path / "a-{n}-{m}.csv")


def test_the_same_life_goes_on_in_its_open_file(tmp_path):
    t = target(tmp_path, roll_rows=3)
    t.write(Mark("life", 1), rows(1))
    t.close()
    t = target(tmp_path, roll_rows=3)
    assert t.last_mark() == Mark("life", 1)
    t.write(Mark("life", 2), rows(2, 3, 4))
    t.close()
    assert read_csvs(tmp_path) == {"out-00001.csv": [1, 2, 3], "out-00002.csv": [4]}


def test_another_life_begins_new_files(tmp_path):
    t = target(tmp_path)
    t.write(Mark("life", 1), rows(1))
    t.close()
    t = target(tmp_path, state="other")
    assert t.last_mark() is None
    t.write(Mark("other", 1), rows(2))
    t.close()
    assert read_csvs(tmp_path) == {"out-00001.csv": [1], "out-00002.csv": [2]}


class Crash(BaseException):
    """The process dies: nothing after it runs."""


@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
@pytest.mark.parametrize("step", range(12))
def test_a_crash_at_any_step_loses_nothing_and_doubles_nothing(tmp_path, monkeypatch, form, step):
    formats = {
        "csv": None,
        "json": JsonFormat(Options()),
        "parquet": ParquetFormat(ParquetOptions()),
    }
    epochs = [rows(1, 2), rows(3), rows(4, 5, 6, 7, 8), rows(9), rows(10, 11, 12)]
    from stream_magic.connectors.files import manifest

    calls = 0

    def dying(save: Any) -> Any:
        def inner(self: Any, path: Path) -> None:
            nonlocal calls
            calls += 1
            if calls == step * 2:
                raise Crash
            save(self, path)
            if calls == step * 2 + 1:
                raise Crash

        return inner

    with monkeypatch.context() as patch:
        patch.setattr(manifest.Manifest, "save", dying(manifest.Manifest.save))
        t = target(tmp_path, form=formats[form], roll_rows=3)
        try:
            for i, table in enumerate(epochs):
                t.write(Mark("life", i), table)
            t.close()
        except Crash:
            if t._stream is not None:
                t._stream.close()  # writes what it holds, as a system may have before the end
    t = target(tmp_path, form=formats[form], roll_rows=3)
    mark = t.last_mark()
    for i, table in enumerate(epochs):
        if mark is None or i > mark.last_epoch:
            t.write(Mark("life", i), table)
    t.close()
    ids = []
    for path in sorted(p for p in tmp_path.iterdir() if not p.name.startswith(".")):
        if form == "csv":
            with path.open(newline="") as f:
                ids += [int(r["id"]) for r in csv.DictReader(f)]
        elif form == "json":
            ids += [json.loads(line)["id"] for line in path.read_text().splitlines()]
        else:
            ids += pq.read_table(path).column("id").to_pylist()
    assert ids == list(range(1, 13))


def test_parquet_moves_the_mark_when_the_file_is_whole(tmp_path):
    form = ParquetFormat(ParquetOptions())
    t = target(tmp_path, form=form, roll_rows=3)
    t.write(Mark("life", 1), rows(1, 2))
    assert list(tmp_path.glob("*.parquet")) == []
    assert target(tmp_path, form=form).last_mark() is None
    t.write(Mark("life", 2), rows(3, 4))
    assert [pq.read_table(p).num_rows for p in sorted(tmp_path.glob("*.parquet"))] == [3, 1]
    assert target(tmp_path, form=form).last_mark() == Mark("life", 2)
    t.write(Mark("life", 3), rows(5))
    t.close()
    assert target(tmp_path, form=form).last_mark() == Mark("life", 3)
    assert len(list(tmp_path.glob("*.parquet"))) == 3


def test_a_file_that_somebody_shortened_is_not_continued(tmp_path):
    t = target(tmp_path)
    t.write(Mark("life", 1), rows(1, 2, 3))
    t.close()
    (tmp_path / "out-00001.csv").write_text("")
    with pytest.raises(ConnectorError, match="gone or shorter"):
        target(tmp_path)


def test_a_path_that_is_no_folder_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConnectorError):
        target(tmp_path / "file" / "x.csv")
