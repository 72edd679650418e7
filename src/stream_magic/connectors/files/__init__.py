"""Files: read once or followed as they grow, and written in a rolling set."""

from __future__ import annotations

from stream_magic.connectors.files.source import FileSource, FileSourceOptions
from stream_magic.connectors.files.target import FileTarget, FileTargetOptions

__all__ = ["FileSource", "FileSourceOptions", "FileTarget", "FileTargetOptions"]
