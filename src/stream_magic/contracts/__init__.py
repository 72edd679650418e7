"""Door 2, for authors of connectors, formats, caches and charts.

A plugin is one file: a dataclass of options and a class that keeps one of the contracts below;
one entry point makes it known. `contracts.testkit` checks it. Nothing here imports a client.
"""

from __future__ import annotations
