"""A seeded shop that never closes: a source without a server, for tours, tests and benchmarks."""

from __future__ import annotations

from stream_magic.connectors.generator.shop import catalogue, customers
from stream_magic.connectors.generator.source import GeneratorOptions, GeneratorSource

__all__ = ["GeneratorOptions", "GeneratorSource", "catalogue", "customers"]
