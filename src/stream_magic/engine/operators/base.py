"""What operators share: the context of an epoch and the promise that they keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import pyarrow as pa

from stream_magic.core.change import BEFORE_TIME
from stream_magic.engine.row_errors import RowErrors


@dataclass
class Turn:
    """One node's part of one epoch.

    Attributes:
        errors: takes rows that cannot be handled.
        last_seq: the highest arrival number so far: what a row made from several is numbered.
        watermark_us: of the input after this epoch's rows; END_OF_TIME when it has ended.
        now_us: the app's clock, the same for the whole epoch.
    """

    errors: RowErrors
    last_seq: int
    watermark_us: int = BEFORE_TIME
    now_us: int = 0


class Operator(ABC):
    """Turns the delta of its input into the delta of its output.

    `run` is called inside the epoch's transaction; if the epoch is rolled back, so is all of its state.
    """

    schema: pa.Schema
    """Of the output: the engine's columns included."""

    @abstractmethod
    def run(self, delta: pa.Table, turn: Turn) -> pa.Table:
        """The output's delta; called also without rows, when only the watermark moved."""

    def initial(self, turn: Turn) -> pa.Table | None:
        """What the operator says before there was any input (a global aggregate has one row)."""
        del turn
        return None

    def close(self) -> None:
        """Drops its state."""
