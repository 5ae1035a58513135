"""A figure over the nights: its points, its levels, and where a level moved."""

from itertools import pairwise
from statistics import median
from typing import Any

from bench.compare.history import Trend
from bench.report.figures.plot import Drawing
from bench.report.figures.vega import INK, MUTED, Spec
from bench.report.text import MIB

_TEXT_HEIGHT = 15  # pixels
_WORSE, _BETTER = "var(--bad, #a63a00)", "var(--good, #0b6b4f)"


def trend_figure(item: Trend, changes: tuple[str, ...]) -> Drawing:
    """Points are nights, a cross a night without the figure, lines the level between change points.

    Args:
        item: The figure's course.
        changes: For every step, its change in words.
    """
    scale = MIB if item.unit == "bytes" else 1.0
    values = [None if value is None else value / scale for value in item.values]
    unit = "MiB" if item.unit == "bytes" else item.unit
    title = f"{item.metric}, {unit}" if unit else item.metric
    nights = [
        {"name": "", "night": index, "date": item.recorded_at[index][:10], "run": item.run_ids[index], "value": value}
        for index, value in enumerate(values)
    ]
    known = [value for value in values if value is not None]
    y = {
        "type": "quantitative",
        "title": title,
        "scale": {"zero": False, "padding": 30},
        "axis": {"format": ".4~r", "tickCount": 4},
    }
    x = {
        "type": "quantitative",
        "title": f"nights, {item.recorded_at[0][:10]} to {item.recorded_at[-1][:10]}",
        "scale": {"nice": False, "padding": 10},
        "axis": {"labels": False, "ticks": False, "grid": False},
    }
    tip = [
        {"field": "date", "type": "nominal"},
        {"field": "value", "type": "quantitative", "title": title, "format": ".4~g"},
        {"field": "run", "type": "nominal"},
    ]
    point: dict[str, Any] = {
        "mark": {"type": "point", "color": INK, "size": 40, "shape": "circle"},
        "transform": [{"filter": "isValid(datum.value)"}],
        "encoding": {"x": {**x, "field": "night"}, "y": {**y, "field": "value"}, "tooltip": tip},
    }
    layers = [*_levels(item, values, x, y), *_steps(item, changes, x), point]
    if len(known) < len(values):
        lowest = [night | {"value": min(known)} for night in nights if night["value"] is None]
        mark = {"type": "point", "color": _WORSE, "size": 50, "shape": "cross"}
        place = {"x": {**x, "field": "night"}, "y": {**y, "field": "value"}, "tooltip": tip[:1]}
        layers.append({"data": {"values": lowest}, "mark": mark, "encoding": place})
    return Drawing({"height": 170, "data": {"values": nights}, "layer": layers}, "; ".join(changes))


def _levels(item: Trend, values: list[float | None], x: Spec, y: Spec) -> list[Spec]:
    edges = [0, *(step.index for step in item.steps), len(values)]
    levels = []
    for start, end in pairwise(edges):
        known = [value for value in values[start:end] if value is not None]
        if known:
            levels.append({"name": "", "from": start - 0.4, "to": end - 0.6, "level": median(known)})
    place = {"x": {**x, "field": "from"}, "x2": {"field": "to"}, "y": {**y, "field": "level"}}
    return [{"data": {"values": levels}, "mark": {"type": "rule", "color": MUTED}, "encoding": place}]


def _steps(item: Trend, changes: tuple[str, ...], x: Spec) -> list[Spec]:
    layers: list[Spec] = []
    for place_in_order, (step, words) in enumerate(zip(item.steps, changes, strict=True)):
        colour = _WORSE if step.worse else _BETTER
        data = {"values": [{"name": "", "at": step.index - 0.5, "words": words}]}
        place = {"x": {**x, "field": "at"}}
        dash = [5, 3] if step.worse else [2, 2]
        rule = {"type": "rule", "color": colour, "strokeDash": dash, "strokeWidth": 1.5}
        right = 2 * step.index > len(item.values)
        text = {"type": "text", "align": "right" if right else "left", "dx": -4 if right else 4, "baseline": "top"}
        layers.append({"data": data, "mark": rule, "encoding": place})
        top = {"y": {"value": _TEXT_HEIGHT * (place_in_order % 3)}, "text": {"field": "words", "type": "nominal"}}
        layers.append({"data": data, "mark": text, "encoding": {**place, **top}})
    return layers
