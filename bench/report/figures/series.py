"""Rows as series of figures: which configurations are drawn, in which style, and with which values."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.records.rows import Group, Row
from bench.report.figures.curves import Scale, Tip, curves
from bench.report.figures.plot import Drawing, Key
from bench.report.names import short_names, style
from bench.report.shapes import at_shape, reference_frames
from bench.report.text import number

SHOWN = 14
_DASHES: tuple[tuple[int, ...], ...] = ((), (6, 3), (2, 2), (8, 3, 2, 3))
_INTERVAL = (Tip("between", "95 % interval"),)


def headline(group: Group) -> list[Row]:
    """The rows at the shape at which configurations are compared, the fastest first, each configuration once."""
    best: dict[str, Row] = {}
    for row in sorted(at_shape(group.rows, reference_frames(group.version)), key=lambda row: row.median_ms):
        best.setdefault(row.configuration, row)
    return list(best.values())


def keys(group: Group, rows: Iterable[Row]) -> dict[str, Key]:
    """Legend entries of at most 14 configurations, by configuration: those that are fastest, and eager fp32.

    Args:
        group: Whose names and styles count.
        rows: What is drawn: rows of the group, or others with its vocoder, device and weights.
    """
    wanted = {row.configuration: row for row in rows}
    names = short_names(row.case for row in (*group.rows, *group.judged, *wanted.values()))
    fastest = [row.configuration for row in headline(group)]
    order = sorted(wanted, key=lambda name: fastest.index(name) if name in fastest else len(fastest))
    first = [name for name in order if name == "eager fp32"]
    chosen = [*first, *(name for name in order if name not in first)][:SHOWN]
    dashes = _dashes((*headline(group), *group.rows, *group.judged, *wanted.values()))
    found = {}
    for name in sorted(chosen, key=order.index):
        drawn = style(wanted[name].case)
        found[name] = Key(names[name], name, drawn.colour, drawn.shape, dashes[name])
    return found


def _dashes(rows: Iterable[Row]) -> dict[str, tuple[int, ...]]:
    """Dashes that tell apart what has one colour and marker, the same in every figure of a group."""
    alike: defaultdict[tuple[str, str], int] = defaultdict(int)
    found: dict[str, tuple[int, ...]] = {}
    for row in rows:
        if row.configuration not in found:
            drawn = style(row.case)
            found[row.configuration] = _DASHES[alike[drawn.colour, drawn.shape] % len(_DASHES)]
            alike[drawn.colour, drawn.shape] += 1
    return found


def point(row: Row, key: Key, **values: Any) -> dict[str, Any]:
    """One point of a figure, with what its tooltip says."""
    return {"name": key.name, "case": row.case.id, **values}


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
    spec = curves(points, entries, Scale(x[0], format="~r"), Scale(y[0], log=log_y), tips=_INTERVAL)
    return Drawing(spec, "", entries)
