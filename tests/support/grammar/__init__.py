"""Random continuous queries, each with its twin in plain SQL; random tables and rows for them.

Everything is drawn from one `random.Random`: a seed is a case. `world.py` makes tables, `shapes.py`
says which forms of SELECT there are, `play.py` runs queries over rows and finds a difference.
"""

from __future__ import annotations
