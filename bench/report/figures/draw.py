"""Which figures a report has, each either drawn or replaced by a sentence that says what is missing."""

from collections.abc import Callable, Iterable
from typing import Any

from markupsafe import Markup
from matplotlib.figure import Figure

from bench.records.rows import Group
from bench.records.run import Run
from bench.report.figures import cost as plots_cost
from bench.report.figures import sound as plots_sound
from bench.report.figures import speed as plots_speed
from bench.report.figures.plot import Plot, Plots
from bench.report.figures.style import house, marks, to_svg

Draw = Callable[[Group, dict[str, tuple[str, str]]], tuple[Figure, str] | str]
_FIGURES: tuple[tuple[str, str, Draw], ...] = (
    ("latency", "Latency and real-time factor against length", plots_speed.length),
    ("throughput", "Throughput against batch", plots_speed.batch),
    ("speedup", "Speedup over eager fp32", plots_speed.heat_map),
    ("fidelity", "Speed against fidelity", plots_sound.pareto),
    ("bands", "Error by band", plots_sound.bands),
    ("shapes", "Engines for a range of shapes", plots_cost.ranges),
    ("memory", "Memory", plots_cost.memory),
    ("distribution", "Latency distributions", plots_speed.distribution),
    ("break-even", "Build time against break-even", plots_cost.break_even),
)


def draw_all(run: Run, progress: Callable[[Iterable[Any]], Iterable[Any]]) -> list[Plots]:
    """Draws every figure for every group.

    Args:
        run: The run.
        progress: Wraps the iteration, to show how far it is.
    """
    table = marks(row.case.backend for row in run.rows)
    drawn: dict[str, list[Plot]] = {title: [] for _, title, _ in _FIGURES}
    jobs = [(figure, index, group) for figure in _FIGURES for index, group in enumerate(run.groups)]
    for (name, title, draw), index, group in progress(jobs):
        drawn[title].append(_draw(f"{name}-{index}", title, draw, group, table))
    return [Plots(title, tuple(plots)) for title, plots in drawn.items()]


def _draw(name: str, title: str, draw: Draw, group: Group, table: dict[str, tuple[str, str]]) -> Plot:
    heading = f"{title}, {group.name}"
    with house():
        found = draw(group, table)
        if isinstance(found, str):
            return Plot(name, heading, group.name, group.weights, "", Markup(), found)
        drawing, caption = found
        svg = to_svg(drawing, name, f"{heading} ({group.weights})", caption)
    return Plot(name, heading, group.name, group.weights, caption, svg)
