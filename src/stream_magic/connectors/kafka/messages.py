"""Messages to Arrow: the payload column, the `kafka` column, and places that are told when asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, overload

import numpy as np
import pyarrow as pa

KAFKA_TYPE = pa.struct(
    [
        pa.field("topic", pa.string()),
        pa.field("partition", pa.int32()),
        pa.field("offset", pa.int64()),
        pa.field("timestamp", pa.timestamp("us")),
        pa.field("key", pa.string()),
        pa.field("headers", pa.map_(pa.string(), pa.string())),
    ]
)


class Places(Sequence[str]):
    """'orders[3] offset 17' for each row; the text is made when somebody asks."""

    def __init__(self, topic: str, partitions: np.ndarray, offsets: np.ndarray) -> None:
        self._topic = topic
        self._partitions = partitions
        self._offsets = offsets

    def __len__(self) -> int:
        return len(self._offsets)

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Places: ...
    def __getitem__(self, index: int | slice) -> str | Places:
        if isinstance(index, slice):
            return Places(self._topic, self._partitions[index], self._offsets[index])
        return f"{self._topic}[{self._partitions[index]}] offset {self._offsets[index]}"


def metadata_column(
    topic: str, messages: Sequence[Any], partitions: np.ndarray, offsets: np.ndarray
) -> pa.Array:
    """The `kafka` column: what the broker knows of each message."""
    times = [m.timestamp() for m in messages]
    millis = pa.array([None if kind == 0 else ms for kind, ms in times], pa.int64())
    return pa.StructArray.from_arrays(
        [
            pa.array([topic] * len(messages), pa.string()),
            pa.array(partitions, pa.int32()),
            pa.array(offsets, pa.int64()),
            millis.cast(pa.timestamp("ms")).cast(pa.timestamp("us")),
            pa.array([readable(m.key()) for m in messages], pa.string()),
            pa.array(
                # A name may come twice; a map has it once, and the last one counts.
                [list({n: readable(v) for n, v in m.headers() or ()}.items()) for m in messages],
                KAFKA_TYPE.field("headers").type,
            ),
        ],
        fields=list(KAFKA_TYPE),
    )


def readable(data: bytes | None) -> str | None:
    r"""UTF-8 as text; other bytes as `\xff`, as DuckDB writes a BLOB."""
    return None if data is None else data.decode("utf-8", "backslashreplace")
