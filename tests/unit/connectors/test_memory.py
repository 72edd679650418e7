from __future__ import annotations

import threading
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from stream_magic.connectors.memory import MemoryOptions, MemorySource, MemoryTarget
from stream_magic.contracts.options import Options
from stream_magic.contracts.source import EndOfSource, SourceContext
from stream_magic.contracts.target import TargetContext
from stream_magic.contracts.testkit import ManualClock
from stream_magic.core.epoch import Mark
from stream_magic.errors import ConfigError, DataError

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("price", pa.decimal128(12, 2)),
        ("at", pa.timestamp("us")),
    ]
)


def source(columns: pa.Schema | None = SCHEMA, **options: Any) -> MemorySource:
    made = MemorySource(
        MemoryOptions(**options), SourceContext("orders", "shop", ManualClock(), columns)
    )
    made.open(None)
    return made


def test_source_without_columns_says_to_declare_them():
    with pytest.raises(ConfigError, match="has no columns") as caught:
        source(columns=None)
    assert "declare columns" in str(caught.value.hint)


def test_rows_come_out_in_order_of_pushing_across_partitions_and_in_bites():
    s = source(partitions=2)
    s.push([{"id": 1}, {"id": 2}], partition=1)
    s.push([{"id": 3}], partition=0)
    s.push([{"id": 4}], partition=1)
    first, second = s.read(3, 0), s.read(3, 0)
    assert first is not None
    assert second is not None
    assert first.rows.column("id").to_pylist() == [1, 2, 3]
    assert first.partitions is not None
    assert first.partitions.tolist() == [1, 1, 0]
    assert second.rows.column("id").to_pylist() == [4]
    assert s.read(3, 0) is None


def test_source_ends_after_its_last_row():
    s = source()
    s.push([{"id": 1}])
    s.end()
    assert s.read(10, 0) is not None
    with pytest.raises(EndOfSource):
        s.read(10, 0)
    with pytest.raises(ConfigError, match="has ended"):
        s.push([{"id": 2}])


def test_reader_that_failed_goes_back_to_the_last_committed_row():
    s = source()
    s.push([{"id": i} for i in range(5)])
    first = s.read(2, 0)
    assert first is not None
    assert first.position is not None
    s.committed(first.position)
    s.read(2, 0)
    s.close()
    s.open(first.position)
    again = s.read(10, 0)
    assert again is not None
    assert again.rows.column("id").to_pylist() == [2, 3, 4]


def test_dicts_take_missing_keys_as_null_and_texts_where_they_fit():
    s = source()
    s.push([{"id": "12", "price": 1.5, "at": "2026-01-01 10:00:00"}, {"name": "é😀"}])
    batch = s.read(10, 0)
    assert batch is not None
    assert batch.rows.schema == SCHEMA
    assert batch.rows.to_pylist() == [
        {
            "id": 12,
            "name": None,
            "price": Decimal("1.50"),
            "at": datetime.fromisoformat("2026-01-01 10:00"),
        },
        {"id": None, "name": "é😀", "price": None, "at": None},
    ]


@pytest.mark.parametrize(
    "rows",
    [
        pa.table({"id": pa.array([1, 2], pa.int32()), "price": pa.array([1.5, None])}),
        pa.record_batch({"id": pa.array([1, 2], pa.uint8()), "price": pa.array(["1.50", None])}),
        pd.DataFrame({"id": [1.0, 2.0], "price": [1.5, None]}),
        [{"id": 1, "price": 1.5}, {"id": 2}],
    ],
)
def test_every_kind_of_rows_is_cast_to_the_declared_columns(rows):
    s = source()
    s.push(rows)
    batch = s.read(10, 0)
    assert batch is not None
    assert batch.rows.schema == SCHEMA
    assert batch.rows.column("id").to_pylist() == [1, 2]
    assert batch.rows.column("price").to_pylist() == [Decimal("1.50"), None]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": 1.5}, "1.5 does not fit column 'id' BIGINT"),
        ({"id": 2**63}, "9223372036854775808 does not fit column 'id' BIGINT"),
        ({"id": True}, "True does not fit column 'id' BIGINT"),
        ({"price": 1.005}, "1.005 does not fit column 'price' DECIMAL"),
        ({"at": "yesterday"}, "'yesterday' does not fit column 'at' TIMESTAMP"),
        ({"no": 1}, "orders has no column 'no'"),
        ({"id": 1, "ID": 2}, "have column 'id' twice\nhint: leave out 'id' or 'ID'"),
    ],
)
def test_nothing_of_a_push_with_a_bad_value_is_taken(row, said):
    s = source()
    with pytest.raises(DataError, match=said.replace("(", r"\(")):
        s.push([{"id": 1}, row])
    assert s.pending_rows == 0


