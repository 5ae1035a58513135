"""Which shapes an engine takes: one, or the ranges of one or several optimisation profiles."""

import re
from dataclasses import dataclass

from bench.errors import InputError

# The range that guides to TensorRT for GPT-SoVITS name: smallest, best and largest batch x frames.
DYNAMIC = "1x100_1x500_4x2000"
_SHAPE = re.compile(r"([1-9]\d{0,3})x([1-9]\d{0,5})")

Shape = tuple[int, int]


@dataclass(frozen=True)
class Profile:
    """A range of ``(batch, frames)``, both ends included, and the shape that the engine is tuned for."""

    smallest: Shape
    best: Shape
    largest: Shape

    def holds(self, shape: Shape) -> bool:
        """Whether a shape is in range."""
        return all(low <= size <= high for low, size, high in zip(self.smallest, shape, self.largest, strict=True))

    def __str__(self) -> str:
        return "_".join(f"{batch}x{frames}" for batch, frames in (self.smallest, self.best, self.largest))


@dataclass(frozen=True)
class Shapes:
    """The profiles of an engine.

    Attributes:
        profiles: At least one.
        dynamic: Whether the graph leaves batch and frames open.
    """

    profiles: tuple[Profile, ...]
    dynamic: bool

    def pick(self, shape: Shape) -> int | None:
        """Index of the profile to run a shape in: of those that hold it, the one tuned nearest; None without one."""
        fitting = [index for index, profile in enumerate(self.profiles) if profile.holds(shape)]
        return min(fitting, key=lambda index: _distance(self.profiles[index].best, shape), default=None)

    def __str__(self) -> str:
        return "+".join(map(str, self.profiles)) if self.dynamic else "x".join(map(str, self.profiles[0].best))


def _distance(best: Shape, shape: Shape) -> int:
    return abs(best[0] * best[1] - shape[0] * shape[1])


def parse_shapes(text: str, case: Shape) -> Shapes:
    """Reads the option ``shapes``.

    Args:
        text: ``static``, ``dynamic``, or profiles such as ``1x100_1x500_4x2000`` (smallest, best and largest
            batch x frames) joined by ``+``.
        case: The case's own ``(batch, frames)``; what a static engine is built for.

    Raises:
        InputError: it is none of these.

    >>> str(parse_shapes("dynamic", (1, 500)))
    '1x100_1x500_4x2000'
    """
    if text == "static":
        return Shapes((Profile(case, case, case),), dynamic=False)
    return Shapes(tuple(_profile(part) for part in (DYNAMIC if text == "dynamic" else text).split("+")), dynamic=True)


def _profile(text: str) -> Profile:
    found = [_SHAPE.fullmatch(part) for part in text.split("_")]
    shapes = [(int(match[1]), int(match[2])) for match in found if match]
    if len(shapes) == len(found) == 3:
        profile = Profile(*shapes)
        if profile.holds(profile.best):
            return profile
    raise InputError(
        "option shapes is static, dynamic, or profiles of smallest, best and largest batch x frames such as "
        f"{DYNAMIC}, joined by +; not {text!r}"
    )
