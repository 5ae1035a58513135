"""Points of two figures, numbered as in the legend."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.rows import Row
from bench.report.figures.plot import Key
from bench.report.figures.series import channels, point
from bench.report.figures.vega import Spec


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
    numbers = {name: str(index + 1) for index, name in enumerate(legend)}
    values = [
        point(row, legend[row.configuration], x=one, y=other, number=numbers[row.configuration])
        for row, one, other in places
    ]
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
            "encoding": {**axes, "text": {"field": "number", "type": "nominal"}},
        },
    ]
    return {"height": 340, "data": {"values": values}, "layer": [*under, *marks]}
