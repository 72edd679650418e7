"""Repeatable random numbers for generators: a hash of (seed, what it is for, number), so that no state is kept."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

Ints = np.ndarray[tuple[int], np.dtype[np.int64]]


def noise(seed: int, purpose: int, numbers: Ints) -> np.ndarray:
    """A 64-bit hash (splitmix64) of each number, the same on every machine."""
    x = numbers.astype(np.uint64)
    with np.errstate(over="ignore"):
        x = x * np.uint64(0x9E3779B97F4A7C15)
        start = (seed * 1_000_003 + purpose * 7_919 + 0x2545F4914F6CDD1D) & (2**64 - 1)
        x += np.uint64(start)
        x ^= x >> np.uint64(30)
        x *= np.uint64(0xBF58476D1CE4E5B9)
        x ^= x >> np.uint64(27)
        x *= np.uint64(0x94D049BB133111EB)
        x ^= x >> np.uint64(31)
    return x


def below(seed: int, purpose: int, numbers: Ints, limit: int) -> Ints:
    """Evenly spread whole numbers from 0 to limit - 1."""
    return (noise(seed, purpose, numbers) % np.uint64(limit)).astype(np.int64)


def share(seed: int, purpose: int, numbers: Ints) -> np.ndarray:
    """Evenly spread numbers from 0 to 1."""
    return (noise(seed, purpose, numbers) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def chosen(choices: tuple[str | None, ...], at: Ints) -> pa.Array:
    """The choice with each number."""
    return pa.array(choices, pa.string()).take(pa.array(at))
