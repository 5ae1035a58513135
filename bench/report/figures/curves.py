"""Curves: a line with points for each entry of a legend, and what a pointer over one is told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.figures.plot import Key
from bench.report.figures.vega import Spec

_TICKS = 6
_FEW, _SMALL = 40, 14  # points of a curve that are markers, and the area of those of a longer one


@dataclass(frozen=True)
class Scale:
    """An axis.

    Attributes:
        title: With its unit.
        log: Whether it is logarithmic; else it begins at 0.
        format: Of the numbers beside it, in d3's notation.
        measured: Whether numbers stand at measured values only.
    """

    title: str
    log: bool = True
    format: str = ".3~r"
    measured: bool = True

    @property
    def scale(self) -> dict[str, Any]:
        """As Vega-Lite takes it; room around the values of a logarithmic one."""
        return {"type": "log", "nice": False, "padding": 12} if self.log else {"zero": True}


@dataclass(frozen=True)
class Tip:
    """One more line of what a pointer is told: a field, what it is called, and a number's format."""

    field: str
    title: str
    format: str = ""

    @property
    def channel(self) -> dict[str, Any]:
        """As Vega-Lite takes it."""
        number = {"type": "quantitative", "format": self.format} if self.format else {"type": "nominal"}
        return {"field": self.field, "title": self.title, **number}


def channels(legend: Sequence[Key]) -> dict[str, Any]:
    """Colour and shape by configuration; the legend itself is the page's."""
    names = [key.name for key in legend]

    def scale(values: list[Any]) -> dict[str, Any]:
        return {"field": "name", "type": "nominal", "scale": {"domain": names, "range": values}, "legend": None}

    return {"color": scale([key.colour for key in legend]), "shape": scale([key.shape for key in legend])}


def curves(
    points: list[dict[str, Any]],
    legend: Sequence[Key],
    x: Scale,
    y: Scale,
    *,
    tips: Iterable[Tip] = (),
    beside: Sequence[Spec] = (),
) -> Spec:
    """A line with points for each entry.

    Args:
        points: ``name``, ``case``, ``x`` and ``y`` of each, from :func:`bench.report.figures.series.point`; ``low`` and
            ``high`` are the ends of its interval.
        legend: The entries.
        x: The horizontal axis.
        y: The vertical axis.
        tips: What a pointer over a point is told beside its values and its case.
        beside: Layers under the lines, on the same axes.
    """
    both = channels(legend)
    dashes = {"domain": [key.name for key in legend], "range": [list(key.dash) or [1, 0] for key in legend]}
    dash = {"field": "name", "type": "nominal", "scale": dashes, "legend": None}
    tip = [
        {"field": "name", "type": "nominal", "title": "configuration"},
        {"field": "y", "type": "quantitative", "title": y.title, "format": ".4~g"},
        *(one.channel for one in tips),
        {"field": "x", "type": "quantitative", "title": x.title, "format": ".6~r"},
        {"field": "case", "type": "nominal"},
    ]
    bounds = {"mark": {"type": "rule", "opacity": 0.6}, "encoding": {"y": {"field": "low"}, "y2": {"field": "high"}}}
    marker: dict[str, Any] = {"type": "point", "tooltip": True}
    if len(points) > _FEW * len(legend):
        marker["size"] = _SMALL
    at = {"values": ticks({item["x"] for item in points})} if x.measured else {"tickCount": _TICKS}
    return {
        "height": 300,
        "data": {"values": points},
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "title": x.title,
                "scale": x.scale,
                "axis": {**at, "format": x.format, "grid": False},
            },
            "y": {
                "field": "y",
                "type": "quantitative",
                "title": y.title,
                "scale": y.scale,
                "axis": {"format": y.format, "tickCount": _TICKS},
            },
            "color": both["color"],
        },
        "layer": [
            *beside,
            {"mark": "line", "encoding": {"strokeDash": dash}},
            *([bounds] if any(item.get("low") is not None for item in points) else []),
            {"mark": marker, "encoding": {"shape": both["shape"], "tooltip": tip}},
        ],
    }


def ticks(values: Iterable[float]) -> list[float]:
    """At most six of the measured values for the ticks of a logarithmic axis, evenly spread."""
    ordered = sorted(values)
    if len(ordered) <= _TICKS:
        return ordered
    ratio = (ordered[-1] / ordered[0]) ** (1 / (_TICKS - 1))
    wanted = [ordered[0] * ratio**index for index in range(_TICKS)]
    return sorted({min(ordered, key=lambda value: abs(value / place - 1)) for place in wanted})
