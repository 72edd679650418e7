"""A cache of the rows of a table or a query in a database."""

from __future__ import annotations

from stream_magic.caches.database.cache import DatabaseCache, DatabaseCacheOptions

__all__ = ["DatabaseCache", "DatabaseCacheOptions"]
