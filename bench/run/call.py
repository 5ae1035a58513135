"""Whether a call of pytest is a sweep, and what it cannot be combined with."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from bench.errors import InputError
from bench.run.options import OPTIONS


def collects_suites(places: Iterable[Path]) -> bool:
    """Whether these paths lead into a checkout's ``suites``, however the checkout is reached, or hold it."""
    return any(_in_suites(place) or (place / "suites").is_dir() for place in (place.resolve() for place in places))


def _in_suites(place: Path) -> bool:
    return any(part.name == "suites" and (part.parent / "conftest.py").is_file() for part in (place, *place.parents))


def check_company(plugins: Iterable[str], values: Mapping[str, Any], timeout_ini: str) -> None:
    """Refuses what a sweep cannot run with.

    Args:
        plugins: Names of pytest's plugins.
        values: pytest's options by name.
        timeout_ini: pytest-timeout's setting in a file.

    Raises:
        InputError: pytest-benchmark is off, cases are spread over processes, or a plugin ends tests by itself.
    """
    if "benchmark" not in plugins:
        raise InputError("a sweep needs pytest-benchmark: leave out -p no:benchmark, in PYTEST_ADDOPTS too")
    if values.get("numprocesses") or values.get("dist", "no") != "no" or "PYTEST_XDIST_WORKER" in os.environ:
        raise InputError("a sweep times its cases one after another: leave out -n and --dist of pytest-xdist")
    if "timeout" in plugins:
        given = (values.get("timeout"), os.environ.get("PYTEST_TIMEOUT"), timeout_ini)
        if any(value and float(value) > 0 for value in given):
            raise InputError("a sweep ends what takes too long by itself: give --case-limit-s in place of --timeout")


def path_taken_for_tests(arguments: Iterable[str]) -> str | None:
    """An option written ``--option PATH`` although nobody knew it yet, so that pytest took the path for tests.

    Returns:
        How to write it; None where there is none.
    """
    valued = {name for option in OPTIONS if not option.flag for name in (option.name, option.old) if name}
    option = ""
    for argument in arguments:
        if option and any(os.path.lexists(part) for part in (argument, *argument.split(","))):
            return f"{option}={argument}"
        option = argument if argument in valued else ""
    return None
