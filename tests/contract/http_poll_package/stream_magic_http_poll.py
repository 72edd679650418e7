"""A connector from outside: asks an address again and again; every answer is a message for FORMAT."""

from __future__ import annotations

import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import timedelta

import pyarrow as pa

from stream_magic.contracts.options import SourceOptions, option
from stream_magic.contracts.source import Source, SourceBatch, SourceContext
from stream_magic.core.epoch import Position
from stream_magic.errors import ConnectorError


@dataclass(frozen=True, kw_only=True)
class HttpPollOptions(SourceOptions):
    url: str = option("Address to ask.", example="'http://localhost:8080/rates'")
    every: timedelta = option(
        "Pause between two questions.", default=timedelta(seconds=5), example="'5 seconds'"
    )


class HttpPollSource(Source):
    """What was missed while nobody asked is gone: it cannot resume."""

    options_type = HttpPollOptions
    takes_format = True
    can_resume = False
    options: HttpPollOptions

    def __init__(self, options: HttpPollOptions, context: SourceContext) -> None:
        super().__init__(options, context)
        self.detail = f"http-poll, {options.url}"
        self._next_s = 0.0

    def open(self, position: Position | None) -> None:
        self._next_s = time.monotonic()

    def read(self, max_rows: int, timeout_s: float) -> SourceBatch | None:
        wait_s = self._next_s - time.monotonic()
        if wait_s > 0:
            time.sleep(min(wait_s, timeout_s))
        if time.monotonic() < self._next_s:
            return None
        self._next_s = time.monotonic() + self.options.every.total_seconds()
        return SourceBatch(
            pa.table({"payload": pa.array([self._ask()], pa.binary())}), position=None
        )

    def _ask(self) -> bytes:
        try:
            with urllib.request.urlopen(self.options.url, timeout=5) as answer:
                body: bytes = answer.read()
                return body
        except urllib.error.URLError as e:
            raise ConnectorError(
                "SM4900", f"{self.options.url} does not answer: {e.reason}", transient=True
            ) from None

    def close(self) -> None:
        return
