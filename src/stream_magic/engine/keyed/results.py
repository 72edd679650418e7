"""Results of aggregate calls, made of their pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stream_magic.engine.keyed.columns import Kind, Number, Values

_MEAN = pa.float64()


@dataclass(frozen=True)
class Result:
    """One piece as it is, or a sum by a count.

    Attributes:
        kinds: of its pieces.
        first: number of the first of them.
        scale: digits behind the point that a sum of decimals has.
    """

    kinds: tuple[Kind, ...]
    first: int
    scale: int = 0

    def of(self, pieces: Sequence[Values]) -> Values:
        total = pieces[self.first]
        if len(self.kinds) == 1:
            return total
        (count,) = pieces[self.first + 1].words
        valid = total.valid & (count != 0)
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            # As DuckDB divides, to the last bit.
            mean = self.kinds[0].floats(total) / (np.where(valid, count, 1) * 10.0**self.scale)
        return Values((mean,), valid)

    def write(self, values: Values, kind: pa.DataType) -> pa.Array:
        return (self.kinds[0] if len(self.kinds) == 1 else Number(_MEAN, "sum")).write(values, kind)
