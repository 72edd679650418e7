"""A target writes the rows of a stream to a place outside."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import pyarrow as pa

from stream_magic.contracts.format import Format
from stream_magic.contracts.options import Options
from stream_magic.core.clock import Clock
from stream_magic.core.epoch import Mark
from stream_magic.security.secrets import Secret

Mode = Literal["append", "upsert", "changelog"]
Guarantee = Literal["exactly_once", "at_least_once"]


@dataclass(frozen=True)
class TargetContext:
    """What the engine tells a target about itself.

    Attributes:
        name: of the target in the app.
        app: name of the app.
        state_id: UUID of the app's state; part of every mark.
        clock: the app's.
        schema: the user's columns; batches have exactly these, and `_weight` behind them unless mode is append.
        mode: append; upsert (`_weight` +1 is the key's new row, -1 its deletion, a key once a batch); changelog.
        key: the key columns of an upsert, else ().
        format: the format bound to the FORMAT clause, or None.
        secrets: values to take out of anything that is shown.
    """

    name: str
    app: str
    state_id: str
    clock: Clock
    schema: pa.Schema
    mode: Mode = "append"
    key: tuple[str, ...] = ()
    format: Format | None = None
    secrets: tuple[Secret, ...] = ()


class Target(ABC):
    """Writes rows outside. A plugin is a subclass with `options_type` and an entry point.

    A crash may fall anywhere: after a restart the engine asks `last_mark` and delivers what came after it.
    One thread calls one target.
    """

    options_type: ClassVar[type[Options]] = Options
    takes_format: ClassVar[bool] = False
    default_format: ClassVar[str | None] = "json"
    """The format without a FORMAT clause; None if the target finds it out (by a file's extension)."""
    modes: ClassVar[frozenset[Mode]] = frozenset({"append"})
    """What it can take. An option `key` of the statement asks for upsert."""
    is_exclusive: ClassVar[bool] = False
    """True if no other target may write to the same address."""
    detail: str = ""
    """One line for the flow graph: 'kafka, topic orders'."""
    address: str = ""
    """What is written ('kafka://broker:9092/orders'), equal to `Source.address` of a source that reads it."""

    def __init__(self, options: Options, context: TargetContext) -> None:
        self.options = options
        self.context = context

    @property
    def guarantee(self) -> Guarantee:
        """What it promises with these options: shown by DESCRIBE, and tested."""
        return "at_least_once"

    def check(self) -> None:
        """Finds what would make `open` fail for good. May ask the outside for at most 10 s.

        Raises:
            ConnectorError: with what to do; `transient` if the system just does not answer.
        """

    @abstractmethod
    def open(self) -> None:
        """Connects. May be called again after `close`.

        Raises:
            ConnectorError: `transient` ones are tried again with back-off.
        """

    def last_mark(self) -> Mark | None:
        """The last mark that was stored with its rows, or None. Called after `open`."""
        return None

    @abstractmethod
    def write(self, mark: Mark, rows: pa.Table) -> None:
        """Stores the rows of one or several whole epochs and the mark together, or neither.

        Called in order of epochs. What fails is written again, whole, after `close` and `open`.

        Raises:
            DeliveryError: `transient` ones are tried again with back-off.
        """

    def tick(self) -> None:
        """Called about once a second, also without rows: the place to roll files by time."""

    @abstractmethod
    def close(self) -> None:
        """Finishes what is open. May be called twice, also after a failed `open`."""
