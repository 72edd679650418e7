"""Built-in formats; each registers by an entry point, as a stranger's would."""

from __future__ import annotations
