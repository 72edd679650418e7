"""An app: statements in, a running graph out. Main flow: `App.execute`."""

from __future__ import annotations
