"""Figures with a line of its own for each configuration, its name above its bar: legible at any width."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bench.records.rows import Row
from bench.report.figures.plot import Key
from bench.report.figures.vega import INK, Spec
from bench.report.text import number

_STEP, _LINE_STEP = 44, 15  # pixels
_LINE, _LINE_BREAK, _ESCAPED = 44, "\n", "\\n"  # characters of a line


@dataclass(frozen=True)
class Bar:
    """One configuration of a figure.

    Attributes:
        row, key: Whose it is.
        value: The figure that is written beside its name.
        parts: What is drawn: single values, or the parts of the bar in the order of their titles.
        note: What else is written beside its name.
    """

    row: Row
    key: Key
    value: float
    parts: tuple[float, ...]
    note: str = ""


def stacked(bars: Sequence[Bar], title: str, parts: Sequence[tuple[str, str]], what: str = "configuration") -> Spec:
    """Bars of parts side by side.

    Args:
        bars: The configurations.
        title: Of the horizontal axis.
        parts: Title and colour of each part.
        what: What a bar is.
    """
    titles = [words for words, _ in parts]
    values = []
    for bar in bars:
        start = 0.0
        for words, size in zip(titles, bar.parts, strict=True):
            values.append(_base(bar) | {"part": words, "size": size, "from": start, "to": start + size})
            start += size
    tip = [*_tip(what), {"field": "part", "type": "nominal"}, _figure("size", title)]
    part = {
        "field": "part",
        "type": "nominal",
        "scale": {"domain": list(titles), "range": [colour for _, colour in parts]},
        "legend": None,
    }
    mark = {
        "mark": {"type": "bar", "height": 12, "tooltip": True},
        "encoding": {
            "x": {"field": "from", "type": "quantitative", "title": title, "axis": {"format": ".3~r", "tickCount": 5}},
            "x2": {"field": "to"},
            "color": part,
            "tooltip": tip,
        },
    }
    return _rows(bars, values, [mark])


def dots(bars: Sequence[Bar], title: str) -> Spec:
    """Single values as ticks on a logarithmic axis, and the figure itself as a dark one."""
    values = [
        _base(bar) | {"round": number(index + 1, 6), "at": at} for bar in bars for index, at in enumerate(bar.parts)
    ]
    tip = [*_tip(), {"field": "round", "type": "nominal"}, _figure("at", title)]
    x = {
        "type": "quantitative",
        "title": title,
        "scale": {"type": "log", "nice": False, "padding": 10},
        "axis": {"format": ".3~r", "tickCount": 5},
    }
    colour = {
        "field": "name",
        "type": "nominal",
        "scale": {"domain": [bar.key.name for bar in bars], "range": [bar.key.colour for bar in bars]},
        "legend": None,
    }
    single: dict[str, Any] = {
        "mark": {"type": "tick", "size": 14, "thickness": 1.5, "opacity": 0.35, "tooltip": True},
        "encoding": {"x": {**x, "field": "at"}, "color": colour, "tooltip": tip},
    }
    middle = {
        "mark": {"type": "tick", "size": 18, "thickness": 3, "color": INK},
        "encoding": {"x": {**x, "field": "value", "aggregate": "min"}},
    }
    return _rows(bars, values, [single, middle])


def _tip(what: str = "configuration") -> list[dict[str, Any]]:
    return [{"field": "name", "type": "nominal", "title": what}, {"field": "case", "type": "nominal"}]


def _figure(field: str, title: str) -> dict[str, Any]:
    return {"field": field, "type": "quantitative", "title": title, "format": ".4~g"}


def _base(bar: Bar) -> dict[str, Any]:
    return {"name": bar.key.name, "case": bar.row.case.id, "value": bar.value, "label": _label(bar)}


def _label(bar: Bar) -> str:
    """Name and figure, on two lines where one would not fit a phone."""
    figure = f"{number(bar.value)}{f' ({bar.note})' if bar.note else ''}"
    return f"{bar.key.name}{_LINE_BREAK if len(bar.key.name) + len(figure) > _LINE else ': '}{figure}"


def _rows(bars: Sequence[Bar], values: list[dict[str, Any]], marks: list[dict[str, Any]]) -> Spec:
    order = [bar.key.name for bar in bars]
    step = _STEP + (_LINE_STEP if any(_LINE_BREAK in _label(bar) for bar in bars) else 0)
    return {
        "height": step * len(order),
        "data": {"values": values},
        "encoding": {
            "y": {
                "field": "name",
                "type": "nominal",
                "sort": order,
                "axis": None,
                "scale": {"paddingInner": 0, "paddingOuter": 0.2},
            }
        },
        "layer": [*marks, _words(1), _words(2)],
    }


def _words(lines: int) -> dict[str, Any]:
    """The labels of so many lines, whose last one stands just above its bar."""
    mark = {"type": "text", "align": "left", "baseline": "line-bottom", "lineBreak": _LINE_BREAK}
    return {
        "transform": [{"filter": f"length(split(datum.label, '{_ESCAPED}')) === {lines}"}],
        "mark": {**mark, "dy": -8 - (lines - 1) * _LINE_STEP},
        "encoding": {
            "x": {"value": 0},
            "text": {"field": "label", "type": "nominal", "aggregate": "min"},
            "color": {"value": INK},
        },
    }
