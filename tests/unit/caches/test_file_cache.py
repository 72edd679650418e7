from __future__ import annotations

import io
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


def parquet(**columns: list[Any]) -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table(columns), stream)
    return stream.getvalue()


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


GOOD = {
    "p.csv": b"id,name,price\n1,a,1.5\n2,b,2\n",
    "p.jsonl": b'{"id": 1, "name": "a"}\n{"id": 2, "name": "b"}\n',
    "p.parquet": parquet(id=[1, 2], name=["a", "b"]),
}


@pytest.mark.parametrize(
    ("name", "bad", "code", "said"),
    [
        ("p.csv", b"", "SM4120", "the cache products cannot read PATH: the file is empty"),
        ("p.csv", b"id,name,price\n1,a,1\n2,b\n3,c,d,e\n", "SM4120", "line 3 has too few fields"),
        ("p.csv", b"id,name,price\n1,a,1\n2,b,3,4\n", "SM4120", "line 3 has too many fields"),
        ("p.csv", b"id,name,price\n1,a\xff,1\n", "SM4120", "line 2 is not UTF-8"),
        (
            "p.csv",
            b"id,price\n1,2\n",
            "SM4205",
            "PATH has no column 'name' any more, it has: id, price",
        ),
        (
            "p.csv",
            b"id,name,price\n1,a,x\n",
            "SM4205",
            "column 'price' of PATH was DOUBLE and is VARCHAR now: 'x'",
        ),
        ("p.jsonl", b'{"id": 1, "name": "a"}\n{"id"\n', "SM4120", "line 2 is not JSON"),
        ("p.jsonl", b'{"id": 1}\n', "SM4205", "PATH has no column 'name' any more, it has: id"),
        (
            "p.jsonl",
            b'{"id": 1, "name": {"a": 1}}\n',
            "SM4205",
            "was VARCHAR and is STRUCT now: {'a': 1}",
        ),
        (
            "p.parquet",
            GOOD["p.parquet"][:50],
            "SM4120",
            "it is no whole Parquet file: it is still being written, or something else",
        ),
        (
            "p.parquet",
            parquet(id=["1", "x"], name=["a", "b"]),
            "SM4205",
            "column 'id' of PATH was BIGINT and is VARCHAR now: 'x'",
        ),
    ],
)
def test_a_file_that_turns_bad_says_where_and_why_in_our_words(tmp_path, name, bad, code, said):
    path = tmp_path / name
    path.write_bytes(GOOD[name])
    c = cache(path)
    assert c.load().num_rows == 2
    path.write_bytes(bad)
    with pytest.raises(ConnectorError) as caught:
        c.load()
    assert (caught.value.code, caught.value.transient) == (code, False)
    assert said.replace("PATH", str(path)) in caught.value.message
    for word in ("Error", "Arrow", "duckdb", "Schema", "schema"):
        assert word not in caught.value.message
    path.write_bytes(GOOD[name])
    assert c.load().num_rows == 2


def test_of_several_files_the_one_at_fault_is_named(tmp_path):
    for name in ("a.jsonl", "b.jsonl"):
        (tmp_path / name).write_bytes(GOOD["p.jsonl"])
    c = cache(tmp_path / "*.jsonl")
    assert c.load().num_rows == 4
    (tmp_path / "b.jsonl").write_bytes(b"x\n")
    with pytest.raises(ConnectorError, match=r"b\.jsonl: line 1 is not JSON"):
        c.load()


def test_columns_stay_as_they_were_at_first(tmp_path):
    path = tmp_path / "p.csv"
    path.write_bytes(b"id,code\n1,x7\n")
    c = cache(path)
    assert c.load().to_pylist() == [{"id": 1, "code": "x7"}]
    path.write_bytes(b"more,id,code\n5,2,007\n")
    assert c.load().to_pylist() == [{"id": 2, "code": "007"}]
