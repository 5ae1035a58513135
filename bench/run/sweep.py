"""Sweeps: from a TOML profile and command-line lists to cases.

A profile has any number of ``[[grid]]`` tables with the axes ``versions``, ``precisions``, ``batches`` and
``frames`` (numbers, or ``"t_ref"`` and ``"t_chunk"`` for each version's own), and optionally ``backends``; a
grid without ``backends`` runs every registered one that does not wait to be named. ``[stop]`` sets fields of
:class:`bench.measure.sampling.StopRule`. ``repeats`` is the number of processes that share a speed case's rounds.
"""

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import product
from pathlib import Path
from typing import Any

from bench.backends import backends, check, find_backend
from bench.case import VERSIONS, Case
from bench.errors import InputError, shown
from bench.files import read_text, user_path
from bench.measure.sampling import StopRule
from bench.precision import find_precision
from bench.run.options import AXES, MOST_REPEATS
from bench.spec import SPECS

# Half an hour of sound and a batch that no memory holds; a case beyond is a slip of the pen.
MOST = {"batches": 1024, "frames": 200_000}
MOST_CASES = 20_000
# Whether a stop rule's field is a count, and its largest value: a day, a million rounds.
_STOP_LIMITS = {
    "min_rounds": (int, 1_000_000),
    "max_rounds": (int, 1_000_000),
    "min_time_s": (float, 86_400.0),
    "time_limit_s": (float, 86_400.0),
    "relative_width": (float, 1.0),
}
_REQUIRED = ("versions", "precisions", "batches", "frames")


@dataclass(frozen=True)
class Profile:
    """A sweep.

    Attributes:
        name: Name of the profile.
        grids: Tables of axis name to values.
        stop: When a case has been sampled enough.
        repeats: Processes that share the rounds of a speed case.
    """

    name: str
    grids: tuple[Mapping[str, Sequence[Any]], ...]
    stop: StopRule
    repeats: int = 1

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
            names = axes["backends"] or [name for name, backend in backends().items() if not backend.on_request]
            count = math.prod(len(axes[axis]) for axis in _REQUIRED) * len(names)
            if count > MOST_CASES:
                raise InputError(f"profile {self.name} has a grid of {count} cases; at most {MOST_CASES} are run")
            for version, precision, batch, frames in product(*(axes[axis] for axis in _REQUIRED)):
                _check(version, precision)
                shape = (_positive("batches", batch), _frames(version, frames))
                for text in names:
                    backend, options = parse_backend(text)
                    case = Case(version, backend, precision, *shape, options)
                    check(case)
                    found[case] = None
        return list(found)


def parse_backend(text: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """Name and options of a backend written ``name`` or ``name:option=value:option=value``.

    >>> parse_backend("tensorrt-onnx:level=1")
    ('tensorrt-onnx', (('level', '1'),))
    """
    if not isinstance(text, str):
        raise InputError(f"backends are names such as eager, not {shown(repr(text), 60)}")
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


def _check(version: Any, precision: Any) -> None:
    if version not in VERSIONS:
        raise InputError(f"unknown version {shown(repr(version), 60)}; choose from {', '.join(VERSIONS)}")
    if not isinstance(precision, str):
        raise InputError(f"precisions are names such as fp32, not {shown(repr(precision), 60)}")
    find_precision(precision)


def _positive(axis: str, value: Any) -> int:
    try:
        number = int(value) if not isinstance(value, bool) else 0
        whole = number >= 1 and number == float(value)
    except (TypeError, ValueError, OverflowError):
        whole = False
    if not whole:
        raise InputError(f"{axis} are whole numbers from 1, not {shown(repr(value), 60)}")
    if number > MOST[axis]:
        raise InputError(f"{axis} are at most {MOST[axis]}, not {shown(value, 40)}")
    return number


def _frames(version: str, value: Any) -> int:
    named = {"t_ref": SPECS[version].t_ref, "t_chunk": SPECS[version].t_chunk}
    return named[value] if isinstance(value, str) and value in named else _positive("frames", value)


def profile_directory() -> Path:
    """Where the profiles are."""
    return Path(__file__).resolve().parent / "profiles"


def load_profile(name: str) -> Profile:
    """Reads a profile by name, or from a path that ends in ``.toml``.

    Raises:
        InputError: no such profile, or not a profile.
    """
    known = sorted(path.stem for path in profile_directory().glob("*.toml"))
    if name.endswith(".toml"):
        file = user_path(name, "profile")
    elif name in known:
        file = profile_directory() / f"{name}.toml"
    else:
        raise InputError(f"unknown profile {name!r}; choose from {', '.join(known)}, or give a path to a .toml file")
    text = read_text(file, "profile")
    try:
        data = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
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
    repeats = data.get("repeats", 1)
    if type(repeats) is not int or not 1 <= repeats <= MOST_REPEATS:
        raise InputError(
            f"profile {file}: repeats is a whole number from 1 to {MOST_REPEATS}, not {shown(repeats, 40)}"
        )
    return Profile(file.stem, tuple(grids), _stop_rule(stop, file), repeats)


def _stop_rule(stop: Mapping[str, Any], file: Path) -> StopRule:
    """The rule of a profile's ``[stop]``; every number finite and such that a case ends."""
    unknown = sorted(set(stop) - {field.name for field in fields(StopRule)})
    if unknown:
        raise InputError(f"profile {file}: [stop] has no field {unknown[0]!r}")
    for field, value in stop.items():
        kind, most = _STOP_LIMITS.get(field, (float, math.inf))
        if (kind is int and type(value) is not int) or not 0 <= value <= most or value == math.inf:
            what = "a whole number" if kind is int else "a number"
            raise InputError(f"profile {file}: [stop] {field} is {what} from 0 to {most:g}, not {shown(value, 40)}")
    try:
        return StopRule(**stop)
    except InputError as error:
        raise InputError(f"profile {file}: {error}") from error
