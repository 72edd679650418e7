"""Built-in connectors; each registers by an entry point, as a stranger's would."""

from __future__ import annotations
