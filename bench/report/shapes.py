"""The shapes at which the report compares, and the promises, both from ``settings.toml``."""

import math
import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any

from bench.records.rows import Row


@cache
def settings() -> dict[str, Any]:
    """The shapes and promises of ``settings.toml``."""
    return tomllib.loads((files("bench.report") / "settings.toml").read_text(encoding="utf-8"))


def reference_frames(version: str) -> int:
    """Frames of the reference mel of a version, at which configurations are compared."""
    frames: int = settings()["reference_frames"].get(version, 500)
    return frames


def at_shape(rows: Iterable[Row], frames: int) -> list[Row]:
    """The rows at the smallest batch and the length nearest to ``frames`` that two configurations share.

    Lengths that only one configuration ended are taken only if there is no other.
    """
    rows = list(rows)
    if not rows:
        return []
    batch = min(row.case.batch for row in rows)
    shapes: dict[int, list[Row]] = {}
    for row in rows:
        if row.case.batch == batch:
            shapes.setdefault(row.case.frames, []).append(row)
    shared = {length: found for length, found in shapes.items() if len(found) > 1} or shapes
    return shared[min(shared, key=lambda length: (distance(length, frames), length))]


def distance(frames: int, wanted: int) -> float:
    """How far apart two lengths are, as the logarithm of their ratio."""
    return abs(math.log(frames / wanted))
