"""Sweeps: from a TOML profile and command-line lists to cases.

A profile has any number of ``[[grid]]`` tables with the axes ``versions``, ``precisions``, ``batches`` and
``frames`` (numbers, or ``"t_ref"`` and ``"t_chunk"`` for each version's own), and optionally ``backends``; a
grid without ``backends`` runs every registered one. ``[stop]`` sets fields of
:class:`bench.measure.sampling.StopRule`.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from bench.backends import backends, find_backend
from bench.case import VERSIONS, Case
from bench.errors import InputError
from bench.measure.sampling import StopRule
from bench.precision import find_precision
from bench.run.options import AXES
from bench.spec import SPECS

_REQUIRED = ("versions", "precisions", "batches", "frames")


@dataclass(frozen=True)
class Profile:
    """A sweep.

    Attributes:
        name: Name of the profile.
        grids: Tables of axis name to values.
        stop: When a case has been sampled enough.
    """

    name: str
    grids: tuple[Mapping[str, Sequence[Any]], ...]
    stop: StopRule

    def cases(self, narrowed: Mapping[str, Sequence[str]] | None = None) -> list[Case]:
        """Every case once, in the order of the grids.

        Args:
            narrowed: Values that take an axis's place in every grid, as text from the command line.

        Raises:
            InputError: a value names nothing, a batch or length is not positive, or a backend has no such option.
        """
        found: dict[Case, None] = {}
        for grid in self.grids:
            axes = {axis: list(grid.get(axis, ())) for axis in AXES} | {
                axis: list(values) for axis, values in (narrowed or {}).items()
            }
            names = axes["backends"] or list(backends())
            for version, precision, batch, frames in product(*(axes[axis] for axis in _REQUIRED)):
                _check(version, precision)
                shape = (_positive("batches", batch), _frames(version, frames))
                for text in names:
                    backend, options = parse_backend(text)
                    case = Case(version, backend, precision, *shape, options)
                    find_backend(backend).check(case)
                    found[case] = None
        return list(found)


def parse_backend(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Name and options of a backend written ``name`` or ``name:option=value:option=value``.

    >>> parse_backend("tensorrt-onnx:level=1")
    ('tensorrt-onnx', (('level', '1'),))
    """
    name, *settings = text.split(":")
    known = find_backend(name).options
    options = {}
    for setting in settings:
        option, _, value = setting.partition("=")
        if option not in known or not value:
            raise InputError(
                f"backend {name} has no option {setting!r}; it takes {', '.join(f'{o}=...' for o in known) or 'none'}"
            )
        options[option] = value
    return name, tuple(sorted(options.items()))


def _check(version: str, precision: str) -> None:
    if version not in VERSIONS:
        raise InputError(f"unknown version {version!r}; choose from {', '.join(VERSIONS)}")
    find_precision(precision)


def _positive(axis: str, value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, ValueError, OverflowError):
        number = 0
    if number < 1 or number != float(value):
        raise InputError(f"{axis} are whole numbers from 1, not {value!r}")
    return number


def _frames(version: str, value: Any) -> int:
    named = {"t_ref": SPECS[version].t_ref, "t_chunk": SPECS[version].t_chunk}
    return named[value] if value in named else _positive("frames", value)


def profile_directory() -> Path:
    """Where the profiles are."""
    return Path(__file__).resolve().parent / "profiles"


def load_profile(name: str) -> Profile:
    """Reads a profile by name, or from a path that ends in ``.toml``.

    Raises:
        InputError: no such profile, or not a profile.
    """
    file = Path(name) if name.endswith(".toml") else profile_directory() / f"{name}.toml"
    if not file.is_file():
        known = ", ".join(sorted(path.stem for path in profile_directory().glob("*.toml")))
        raise InputError(f"unknown profile {name!r}; choose from {known}, or give a path to a .toml file")
    try:
        data = tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"profile {file} cannot be read: {error}") from error
    grids = data.get("grid")
    if not isinstance(grids, list) or not grids or not all(isinstance(grid, dict) for grid in grids):
        raise InputError(f"profile {file} has no [[grid]]")
    for grid in grids:
        wrong = [key for key, value in grid.items() if key not in AXES or not isinstance(value, list)]
        missing = [axis for axis in _REQUIRED if not grid.get(axis)]
        if wrong or missing:
            what = f"an unknown axis {wrong[0]!r}" if wrong else f"no {missing[0]}"
            raise InputError(f"profile {file}: a grid has {what}; axes are lists named {', '.join(AXES)}")
    stop = data.get("stop", {})
    if not isinstance(stop, dict) or not all(type(value) in (int, float) for value in stop.values()):
        raise InputError(f"profile {file}: [stop] is a table of numbers")
    unknown = sorted(set(stop) - {field.name for field in fields(StopRule)})
    if unknown:
        raise InputError(f"profile {file}: [stop] has no field {unknown[0]!r}")
    return Profile(file.stem, tuple(grids), StopRule(**stop))
