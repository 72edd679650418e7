"""Arrays that become Arrow columns, in memory of Arrow's pool.

The pool keeps what is freed. NumPy's arrays of this size are given back to the system and taken from it
again with every epoch: to touch each page for the first time costs several times what is written there.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Int64s = npt.NDArray[np.int64]


def int64s(count: int) -> Int64s:
    """Room for so many; what stands there is not said."""
    return np.frombuffer(pa.allocate_buffer(8 * count), np.int64)
