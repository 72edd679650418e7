"""A source brings events in: Arrow batches, each with the position after it.

The engine calls one source from one reader thread: `open`, then `read` again and again, then `close`.
`read` runs ahead of the engine into a bounded queue; a position counts only once its epoch has
committed (`committed`), so after a failure `open` is given an earlier position than the last `read`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import pyarrow as pa

from stream_magic.contracts.options import Options, SourceOptions
from stream_magic.core.arrivals import Arrivals, Numbers
from stream_magic.core.clock import Clock
from stream_magic.core.epoch import Position
from stream_magic.security.secrets import Secret

if TYPE_CHECKING:
    from stream_magic.contracts.format import Format

PAYLOAD = "payload"


@dataclass(frozen=True)
class BadRow:
    """A row that could not be decoded; it goes to `errors.NAME`."""

    raw: bytes
    reason: str
    position: str = ""  # for people: 'orders[3] offset 17', 'access.log line 8'


@dataclass(frozen=True)
class SourceBatch:
    """Rows in order of arrival and the position after them.

    Attributes:
        rows: columns of `Source.schema()`; of a source with `takes_format` instead the column
            `payload` (binary, one message or record a row; NULL is a message without a value)
            and after it the columns of `extra_schema`.
        position: where to go on after this batch; None if this source cannot resume (or, with
            `begins_whole`, cannot yet).
        partitions: partition of each row (int32), or None if there is only partition 0.
        errors: rows that the source itself could not make sense of.
        places: for people, where each row came from ('line 8'); None or as long as `rows`.
        ended_partitions: no row of these partitions comes any more.
        numbers: arrival numbers (int64, ascending) of rows that got them from `context.arrivals` before
            they were read; None, and the engine numbers them when they enter its queue.
    """

    rows: pa.Table
    position: Position | None
    partitions: np.ndarray | None = None
    errors: Sequence[BadRow] = field(default_factory=tuple)
    places: Sequence[str] | None = None
    ended_partitions: Sequence[int] = field(default_factory=tuple)
    numbers: Numbers | None = None


@dataclass(frozen=True)
class SourceContext:
    """What the engine tells a source about itself.

    Attributes:
        name: of the source in the app.
        app: name of the app.
        clock: the app's; wall time, never `time.time`.
        columns: the declared columns, or None to infer them.
        format: the format bound to the statement's FORMAT clause, or None.
        secrets: values to take out of anything that is shown.
        arrivals: numbers the rows of all sources of the app.
    """

    name: str
    app: str
    clock: Clock
    columns: pa.Schema | None = None
    format: Format | None = None
    secrets: tuple[Secret, ...] = ()
    arrivals: Arrivals = field(default_factory=Arrivals)


class Source(ABC):
    """Events from outside. A plugin is a subclass with `options_type` and an entry point."""

    options_type: ClassVar[type[SourceOptions]] = SourceOptions
    takes_format: bool = False
    """Of the class: a FORMAT clause has a meaning. Of an instance: `read` yields raw payloads that the engine decodes.

    A source that decodes by itself with `context.format` (files: each has its own header) says True
    as a class and False as an instance; then it gives `schema()`, whole rows, and bad ones in `errors`.
    """
    default_format: ClassVar[str | None] = "json"
    """The format without a FORMAT clause; None if the source finds it out (by a file's extension)."""
    is_changelog: bool = False
    """True if `rows` carries `_weight` (+1, -1)."""
    is_bounded: bool = False
    """True if it ends by itself (a file read once): `app.drain` waits for that."""
    is_local: ClassVar[bool] = False
    """True if `read` never blocks: the engine then reads without a thread, and a step takes all there is."""
    can_resume: ClassVar[bool] = True
    """False if a position means nothing (a socket): said by DESCRIBE."""
    begins_whole: ClassVar[bool] = False
    """True if what comes before the first position belongs together (a snapshot) and is read again from its start
    when reading breaks: the engine takes these rows when the position has come, so that none enters twice.
    """
    detail: str = ""
    """One line for the flow graph: 'mysql-cdc, shop.orders'."""
    address: str = ""
    """What is read, in the words of `Target.address`: a target of the same app that writes it lends its schema."""

    def __init__(self, options: Options, context: SourceContext) -> None:
        self.options = options
        self.context = context

    @property
    def partitions(self) -> Sequence[int]:
        """Partitions known now: each holds back the watermark until it has rows, ends or idles."""
        return (0,)

    @property
    def extra_schema(self) -> pa.Schema:
        """Columns beside the payload that a source with `takes_format` adds to the decoded ones."""
        return pa.schema([])

    def schema(self) -> pa.Schema:
        """Columns of the rows, when none were declared and no FORMAT decodes them.

        May ask the outside for at most 10 s.

        Raises:
            ConnectorError: it cannot be told; the hint says to declare columns.
        """
        raise NotImplementedError

    def sample(self) -> list[bytes]:
        """Some payloads (at most 1,000, for at most 10 s) to infer a schema from; [] if there are none yet."""
        return []

    def check(self) -> None:
        """Finds what would make `open` fail for good (a wrong option, binlog off). May ask the outside.

        Raises:
            ConnectorError: with what to do; `transient` if the system just does not answer.
        """

    @abstractmethod
    def open(self, position: Position | None) -> None:
        """Connects and goes on after `position`, or begins where the options say. May be called again after `close`."""

    @abstractmethod
    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        """The next rows; None if none came within `timeout_s`. Never more than about `max_rows`.

        Raises:
            ConnectorError: `transient` ones are tried again from the last position, with back-off.
            EndOfSource: a bounded source has no more rows, ever.
        """

    def committed(self, position: Position) -> None:
        """All rows up to `position` are in a committed epoch: the place to acknowledge them. Called from the reader's thread."""

    def lag_rows(self) -> int | None:
        """Rows known to wait outside, if that can be told cheaply."""
        return None

    @abstractmethod
    def close(self) -> None:
        """Lets go of everything. May be called twice, also after a failed `open`."""


class EndOfSource(Exception):
    """A bounded source is at its end: its watermark goes to the end of time.

    Attributes:
        arrival: the next arrival number when it ended; None is now.
    """

    def __init__(self, arrival: int | None = None) -> None:
        super().__init__()
        self.arrival = arrival
