"""Rounds as a strip: durations in the order in which they were taken, so that drift and modes are seen."""

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

_POINTS, _FEW = 240, 60
_WIDTH, _HEIGHT, _ROOM = 240, 40, 3


@dataclass(frozen=True)
class Strips:
    """Two strips on one scale.

    Attributes:
        before, after: As SVG.
        low, high: Ends of the scale.
        unit: Of the scale.
        what: What the marks are.
    """

    before: Markup
    after: Markup
    low: float
    high: float
    unit: str = "ms"
    what: str = "rounds"


def strips(before: Sequence[float], after: Sequence[float], unit: str = "ms", what: str = "rounds") -> Strips:
    """Values before and after on one scale.

    Args:
        before: Of the base, in the order in which they were measured.
        after: Of the new run.
        unit: Of the values.
        what: What they are.
    """
    low, high = _ends([*before, *after])
    return Strips(strip(before, low, high), strip(after, low, high), low, high, unit, what)


def strip(samples: Sequence[float], low: float | None = None, high: float | None = None) -> Markup:
    """A strip of rounds as SVG, at most 240 of them, evenly chosen.

    Args:
        samples: Durations in ms, in the order in which they were taken.
        low: Bottom of the scale; the shortest round by default.
        high: Top of the scale; the longest round by default.
    """
    if low is None or high is None:
        low, high = _ends(samples)
    step = max(1.0, len(samples) / _POINTS)
    few = [samples[int(index * step)] for index in range(int(len(samples) / step))]
    across = (_WIDTH - 2 * _ROOM) / max(1, len(few) - 1)
    points = "".join(f"M{_ROOM + index * across:.1f} {_y(value, low, high):.1f}h0" for index, value in enumerate(few))
    return Markup(
        '<svg class="strip{}" viewBox="0 0 {} {}" width="{}" height="{}" aria-hidden="true"><path d="{}"/></svg>'
    ).format(" few" if len(few) <= _FEW else "", _WIDTH, _HEIGHT, _WIDTH, _HEIGHT, points)


def _y(value: float, low: float, high: float) -> float:
    share = (value - low) / (high - low) if high > low else 0.5
    return _HEIGHT - _ROOM - share * (_HEIGHT - 2 * _ROOM)


def _ends(samples: Sequence[float]) -> tuple[float, float]:
    return (min(samples), max(samples)) if samples else (0.0, 1.0)
