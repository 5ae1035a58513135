"""Figures of time: against length, against batch, against eager, and as distributions."""

from collections import defaultdict
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from bench.records.rows import Group, Row
from bench.report.figures.labels import labels_of
from bench.report.figures.style import INK, MUTED, figure
from bench.report.shapes import at_shape, distance, reference_frames
from bench.report.text import number

Marks = dict[str, tuple[str, str]]
_DASHES = ("-", "--", ":", "-.")
_RANGE_FOR_POWERS_ONLY = 200.0
_LONG, _VERY_LONG = 20, 30  # characters of a label
_SHAPES_SHOWN, CONFIGURATIONS_SHOWN, _POINTS_SHOWN = 20, 30, 120


def headline(group: Group) -> list[Row]:
    """The rows at the shape that the report compares configurations at."""
    return at_shape(group.rows, reference_frames(group.version))


def length(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """Latency and real-time factor against frames, a column a precision, a line a backend."""
    batch = min(row.case.batch for row in group.rows)
    rows = [row for row in group.rows if row.case.batch == batch]
    if len({row.case.frames for row in rows}) < 2:
        return f"Not drawn: batch {batch} was timed at one length only, {rows[0].case.frames} frames."
    precisions = sorted({row.case.precision for row in rows})
    labels = labels_of(group)
    drawing, axes = figure(*_size(len(precisions), 2), 2, len(precisions), sharex=True, sharey="row")
    for column, precision in enumerate(precisions):
        upper, lower = axes[column], axes[column + len(precisions)]
        for series, dashes in _series(rows, precision):
            colour, mark = marks[series[0].case.backend]
            style: Any = {"color": colour, "marker": mark, "linestyle": dashes, "label": _label(labels, series[0])}
            frames = [row.case.frames for row in series]
            upper.plot(frames, [row.median_ms for row in series], **style)
            upper.vlines(frames, *_bounds(series), color=colour, linewidth=3, alpha=0.5)
            realtime = [row for row in series if row.measured.throughput]
            factors = [row.measured.throughput.real_time_factor for row in realtime if row.measured.throughput]
            lower.plot([row.case.frames for row in realtime], factors, **style)
        lower.axhline(1, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
        upper.set_title(precision)
        lower.set_xlabel("frames")
        for panel in (upper, lower):
            log_axes(panel, "both")
            _at(panel, sorted({row.case.frames for row in rows}))
    axes[0].set_ylabel("median latency, ms")
    axes[len(precisions)].set_ylabel("real-time factor")
    legend(drawing, axes)
    return drawing, (
        f"Batch {batch}. Points are medians; bars on them are 95 % intervals, often smaller than the point. "
        "A real-time factor under 1 (dotted line) is faster than real time."
    )


def batch(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """Throughput against batch at the length nearest to the reference length."""
    by_length: defaultdict[int, list[Row]] = defaultdict(list)
    for row in group.rows:
        if row.measured.throughput:
            by_length[row.case.frames].append(row)
    wanted = reference_frames(group.version)
    lengths = [frames for frames, found in by_length.items() if len({row.case.batch for row in found}) > 1]
    if not lengths:
        return "Not drawn: no length was timed at two batch sizes."
    frames = min(lengths, key=lambda item: distance(item, wanted))
    rows = by_length[frames]
    precisions = sorted({row.case.precision for row in rows})
    labels = labels_of(group)
    drawing, axes = figure(*_size(len(precisions), 1), 1, len(precisions), sharex=True, sharey=True)
    sizes = sorted({row.case.batch for row in rows})
    for panel, precision in zip(axes, precisions, strict=True):
        for series, dashes in _series(rows, precision, key="batch"):
            colour, mark = marks[series[0].case.backend]
            values = [row.measured.throughput.audio_s_per_s for row in series if row.measured.throughput]
            batches = [row.case.batch for row in series]
            panel.plot(batches, values, color=colour, marker=mark, linestyle=dashes, label=_label(labels, series[0]))
        panel.set_title(precision)
        panel.set_xlabel("batch")
        log_axes(panel, "x")
        _at(panel, sizes)
    # The margin that is there is a part of the range of the data, which may be narrow, and not of the axis.
    axes[0].set_ylim(0, 1.05 * axes[0].get_ylim()[1])
    axes[0].set_ylabel("seconds of audio per second")
    legend(drawing, axes)
    methods = {row.measured.throughput.method for row in rows if row.measured.throughput}
    return drawing, f"{frames} frames; counted by {', '.join(sorted(methods))}. Higher is better."


def heat_map(group: Group, _: Marks) -> tuple[Figure, str] | str:
    """Speedup over eager fp32 for every configuration and shape."""
    rows = [row for row in group.rows if row.measured.speedup_fp32 and row.configuration != "eager fp32"]
    if not rows:
        return "Not drawn: no case was run in turn with eager fp32."
    names = sorted({row.configuration for row in rows})
    shapes = sorted({(row.case.batch, row.case.frames) for row in rows})
    kept = _spread(shapes, _SHAPES_SHOWN)
    shown = names[:CONFIGURATIONS_SHOWN]
    labels = labels_of(group)
    grid = np.full((len(shown), len(kept)), np.nan)
    for row in rows:
        place = (row.case.batch, row.case.frames)
        if place in kept and row.configuration in shown and row.measured.speedup_fp32:
            ratio = row.measured.speedup_fp32.ratio
            grid[shown.index(row.configuration), kept.index(place)] = ratio
    width = min(10.5, 1.4 + 0.07 * max(len(labels[name]) for name in shown) + 0.5 * len(kept))
    drawing, (axes,) = figure(width, 0.9 + 0.27 * len(shown))
    logs = np.log2(grid)
    reach = max(1.0, float(np.nanmax(np.abs(logs))))
    mesh = axes.pcolormesh(logs, cmap="PuOr", norm=TwoSlopeNorm(0, -reach, reach), linewidth=0)
    for (line, column), ratio in np.ndenumerate(grid):
        if np.isfinite(ratio):
            red, green, blue, _alpha = mesh.to_rgba(logs[line, column])
            dark = 0.299 * red + 0.587 * green + 0.114 * blue < 0.5
            axes.text(
                column + 0.5,
                line + 0.5,
                number(ratio, 2),
                ha="center",
                va="center",
                fontsize=7.5,
                color="#ffffff" if dark else "#000000",
            )
    axes.set_yticks(np.arange(len(shown)) + 0.5, [labels[name] for name in shown])
    axes.set_xticks(np.arange(len(kept)) + 0.5, [f"b{b}\nt{t}" for b, t in kept])
    axes.invert_yaxis()
    axes.grid(visible=False)
    axes.tick_params(length=0)
    cut = ""
    if len(kept) < len(shapes) or len(shown) < len(names):
        cut = (
            f" {len(kept)} of {len(shapes)} shapes and {len(shown)} of {len(names)} configurations are shown;"
            " the table has all."
        )
    return drawing, (
        "Ratio of medians, eager fp32 (TF32 off) over the configuration, from rounds run in turn; orange is "
        f"slower than eager, purple faster, empty not measured. b is the batch, t the frames.{cut}"
    )


def distribution(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """Every configuration's durations at the headline shape."""
    rows = sorted(headline(group), key=lambda row: row.median_ms)[:CONFIGURATIONS_SHOWN]
    drawing, (axes,) = figure(9, 0.9 + 0.3 * len(rows))
    rng = np.random.default_rng(0)
    for line, row in enumerate(rows):
        colour, _mark = marks[row.case.backend]
        samples = np.asarray(row.measured.timing.samples_ms)
        if samples.size == 0:
            continue
        few = samples[np.linspace(0, samples.size - 1, min(samples.size, _POINTS_SHOWN)).astype(int)]
        axes.plot(few, line + rng.uniform(-0.25, 0.25, few.size), ".", color=colour, markersize=2.5, alpha=0.45)
        quartiles = np.percentile(samples, [25, 75])
        axes.hlines(line, *quartiles, color=colour, linewidth=5, alpha=0.6)
        axes.plot([row.median_ms], [line], "|", color=INK, markersize=11, markeredgewidth=1.6)
    labels = labels_of(group)
    axes.set_yticks(range(len(rows)), [labels[row.configuration] for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    log_axes(axes, "x")
    clocks = sorted({row.measured.timing.clock for row in rows})
    axes.set_xlabel(f"latency, ms ({', '.join(clocks)})")
    case = rows[0].case
    return drawing, (
        f"Batch {case.batch}, {case.frames} frames. Points are single rounds (at most {_POINTS_SHOWN}, "
        "evenly chosen), the band is the middle half of all rounds, the tick the median."
    )


def log_axes(axes: Axes, which: str) -> None:
    """Logarithmic axes whose labels are plain numbers."""
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    for name in ("x", "y"):
        if which in (name, "both"):
            getattr(axes, f"set_{name}scale")("log")
            axis = getattr(axes, f"{name}axis")
            low, high = axis.get_view_interval()
            few = high / low > _RANGE_FOR_POWERS_ONLY
            axis.set_major_locator(LogLocator(subs=(1,) if few else (1, 2, 3, 5)))
            axis.set_major_formatter(plain)
            axis.set_minor_locator(NullLocator())


def _at(axes: Axes, values: list[int]) -> None:
    """Ticks at measured values on a logarithmic axis, as many as have room."""
    even = np.geomspace(values[0], values[-1], 5)
    nearest = {min(values, key=lambda value: distance(value, wanted)) for wanted in even}
    few = values if len(values) <= 4 else sorted(nearest)
    axes.set_xticks(few, [str(value) for value in few])
    axes.xaxis.set_minor_locator(NullLocator())


def legend(drawing: Figure, axes: list[Axes]) -> None:
    """One legend above all panels."""
    found: dict[str, Artist] = {}
    for panel in axes:
        handles, labels = panel.get_legend_handles_labels()
        for handle, label in zip(handles, labels, strict=True):
            found.setdefault(label, handle)
    longest = max(map(len, found))
    drawing.legend(
        list(found.values()),
        list(found),
        loc="outside upper left",
        ncols=1 if longest > _VERY_LONG else 2 if longest > _LONG else min(5, len(found)),
    )


def _size(columns: int, rows: int) -> tuple[float, float]:
    return min(10.5, 2.2 + 2.6 * columns), 0.7 + 2.3 * rows


def _series(rows: list[Row], precision: str, key: str = "frames") -> list[tuple[list[Row], str]]:
    lines: defaultdict[tuple[str, object], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: getattr(row.case, key)):
        if row.case.precision == precision:
            lines[row.case.backend, row.case.options].append(row)
    seen: defaultdict[str, int] = defaultdict(int)
    result = []
    for (backend, _), series in sorted(lines.items(), key=lambda item: str(item[0])):
        result.append((series, _DASHES[seen[backend] % len(_DASHES)]))
        seen[backend] += 1
    return result


def _label(labels: dict[str, str], row: Row) -> str:
    """A configuration in a panel of one precision, which need not be said again."""
    return labels[row.configuration].replace(f" {row.case.precision}", "", 1)


def _bounds(series: list[Row]) -> tuple[list[float], list[float]]:
    low, high = [], []
    for row in series:
        timing = row.measured.timing
        low.append(np.nan if timing.ci95_low_ms is None else timing.ci95_low_ms)
        high.append(np.nan if timing.ci95_high_ms is None else timing.ci95_high_ms)
    return low, high


def _spread(items: list[tuple[int, int]], limit: int) -> list[tuple[int, int]]:
    if len(items) <= limit:
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, limit).astype(int)]
