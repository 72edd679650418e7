"""How many rows an epoch takes: few when idle, many under load."""

from __future__ import annotations

# Below ~2,000 rows the fixed cost of an epoch rules, up to ~200,000 it still shows in what it costs a row.
_FEW, _MANY = 2_000, 200_000
# Above that only while an epoch is over before anybody notices.
_MOST, _QUICK_S = 400_000, 0.1
_GROWTH = 8


class EpochSize:
    """At most about `rows` of each source."""

    def __init__(self) -> None:
        self.rows = _FEW

    def ran(self, taken: int, seconds: float) -> None:
        """An epoch is over: one that was full is followed by a larger one, another by a smaller one."""
        if taken < self.rows:
            self.rows = max(_FEW, self.rows // 2)
        else:
            most = _MOST if seconds < _QUICK_S else max(_MANY, self.rows)
            self.rows = min(self.rows * _GROWTH, most)
