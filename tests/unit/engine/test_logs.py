"""What a relation keeps costs its rows: many small epochs are few tables."""

from __future__ import annotations

import pyarrow as pa

from stream_magic.core.change import SEQ_FIELD, WEIGHT_FIELD
from stream_magic.engine.logs import ResultLog, StreamLog

ROW = pa.schema([("n", pa.int64()), SEQ_FIELD])
CHANGE = ROW.append(WEIGHT_FIELD)
EPOCHS = 3_000


def test_changes_that_wait_to_be_netted_are_few_tables() -> None:
    log = ResultLog(CHANGE)
    for i in range(EPOCHS):
        log.append(pa.table([[i, i + 1], [i, i], [-1, 1]], schema=CHANGE))
    assert len(log._waiting) < 20
    assert log.changes().column("n").to_pylist() == [0, EPOCHS]
    log.append(pa.table([[0], [EPOCHS], [1]], schema=CHANGE))
    assert log.rows().column("n").to_pylist() == [EPOCHS]


def test_rows_of_a_stream_are_few_tables_and_the_oldest_are_let_go() -> None:
    log = StreamLog(ROW, max_rows=2_000)
    for i in range(EPOCHS):
        log.append(pa.table([[i], [i]], schema=ROW))
    assert len(log._parts) < 20
    assert log.rows().column("n").to_pylist() == list(range(EPOCHS - 2_000, EPOCHS))
    assert (log.total, log.dropped, log.is_cut) == (EPOCHS, EPOCHS - 2_000, True)
