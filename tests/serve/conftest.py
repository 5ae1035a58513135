"""Fixtures of the service's tests."""

import pytest

from tests.serve.running import planted
from tests.serve.small import checkpoint

__all__ = ["planted"]


@pytest.fixture(scope="session")
def small_weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The path of a small checkpoint of v3."""
    return checkpoint(tmp_path_factory.mktemp("small"))
