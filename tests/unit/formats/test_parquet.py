from __future__ import annotations

import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream_magic.errors import ConfigError, ConnectorError
from stream_magic.formats.parquet import ParquetFormat, ParquetOptions

PARQUET = ParquetFormat(ParquetOptions())
ROWS = pa.table(
    {
        "id": pa.array(range(10), pa.uint64()),
        "d": pa.array([Decimal("12345678901234567890.1234567890")] * 10, pa.decimal128(30, 10)),
        "o": [{"a": i, "l": [i]} for i in range(10)],
    }
)


def test_a_written_file_reads_back_the_same_from_any_row(tmp_path):
    stream = io.BytesIO()
    writer = PARQUET.open_file(stream, ROWS.schema, at_start=True)
    writer.write(ROWS.slice(0, 4))
    writer.write(ROWS.slice(4))
    writer.close()
    writer.close()
    path = str(tmp_path / "x.parquet")
    (tmp_path / "x.parquet").write_bytes(stream.getvalue())
    assert PARQUET.file_schema(path) == ROWS.schema
    for first in range(11):
        read = list(PARQUET.read_file(path, first, 3))
        assert all(0 < t.num_rows <= 3 for t in read)
        assert [i for t in read for i in t.column("id").to_pylist()] == list(range(first, 10))
    assert pa.concat_tables(PARQUET.read_file(path, 0, 100)).equals(ROWS)


def test_a_file_without_rows_is_fine_and_no_parquet_is_said(tmp_path):
    pq.write_table(ROWS.slice(0, 0), tmp_path / "x.parquet")
    assert list(PARQUET.read_file(str(tmp_path / "x.parquet"), 0, 3)) == []
    (tmp_path / "y.parquet").write_bytes(b"")
    with pytest.raises(ConnectorError, match="is not a Parquet file"):
        PARQUET.file_schema(str(tmp_path / "y.parquet"))


def test_what_a_file_cannot_hold_is_found_without_rows():
    interval = pa.month_day_nano_interval()
    schema = pa.schema(
        [
            ("id", pa.int64()),
            ("age", interval),
            ("o", pa.struct([("l", pa.list_(interval)), ("n", pa.int32())])),
            ("at", pa.time64("us")),
            ("none", pa.struct([])),
        ]
    )
    assert PARQUET.misfits(schema) == {
        "age": "INTERVAL",
        "o": "STRUCT with LIST with INTERVAL",
        "none": "STRUCT without fields",
    }
    assert PARQUET.misfits(ROWS.schema) == {}


def test_there_are_no_parquet_messages():
    with pytest.raises(ConfigError, match="files, not of messages"):
        PARQUET.encode(ROWS)
    with pytest.raises(ConfigError):
        PARQUET.decode(pa.array([b"x"]), ROWS.schema)
    with pytest.raises(ConfigError):
        PARQUET.infer([b"x"])
