"""Which figures a report has, each either drawn or replaced by a sentence that says what is missing."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from bench.records.join import groups_with
from bench.records.rows import Group, Row
from bench.records.run import Run
from bench.records.schema import Result
from bench.report.figures import cost, sound, speed
from bench.report.figures.plot import Drawing, Plot, Plots
from bench.report.figures.vega import static_svg, whole

Draw = Callable[[Group], Drawing | str]
DrawRows = Callable[[Group, Sequence[Row]], Drawing | str]
FIGURES: tuple[tuple[str, str, Draw], ...] = (
    ("trade", "Speed against sound", sound.trade),
    ("latency", "Latency against length", speed.latency_by_length),
    ("rtf", "Real-time factor against length", speed.rtf_by_length),
    ("latency-batch", "Latency against batch", speed.latency_by_batch),
    ("throughput", "Throughput against batch", speed.throughput_by_batch),
    ("rounds", "Single rounds", speed.rounds),
    ("time", "Where the time goes", cost.time_spent),
    ("roofline", "Roofline", cost.roofline),
    ("memory", "Memory", cost.memory),
    ("break-even", "Build time against break-even", cost.break_even),
    ("shapes", "Engines for a range of lengths", cost.ranges),
    ("bands", "Error by band", sound.bands),
)


def draw_all(run: Run, progress: Callable[[Iterable[Any]], Iterable[Any]]) -> list[Plots]:
    """Draws every figure for every group.

    Args:
        run: The run.
        progress: Wraps the iteration, to show how far it is.
    """
    drawn: dict[str, list[Plot]] = {title: [] for _, title, _ in FIGURES}
    jobs = [(figure, index, group) for figure in FIGURES for index, group in enumerate(run.groups)]
    for (name, title, draw), index, group in progress(jobs):
        heading = f"{title}, {group.name}"
        plot = Plot(f"{name}-{index}", heading, group.name, group.weights)
        drawn[title].append(finish(plot, draw(group)))
    return [Plots(title, tuple(plots)) for title, plots in drawn.items()]


def draw_kind(run: Run, kind: type[Result], figures: Sequence[tuple[str, str, DrawRows]]) -> list[Plots]:
    """Draws the figures of a kind of record for every group that has it.

    Args:
        run: The run.
        kind: Whose rows are drawn.
        figures: Name, title and function of each.
    """
    groups = groups_with(run.rows, kind)
    return [
        Plots(
            title,
            tuple(
                finish(Plot(f"{name}-{index}", f"{title}, {group.name}", group.name, group.weights), draw(group, rows))
                for index, (group, rows) in enumerate(groups)
            ),
        )
        for name, title, draw in figures
    ]


def finish(plot: Plot, found: Drawing | str) -> Plot:
    """A plot with its drawing, or with the sentence that stands in for it."""
    if isinstance(found, str):
        return replace(plot, missing=found)
    spec = whole(found.spec, f"{plot.title} ({plot.weights}). {found.caption}")
    drawn = replace(plot, caption=found.caption, spec=spec, svg=static_svg(spec, plot.name))
    return replace(drawn, keys=found.keys, numbered=found.numbered, parts=found.parts)
