"""A cache of the rows of a file."""

from __future__ import annotations

from stream_magic.caches.file.cache import FileCache, FileCacheOptions

__all__ = ["FileCache", "FileCacheOptions"]
