"""Rows as series of figures: which configurations are drawn, in which style, and with which values."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.records.rows import Group, Row
from bench.report.figures.plot import Drawing, Key
from bench.report.figures.vega import Spec
from bench.report.names import short_names, style
from bench.report.shapes import at_shape, reference_frames
from bench.report.text import number

SHOWN = 14
_DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 3, 2, 3))
_TICKS = 6


def headline(group: Group) -> list[Row]:
    """The rows at the shape at which configurations are compared, the fastest first, each configuration once."""
    best: dict[str, Row] = {}
    for row in sorted(at_shape(group.rows, reference_frames(group.version)), key=lambda row: row.median_ms):
        best.setdefault(row.configuration, row)
    return list(best.values())


def keys(group: Group, rows: Iterable[Row]) -> dict[str, Key]:
    """Legend entries of at most 14 configurations, by configuration: those that are fastest, and eager fp32."""
    names = short_names(row.case for row in (*group.rows, *group.judged))
    fastest = [row.configuration for row in headline(group)]
    wanted = {row.configuration: row for row in rows}
    order = sorted(wanted, key=lambda name: fastest.index(name) if name in fastest else len(fastest))
    first = [name for name in order if name == "eager fp32"]
    chosen = [*first, *(name for name in order if name not in first)][:SHOWN]
    dashes = _dashes(group)
    found = {}
    for name in sorted(chosen, key=order.index):
        drawn = style(wanted[name].case)
        found[name] = Key(names[name], name, drawn.colour, drawn.shape, dashes[name])
    return found


def _dashes(group: Group) -> dict[str, tuple[int, ...]]:
    """Dashes that tell apart what has one colour and marker, the same in every figure of a group."""
    alike: defaultdict[tuple[str, str], int] = defaultdict(int)
    found = {}
    for row in (*headline(group), *group.rows, *group.judged):
        if row.configuration not in found:
            drawn = style(row.case)
            found[row.configuration] = _DASHES[alike[drawn.colour, drawn.shape] % len(_DASHES)]
            alike[drawn.colour, drawn.shape] += 1
    return found


def point(row: Row, key: Key, **values: Any) -> dict[str, Any]:
    """One point of a figure, with what its tooltip says."""
    return {"name": key.name, "case": row.case.id, **values}


def channels(legend: Sequence[Key]) -> dict[str, Any]:
    """Colour and shape by configuration; the legend itself is the page's."""
    names = [key.name for key in legend]

    def scale(values: list[Any]) -> dict[str, Any]:
        return {"field": "name", "type": "nominal", "scale": {"domain": names, "range": values}, "legend": None}

    return {"color": scale([key.colour for key in legend]), "shape": scale([key.shape for key in legend])}


def lines(
    group: Group,
    rows: Sequence[Row],
    x: tuple[str, Callable[[Row], float]],
    y: tuple[str, Callable[[Row], tuple[float, float | None, float | None] | None]],
    *,
    log_y: bool,
) -> Drawing:
    """A line for each configuration, with points, 95 % intervals and tooltips.

    Args:
        group: Whose names and styles count.
        rows: What is drawn.
        x: Title and value of the horizontal axis, logarithmic.
        y: Title of the vertical axis; value with its interval, None where a row has none.
        log_y: Whether the vertical axis is logarithmic; else it begins at 0.
    """
    legend = keys(group, rows)
    points = []
    for row in sorted((row for row in rows if row.configuration in legend), key=x[1]):
        found = y[1](row)
        if found is not None:
            value, low, high = found
            between = f"{number(low, 4)} to {number(high, 4)}" if low is not None and high is not None else "none"
            points.append(
                point(row, legend[row.configuration], x=x[1](row), y=value, low=low, high=high, between=between)
            )
    shown = {item["name"] for item in points}
    entries = tuple(key for key in legend.values() if key.name in shown)
    return Drawing(_line_spec(points, entries, x[0], y[0], log_y=log_y), "", entries)


def _line_spec(points: list[dict[str, Any]], legend: Sequence[Key], x: str, y: str, *, log_y: bool) -> Spec:
    both = channels(legend)
    names = [key.name for key in legend]
    dashes = {"domain": names, "range": [list(key.dash) or [1, 0] for key in legend]}
    dash = {"field": "name", "type": "nominal", "scale": dashes, "legend": None}
    tip = [
        {"field": "name", "type": "nominal", "title": "configuration"},
        {"field": "y", "type": "quantitative", "title": y, "format": ".4~g"},
        {"field": "between", "type": "nominal", "title": "95 % interval"},
        {"field": "x", "type": "quantitative", "title": x},
        {"field": "case", "type": "nominal"},
    ]
    scale = {"type": "log", "nice": False} if log_y else {"zero": True}
    bounds = {"mark": {"type": "rule", "opacity": 0.6}, "encoding": {"y": {"field": "low"}, "y2": {"field": "high"}}}
    return {
        "height": 300,
        "data": {"values": points},
        "encoding": {
            "x": {
                "field": "x",
                "type": "quantitative",
                "title": x,
                "scale": {"type": "log", "padding": 12, "nice": False},
                "axis": {"values": ticks({item["x"] for item in points}), "format": "~r", "grid": False},
            },
            "y": {
                "field": "y",
                "type": "quantitative",
                "title": y,
                "scale": {**scale, "padding": 8},
                "axis": {"format": ".3~r", "tickCount": 6},
            },
            "color": both["color"],
        },
        "layer": [
            {"mark": "line", "encoding": {"strokeDash": dash}},
            *([bounds] if any(item["low"] is not None for item in points) else []),
            {"mark": {"type": "point", "tooltip": True}, "encoding": {"shape": both["shape"], "tooltip": tip}},
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
