"""OVER with EMIT ON WINDOW CLOSE: what frames do not read any more is forgotten, and answers stay the same."""

from __future__ import annotations

from unittest.mock import patch

import pyarrow as pa
import pytest

import stream_magic
from stream_magic.engine.operators import waiting

EPOCHS = 20


def _run(call: str, least: int) -> tuple[list[int], int]:
    """The results in order, and the rows that are kept at the end; forgotten when so many came."""
    with patch.object(waiting, "_FORGET_ROWS", least):
        app = stream_magic.App("waiting")
        app.execute(
            "CREATE SOURCE s (v INT, ts TIMESTAMP, WATERMARK FOR ts AS ts) WITH (connector = 'memory');"
            f"CREATE STREAM r AS SELECT v, {call} AS x FROM s EMIT ON WINDOW CLOSE"
        )
        for i in range(EPOCHS):
            times = pa.array([(10 * i + n) * 1_000_000 for n in range(10)], pa.timestamp("us"))
            app.push("s", pa.table({"v": pa.array(range(10), pa.int32()), "ts": times}))
            app.step()
        kept = [
            step.operator.state_size().rows
            for step in app._engine.flow["r"].program.steps()
            if isinstance(step.operator, waiting.WaitingOperator)
        ]
        result = app["r"].preview(10_000).column("x").to_pylist()
        app.close()
    return result, kept[0]


@pytest.mark.parametrize(
    ("frame", "most"),
    [("RANGE BETWEEN INTERVAL 5 SECONDS PRECEDING AND CURRENT ROW", 20), ("ROWS 3 PRECEDING", 20),
     ("GROUPS BETWEEN 2 PRECEDING AND CURRENT ROW", 20), ("ROWS UNBOUNDED PRECEDING", 10 * EPOCHS)],
)  # fmt: skip
def test_rows_are_kept_as_far_as_frames_read(frame: str, most: int) -> None:
    call = f"sum(v) OVER (ORDER BY ts {frame})"
    forgetful, few = _run(call, 0)
    whole, _ = _run(call, 1_000_000)
    assert forgetful == whole
    assert few <= most
    assert len(whole) == 10 * EPOCHS - 1, "the last row is at the watermark"
