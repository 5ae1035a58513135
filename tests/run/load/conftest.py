"""Fixtures of the load suite's tests."""

from tests.serve.conftest import small_weights

__all__ = ["small_weights"]
