"""The cache of built engines on disk."""

from bench.engine_cache.cache import GIB, CachedEngine, EngineCache, default_engine_cache
from bench.engine_cache.files import Entry, Removal
from bench.engine_cache.own import MARKER

__all__ = ["GIB", "MARKER", "CachedEngine", "EngineCache", "Entry", "Removal", "default_engine_cache"]
