"""The report's section on the nights: how figures went over the history, and where their level moved."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench.compare.history import Step, Trend, earlier_nights, trend
from bench.compare.sources import observe_all
from bench.compare.thresholds import load_thresholds
from bench.records.run import Run
from bench.report.figures.draw import finish
from bench.report.figures.plot import Plot
from bench.report.figures.trend import trend_figure
from bench.report.names import short_name
from bench.report.shapes import distance, reference_frames
from bench.report.text import MIB, MINUS, count, number, shape

_PANELS, _STEPS_SHOWN = 12, 400


@dataclass(frozen=True)
class StepRow:
    """A change point as text.

    Attributes:
        case, metric: Which figure.
        night: The first night of the new level, its date and run.
        before, after: Levels with their unit.
        change: The change with its sign.
        worse: Whether it is for the worse.
        versions: What changed in versions and flags with it.
    """

    case: str
    metric: str
    night: str
    before: str
    after: str
    change: str
    worse: bool
    versions: str


@dataclass(frozen=True)
class Nights:
    """How the figures of a run's cases went.

    Attributes:
        headline: What there is to see, in one sentence.
        notes: What a reader must know besides.
        plots: The trends, a figure each; none where there are too few nights.
        caption: How to read them.
        steps: Every change point, those for the worse first and the newest of them first, at most 400.
        left_out: Change points beyond those.
    """

    headline: str
    notes: tuple[str, ...]
    plots: tuple[Plot, ...]
    caption: str
    steps: tuple[StepRow, ...]
    left_out: int


def nights(run: Run, history: Path) -> Nights:
    """Trends of the run's cases over the nights of a history folder up to this run.

    Raises:
        InputError: the folder cannot be read.
    """
    thresholds = load_thresholds()
    new = observe_all(run.records, thresholds.metrics)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        past = earlier_nights(history, new)
    keys = {item.key for item in new}
    trends = trend([item for item in (*past, *new) if item.key in keys], thresholds)
    number_of_nights = len({item.run_id for item in (*past, *new)})
    notes = [str(item.message) for item in caught]
    left_out = max((item.left_out for item in trends), default=0)
    if left_out:
        notes.append(
            f"Up to {count(left_out, 'night')} of a case left out: another GPU, driver, weights or precision "
            "than tonight's."
        )
    if number_of_nights < 2:
        return Nights("Tonight is the first night of the history.", tuple(notes), (), "", (), 0)
    rows = [(item, step) for item in trends for step in item.steps]
    rows.sort(key=lambda row: (row[1].worse, _date(row[0], row[1].index)), reverse=True)
    worse = sum(step.worse for _, step in rows)
    headline = (
        f"{count(number_of_nights, 'night')}, {count(len(trends), 'figure')}: "
        f"{count(len(rows), 'lasting change')}, {worse} for the worse."
    )
    shown = _chosen(run, trends)
    return Nights(
        headline,
        tuple(notes),
        tuple(_plot(index, item, run) for index, item in enumerate(shown)),
        f"{len(shown)} of {count(len(trends), 'figure')}, those whose level moved last come first, then times at the "
        "headline shape. Points are nights, a cross a night without this figure, lines the level between change "
        "points; a change point is labelled with its change.",
        tuple(_row(item, step) for item, step in rows[:_STEPS_SHOWN]),
        max(0, len(rows) - _STEPS_SHOWN),
    )


def _date(item: Trend, index: int) -> str:
    return item.recorded_at[index][:10]


def _row(item: Trend, step: Step) -> StepRow:
    before, after = (_value(item, value) for value in (step.before, step.after))
    night = f"{_date(item, step.index)} {step.run_id}"
    return StepRow(
        item.id, item.metric, night, before, after, _change(item, step), step.worse, "; ".join(step.versions)
    )


def _value(item: Trend, value: float) -> str:
    if item.unit == "bytes":
        return f"{number(value / MIB)} MiB"
    return f"{number(value, 4)} {item.unit}".strip()


def _change(item: Trend, step: Step) -> str:
    """A ratio's change in per cent, a difference's in its unit, with its sign."""
    if _ratios()[item.metric] and step.before:
        text = f"{100 * (step.after / step.before - 1):+.1f} %"
    else:
        text = f"{step.after - step.before:+.3g} {item.unit}".strip()
    return text.replace("-", MINUS)


@cache
def _ratios() -> dict[str, bool]:
    return {name: metric.scale == "ratio" for name, metric in load_thresholds().metrics.items()}


def _chosen(run: Run, trends: Sequence[Trend]) -> list[Trend]:
    """The trends to draw: those with a change point, the newest first, then times at the headline shapes."""
    moved = [item for item in trends if item.steps]
    moved.sort(key=lambda item: _date(item, item.steps[-1].index), reverse=True)
    cases = {row.case.id: row.case for row in run.rows}

    def from_headline(item: Trend) -> tuple[int, float]:
        case = cases[item.id]
        return case.batch, distance(case.frames, reference_frames(case.version))

    level = (item for item in trends if item.metric == "time" and not item.steps and len(item.values) > 1)
    times = sorted(level, key=from_headline)
    return [*moved, *times][:_PANELS]


def _plot(index: int, item: Trend, run: Run) -> Plot:
    case = next(row.case for row in run.rows if row.case.id == item.id)
    weights = ", ".join(dict.fromkeys(group.weights for group in run.groups if group.version == case.version))
    title = f"{case.version} {short_name(case)}, {shape(case)}: {item.metric}"
    words = tuple(f"{_change(item, step)} {'worse' if step.worse else 'better'}" for step in item.steps)
    return finish(Plot(f"night-{index}", title, title, weights), trend_figure(item, words))
