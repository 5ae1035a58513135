"""Sound to log-mel, and the inputs of a sweep."""

from bench.audio.mel import log_mel

__all__ = ["log_mel"]
