"""Points of two figures, numbered as in the legend."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.rows import Row
from bench.report.figures.curves import channels
from bench.report.figures.plot import Key
from bench.report.figures.series import point
from bench.report.figures.vega import Spec

_NEAR = 0.1  # of an axis


@dataclass(frozen=True)
class Axis:
    """A title, and how values lie on it."""

    title: str
    log: bool = True
    reverse: bool = False

    def channel(self, field: str) -> dict[str, Any]:
        """The axis as a position channel of a field."""
        scale: dict[str, Any] = {"type": "log", "nice": False} if self.log else {"zero": False}
        return {
            "field": field,
            "type": "quantitative",
            "title": self.title,
            "scale": {**scale, "padding": 24, "reverse": self.reverse},
            "axis": {"format": ".3~r", "tickCount": 6},
        }


def scatter(
    places: Iterable[tuple[Row, float, float]], legend: Mapping[str, Key], x: Axis, y: Axis, under: Sequence[Spec] = ()
) -> Spec:
    """A numbered point for each row.

    Args:
        places: Rows with their two values.
        legend: Entries by configuration; a point's number is the place of its entry.
        x: The horizontal axis.
        y: The vertical axis.
        under: Layers beneath the points.
    """
    order = list(legend)
    values = [
        point(row, legend[row.configuration], x=one, y=other, number=order.index(row.configuration) + 1)
        for row, one, other in places
    ]
    labels = _labels(values, x, y)
    both = channels(list(legend.values()))
    tip = [
        {"field": "name", "type": "nominal", "title": "configuration"},
        {"field": "x", "type": "quantitative", "title": x.title, "format": ".4~g"},
        {"field": "y", "type": "quantitative", "title": y.title, "format": ".4~g"},
        {"field": "case", "type": "nominal"},
    ]
    axes = {"x": x.channel("x"), "y": y.channel("y")}
    marks: list[Spec] = [
        {"mark": {"type": "point", "size": 90}, "encoding": {**axes, **both, "tooltip": tip}},
        {
            "mark": {"type": "text", "align": "left", "dx": 8, "dy": -8},
            "data": {"values": labels},
            "encoding": {**axes, "text": {"field": "numbers", "type": "nominal"}},
        },
    ]
    return {"height": 340, "data": {"values": values}, "layer": [*under, *marks]}


def _labels(values: list[dict[str, Any]], x: Axis, y: Axis) -> list[dict[str, Any]]:
    """Numbers of points; those that lie next to one another share a label at the first of them."""
    across, up = _shares(values, "x", x), _shares(values, "y", y)
    labels: list[dict[str, Any]] = []
    firsts: list[int] = []
    for index, value in enumerate(values):
        near = next(
            (
                place
                for place, first in enumerate(firsts)
                if abs(across[index] - across[first]) < _NEAR and abs(up[index] - up[first]) < _NEAR
            ),
            None,
        )
        if near is None:
            firsts.append(index)
            labels.append({"name": "", "x": value["x"], "y": value["y"], "numbers": str(value["number"])})
        else:
            labels[near]["numbers"] += f", {value['number']}"
    return labels


def _shares(values: list[dict[str, Any]], name: str, axis: Axis) -> list[float]:
    """Where values lie on an axis, from 0 to 1."""
    places = [math.log(value[name]) if axis.log else value[name] for value in values]
    low, high = min(places, default=0.0), max(places, default=1.0)
    return [(place - low) / ((high - low) or 1.0) for place in places]
