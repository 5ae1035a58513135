"""Fixtures of the service's tests."""

from tests.serve.running import planted

__all__ = ["planted"]
