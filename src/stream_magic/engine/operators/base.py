"""What operators share: the context of an epoch and the promise that they keep."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar, NamedTuple

import pyarrow as pa

from stream_magic.core.change import BEFORE_TIME
from stream_magic.engine.row_errors import RowErrors
from stream_magic.engine.state import StateSize
from stream_magic.engine.timeline import Timeline


class Flow(NamedTuple):
    """What an epoch brings at one place of a plan; no timeline where rows carry no watermark."""

    delta: pa.Table
    timeline: Timeline | None


@dataclass
class Turn:
    """One operator's part of one epoch.

    Attributes:
        errors: takes rows that cannot be handled.
        last_seq: the highest arrival number so far: what a row made from several is numbered.
        now_us: the app's clock, the same for the whole epoch.
        is_first: the operator runs for the first time, also if there is no input yet.
        timelines: watermarks of the operator's inputs; None of those that have none.
    """

    errors: RowErrors = field(default_factory=RowErrors)
    last_seq: int = -1
    now_us: int = 0
    is_first: bool = False
    timelines: tuple[Timeline | None, ...] = ()

    @cached_property
    def timeline(self) -> Timeline | None:
        """The lowest of the inputs'."""
        return Timeline.lowest(self.timelines)

    @property
    def watermark_us(self) -> int:
        """After this epoch's rows; END_OF_TIME when the inputs have ended."""
        return BEFORE_TIME if self.timeline is None else self.timeline.end_us

    @property
    def has_moved(self) -> bool:
        """A watermark of the inputs has risen in this epoch."""
        return any(t is not None and t.has_moved for t in self.timelines)


class Operator(ABC):
    """Turns the deltas of its inputs into the delta of its output.

    `run` is called inside the epoch's transaction; if the epoch is rolled back, so is all of its state.
    """

    schema: pa.Schema
    """Of the output: the engine's columns included."""

    lag_us: int = 0
    """How far the watermark of its rows is behind that of its inputs."""

    is_stateless: ClassVar[bool] = False
    """What it gives depends on nothing but the rows that it is given."""

    @abstractmethod
    def run(self, deltas: Sequence[pa.Table], turn: Turn) -> pa.Table:
        """The output's delta, from one delta for each input; called also without rows, when only a watermark moved."""

    @abstractmethod
    def state_size(self) -> StateSize:
        """What it keeps between epochs. Called between two epochs only."""

    def take_care(self, error: BaseException | None) -> bool:
        """The epoch was taken back because `run` raised this: whether running it again will go otherwise now.

        An operator that finds the values which cannot be computed says so once; they are error rows then.
        """
        del error
        return False

    @property
    def can_retell(self) -> bool:
        """It still knows all that it has given, netted: nothing was forgotten."""
        return False

    def retell(self, turn: Turn) -> pa.Table:
        """All that it has given in the epochs before this one, netted, for a query that begins. Called only if it can."""
        raise NotImplementedError

    def close(self) -> None:
        """Drops its state."""
