"""The cache of built engines on disk."""

from bench.engine_cache.cache import GIB, CachedEngine, EngineCache, default_engine_cache
from bench.engine_cache.files import Entry

__all__ = ["GIB", "CachedEngine", "EngineCache", "Entry", "default_engine_cache"]
