from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_magic.caches.file import FileCache, FileCacheOptions
from stream_magic.contracts.cache import CacheContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.formats.csv import CsvFormat, CsvOptions


def cache(path: Path, form: Any = None) -> FileCache:
    return FileCache(
        FileCacheOptions(path=str(path)), CacheContext("products", "shop", ManualClock(), form)
    )


def test_csv_json_and_parquet_are_read_by_their_names(tmp_path):
    (tmp_path / "it's.csv").write_text("id,name\n2,é😀\n1,b\n")
    (tmp_path / "p.jsonl").write_text('{"id":2,"name":"é😀"}\n{"id":1,"name":"b"}\n')
    pq.write_table(pa.table({"id": [2, 1], "name": ["é😀", "b"]}), tmp_path / "p.parquet")
    for name in ("it's.csv", "p.jsonl", "p.parquet"):
        c = cache(tmp_path / name)
        assert c.schema() == pa.schema([("id", pa.int64()), ("name", pa.string())])
        assert c.load().to_pylist() == [{"id": 2, "name": "é😀"}, {"id": 1, "name": "b"}]
        c.close()


def test_the_format_of_the_statement_wins(tmp_path):
    path = tmp_path / "p.txt"
    path.write_text("1;'a;b'\n2;x\n")
    with pytest.raises(ConfigError, match="format of"):
        cache(path)
    form = CsvFormat(CsvOptions(delimiter=";", quote="'", header=False))
    assert cache(path, form).load().num_rows == 2
    assert cache(path, form).load().column(1).to_pylist() == ["a;b", "x"]


def test_a_missing_file_may_come_and_a_broken_one_is_said(tmp_path):
    with pytest.raises(ConnectorError, match="products cannot read") as caught:
        cache(tmp_path / "none.csv").load()
    assert caught.value.transient
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(ConnectorError):
        cache(tmp_path / "x.parquet").schema()
