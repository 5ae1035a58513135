"""Figures of sound: speed against fidelity, error by band, and spectrograms."""

import re

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.records.facts import facts_of
from bench.records.rows import FAIL, PASS, WARN, Group, Judgement, Row
from bench.records.schema import Sound
from bench.report.figures.labels import labels_of
from bench.report.figures.speed import CONFIGURATIONS_SHOWN, Marks, headline, log_axes
from bench.report.figures.style import MUTED, PAPER, figure, name_point

_HEIGHT = 4.2  # inches of the figure of speed against fidelity
BANDS = tuple(name for name in facts_of(Sound) if re.fullmatch(r"lsd_\d+_\d+_db", name))


def pareto(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """Speedup over eager fp32 against SNR, with the configurations that nothing beats in both."""
    points: list[tuple[Row, Judgement, float, float]] = []
    without = []
    for row in headline(group):
        judgement, speedup = group.gate(row.configuration), row.measured.speedup_fp32
        snr_db = judgement.value("snr_db")
        if speedup is None or snr_db is None or not np.isfinite(snr_db):
            without.append(row.configuration)
        else:
            points.append((row, judgement, snr_db, speedup.ratio))
    if not points:
        return "Not drawn: no configuration has both a speedup over eager fp32 and a measured SNR."
    front = pareto_front([(snr_db, ratio) for *_, snr_db, ratio in points])
    drawing, (axes,) = figure(8, _HEIGHT)
    line = sorted(points[i][2:] for i in front)
    axes.step([x for x, _ in line], [y for _, y in line], where="pre", color=MUTED, linewidth=1)
    names: list[tuple[float, float, str]] = []
    labels = labels_of(group)
    for index, (row, judgement, snr_db, ratio) in enumerate(points):
        colour, mark = marks[row.case.backend]
        inside = colour if judgement.verdict == PASS else PAPER
        axes.plot([snr_db], [ratio], mark, color=colour, markerfacecolor=inside, markersize=7)
        if index in front or len(points) <= CONFIGURATIONS_SHOWN:
            words = labels[row.configuration]
            words += f" ({judgement.verdict})" if judgement.verdict in (FAIL, WARN) else ""
            names.append((snr_db, ratio, words))
    axes.margins(x=0.25, y=0.15)
    log_axes(axes, "y")
    _name_apart(axes, names)
    axes.set_xlabel("SNR against eager fp32, dB")
    axes.set_ylabel("speedup over eager fp32")
    case = points[0][0].case
    caption = (
        f"Speed at batch {case.batch}, {case.frames} frames; SNR of the judged shape that decided. "
        "Filled marks pass their tier, hollow ones warn or fail. "
        "The step joins the configurations that none beats in both. "
    )
    if without:
        caption += f"Left out, without an SNR or a speedup: {', '.join(without[:8])}"
        caption += f" and {len(without) - 8} more." if len(without) > 8 else "."
    return drawing, caption


def _name_apart(axes: Axes, names: list[tuple[float, float, str]]) -> None:
    """Names points of like SNR one above the other, however near they are."""
    height_points = 0.8 * 72 * _HEIGHT
    low, high = np.log(axes.get_ylim())
    below: dict[int, float] = {}
    for snr_db, ratio, words in sorted(names, key=lambda name: name[1]):
        place = (np.log(ratio) - low) / (high - low) * height_points
        column = round(snr_db / 10)
        lowest = max(place, below.get(column, -np.inf) + 9)
        below[column] = lowest
        name_point(axes, words, snr_db, ratio, up=lowest - place)


def pareto_front(points: list[tuple[float, float]]) -> list[int]:
    """Indices of the points that no other equals or beats in both coordinates and beats in one.

    >>> pareto_front([(60, 2.0), (40, 4.0), (40, 3.0), (100, 1.0)])
    [0, 1, 3]
    """
    return [
        index
        for index, (x, y) in enumerate(points)
        if not any(a >= x and b >= y and (a > x or b > y) for a, b in points)
    ]


def bands(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """Log-spectral distance of every judged configuration, a panel a band."""
    judged: dict[str, tuple[Row, Judgement]] = {}
    for row in group.rows:
        judgement = group.gate(row.configuration)
        if judgement.sound is not None:
            judged.setdefault(row.configuration, (row, judgement))
    names = sorted(judged)[:CONFIGURATIONS_SHOWN]
    labels = labels_of(group)
    keys = [key for key in BANDS if any(judged[name][1].value(key) is not None for name in names)]
    if not keys:
        return "Not drawn: no configuration's error was measured by band."
    size = (min(10.5, 1.8 + 2.3 * len(keys)), 1.0 + 0.26 * len(names))
    drawing, axes = figure(*size, 1, len(keys), sharex=True, sharey=True)
    for panel, key in zip(axes, keys, strict=True):
        for line, name in enumerate(names):
            row, judgement = judged[name]
            value = judgement.value(key)
            if value is not None:
                colour, mark = marks[row.case.backend]
                panel.hlines(line, 0, value, color=colour, linewidth=1.5, alpha=0.6)
                panel.plot([value], [line], mark, color=colour)
        low, high = key.split("_")[1:3]
        panel.set_title(f"{low} to {high} kHz")
        panel.set_xlabel("dB")
    axes[0].set_yticks(range(len(names)), [labels[name] for name in names])
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    axes[0].set_xlim(left=0)
    return (
        drawing,
        "Log-spectral distance from the reference, in the judged shape that decided. Lower is better.",
    )
