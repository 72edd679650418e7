"""Durations and sizes as people write them in options: '5 minutes', '250 ms', '64 MB'."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS_S = {
    "us": 1e-6, "microsecond": 1e-6,
    "ms": 1e-3, "millisecond": 1e-3,
    "s": 1.0, "sec": 1.0, "second": 1.0,
    "m": 60.0, "min": 60.0, "minute": 60.0,
    "h": 3600.0, "hour": 3600.0,
    "d": 86400.0, "day": 86400.0,
    "w": 604800.0, "week": 604800.0,
}  # fmt: skip
_UNITS_BYTES = {
    "": 1, "b": 1, "byte": 1,
    "kb": 10**3, "mb": 10**6, "gb": 10**9,
    "kib": 2**10, "mib": 2**20, "gib": 2**30,
}  # fmt: skip
_PART = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def parse_duration(text: str) -> timedelta:
    """'1 minute 30 s' -> timedelta.

    Raises:
        ValueError: with what may be written.
    """
    at, seconds = 0, 0.0
    while at < len(text):
        part = _PART.match(text, at)
        unit = part and part.group(2).lower()
        scale = unit and (_UNITS_S.get(unit) or _UNITS_S.get(unit.removesuffix("s")))
        if not part or not scale:
            raise ValueError(
                f"'{text}' is not a duration: write '10 seconds', '5 minutes' or '250 ms'"
            )
        seconds += float(part.group(1)) * scale
        at = part.end()
    if not text.strip():
        raise ValueError("an empty text is not a duration: write '10 seconds'")
    return timedelta(seconds=seconds)


def parse_bytes(text: str) -> int:
    """'64 MB' -> 64000000, '64 MiB' -> 67108864.

    Raises:
        ValueError: with what may be written.
    """
    part = _PART.fullmatch(text)
    unit = part and part.group(2).lower()
    scale = (
        None if unit is None else _UNITS_BYTES.get(unit) or _UNITS_BYTES.get(unit.removesuffix("s"))
    )
    if not part or not scale:
        raise ValueError(f"'{text}' is not a size: write '64 MB' or '1 GiB'")
    return int(float(part.group(1)) * scale)