def test_a_bad_value_in_an_arrow_column_is_named():
    s = source()
    with pytest.raises(DataError, match=r"1\.5 does not fit column 'id'"):
        s.push(pa.table({"id": [1.0, 1.5]}))
    with pytest.raises(DataError, match=r"1\.005 does not fit column 'price'"):
        s.push(pa.table({"price": [1.0, 1.005]}))
    with pytest.raises(DataError, match="no column 'no'"):
        s.push(pa.table({"no": [1]}))
    with pytest.raises(DataError, match="have column 'id' twice"):
        s.push(pa.table([[1], [2]], names=["ID", "Id"]))
    assert s.pending_rows == 0


@pytest.mark.parametrize(
    "rows",
    [
        [{"ID": 1, "Name": "a"}],
        pa.table({"NAME": ["a"], "Id": [1]}),
        pd.DataFrame({"iD": [1], "name": ["a"]}),
    ],
)
def test_column_names_are_compared_without_case_as_in_sql(rows):
    s = source(columns=pa.schema([("Id", pa.int64()), ("name", pa.string())]))
    s.push(rows)
    batch = s.read(10, 0)
    assert batch is not None
    assert batch.rows.to_pylist() == [{"Id": 1, "name": "a"}]


def test_names_inside_a_struct_are_compared_without_case_too():
    kind = pa.struct([("Name", pa.string()), ("size", pa.int32())])
    s = source(columns=pa.schema([("item", kind)]))
    s.push([{"item": {"NAME": "a"}}])
    batch = s.read(10, 0)
    assert batch is not None
    assert batch.rows.to_pylist() == [{"item": {"Name": "a", "size": None}}]
    for item in ({"nam": "a"}, {"name": "a", "Name": "b"}):
        with pytest.raises(DataError, match="does not fit column 'item'"):
            s.push([{"item": item}])


def test_timestamps_with_a_zone_become_utc():
    s = source()
    s.push([{"at": datetime(2026, 1, 1, tzinfo=UTC)}, {"at": "2026-01-01T01:00:00+01:00"}])
    batch = s.read(10, 0)
    assert batch is not None
    assert batch.rows.column("at").to_pylist() == [datetime.fromisoformat("2026-01-01")] * 2


def test_weights_belong_to_changelogs_only():
    with pytest.raises(ConfigError, match="takes no weights"):
        source().push([{"id": 1}], weights=[1])
    s = source(changelog=True)
    s.push([{"id": 1}, {"id": 2}], weights=[1, -1])
    s.push([{"id": 3}])
    batch = s.read(10, 0)
    assert batch is not None
    assert s.is_changelog
    assert batch.rows.column("_weight").to_pylist() == [1, -1, 1]
    for wrong in ([1], [1, 0], [1, 1.5]):
        with pytest.raises(ConfigError, match="weight"):
            s.push([{"id": 1}, {"id": 2}], weights=wrong)


def test_a_partition_that_is_not_there_is_refused():
    with pytest.raises(ConfigError, match="no partition 1"):
        source().push([{"id": 1}], partition=1)


def test_full_queue_has_room_again_when_rows_are_read():
    s = source(queue_rows=2)
    s.push([{"id": 1}, {"id": 2}])
    assert not s.wait_for_room(0)
    waited: list[bool] = []
    thread = threading.Thread(target=lambda: waited.append(s.wait_for_room(30)))
    thread.start()
    s.read(1, 0)
    thread.join(30)
    assert waited == [True]
    assert s.pending_rows == 1


def test_target_keeps_rows_and_mark():
    t = MemoryTarget(
        Options(), TargetContext("out", "shop", "state", ManualClock(), SCHEMA, mode="upsert")
    )
    t.open()
    assert t.rows().schema.names == [*SCHEMA.names, "_weight"]
    rows = pa.Table.from_pylist([{"id": 1, "_weight": 1}], t.rows().schema)
    t.write(Mark("state", 3), rows)
    t.close()
    assert t.rows().equals(rows)
    assert t.last_mark() == Mark("state", 3)
    assert t.guarantee == "exactly_once"
