"""What a figure is: title, unit, direction and digits, written once, beside the field that holds it.

A field carries its facts as an annotation: ``median_ms: Annotated[float, Facts("Median", "ms", LOWER, 4)]``. Reports,
comparisons and verdicts look them up by the path of the field.
"""

import functools
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass
from enum import StrEnum
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from bench.errors import InputError


class Better(StrEnum):
    """Which value of a figure is the better one."""

    LOWER = "lower"
    HIGHER = "higher"
    ZERO = "zero"  # of either sign, the nearer to zero


LOWER, HIGHER, ZERO = Better.LOWER, Better.HIGHER, Better.ZERO


@dataclass(frozen=True)
class Facts:
    """What a reader must know of a figure.

    Attributes:
        title: Its name in tables, without the unit.
        unit: Of the recorded value; ``bytes`` are shown as MiB.
        better: Which value is the better one; None where neither is.
        digits: Significant digits to show.
        help: One sentence on what it is.
    """

    title: str
    unit: str = ""
    better: Better | None = None
    digits: int = 3
    help: str = ""


@functools.cache
def facts_of(kind: type) -> dict[str, Facts]:
    """The facts of every figure of a dataclass, by its path, such as ``timing.median_ms``.

    >>> from bench.records.kinds.speed import Speed
    >>> facts_of(Speed)["timing.median_ms"].unit
    'ms'
    """
    return dict(_facts(kind, ""))


def find_facts(kinds: tuple[type, ...], path: str) -> Facts:
    """The facts of a figure in the first of several dataclasses that holds it.

    Raises:
        InputError: none of them has a figure of this path.
    """
    for kind in kinds:
        if path in facts_of(kind):
            return facts_of(kind)[path]
    raise InputError(f"no record has a figure {path!r}")


def _facts(kind: type, prefix: str) -> Iterator[tuple[str, Facts]]:
    for name, hint in get_type_hints(kind, include_extras=True).items():
        if get_origin(hint) is Annotated:
            yield from ((prefix + name, extra) for extra in hint.__metadata__ if isinstance(extra, Facts))
        for part in part_types(hint):
            yield from _facts(part, f"{prefix}{name}.")


def part_types(hint: Any) -> tuple[type, ...]:
    """The dataclasses that a field of this type may hold directly; of a tuple of them, none."""
    if get_origin(hint) is tuple:
        return ()
    return tuple(found for found in (hint, *get_args(hint)) if isinstance(found, type) and is_dataclass(found))


def value_at(holder: object, path: str) -> float | None:
    """The figure of a path in a dataclass; None where it, or a part on the way, is missing or no number."""
    for name in path.split("."):
        holder = getattr(holder, name, None)
    return float(holder) if isinstance(holder, int | float) and not isinstance(holder, bool) else None
