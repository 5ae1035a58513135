"""The load suite as pytest meets it."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import plugin


@pytest.mark.parametrize(
    ("arguments", "file", "ignored"),
    [
        (["suites/"], "test_load.py", True),
        (["suites/"], "test_speed.py", None),
        (["suites/test_load.py"], "test_load.py", None),
        (["suites/test_load.py::test_load[v4-eager-fp32-b1-t9]"], "test_load.py", None),
    ],
)
def test_it_runs_where_it_is_named(arguments: list[str], file: str, ignored: bool | None) -> None:
    """A case takes minutes, so that all suites are speed and sound."""
    config = SimpleNamespace(args=arguments)
    assert plugin.pytest_ignore_collect(Path("suites") / file, config) is ignored  # type: ignore[arg-type]
