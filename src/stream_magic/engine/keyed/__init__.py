"""State by key in memory: an index from keys to slots, and columns of values by slot.

It costs what changes, not what is kept (decision 0009). Slots are dense, given in order of arrival.
"""

from __future__ import annotations
