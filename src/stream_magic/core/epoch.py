"""Positions of sources and marks of targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"

# Where a source goes on: plain data that survives JSON, written and read by the source alone.
Position: TypeAlias = dict[str, JsonValue]


@dataclass(frozen=True, order=True)
class Mark:
    """What a target has: everything of `state_id` up to and including epoch `last_epoch`."""

    state_id: str
    last_epoch: int
