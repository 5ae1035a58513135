"""Figures of cost: memory, and what a build must be used to pay for itself."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.records.rows import Group, Row
from bench.records.schema import break_even_inferences
from bench.report.figures.labels import labels_of
from bench.report.figures.speed import CONFIGURATIONS_SHOWN, Marks, headline, legend, log_axes
from bench.report.figures.style import MUTED, figure, name_point
from bench.report.text import MIB, number

_FIELDS = (
    ("allocated_peak_bytes", "peak of torch's allocator"),
    ("process_gpu_bytes", "GPU memory of the process"),
    ("device_delta_bytes", "growth of the GPU's used memory"),
    ("rss_peak_bytes", "peak resident set (host)"),
)


def memory(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """Memory by allocator and by process at the headline shape."""
    rows = [row for row in headline(group) if row.measured.memory]
    rows = sorted(rows, key=lambda row: row.configuration)[:CONFIGURATIONS_SHOWN]
    panels = [item for item in _FIELDS if any(_field(row, item[0]) is not None for row in rows)]
    if not panels:
        return "Not drawn: no memory figure was recorded at the headline shape."
    width = min(10.5, 1.6 + 3.0 * len(panels))
    drawing, axes = figure(width, 1.0 + 0.26 * len(rows), 1, len(panels), sharey=True)
    for panel, (name, title) in zip(axes, panels, strict=True):
        _bars(panel, rows, [_in_mib(row, name) for row in rows], marks)
        panel.set_title(title)
        panel.set_xlabel("MiB")
    names = labels_of(group)
    axes[0].set_yticks(range(len(rows)), [names[row.configuration] for row in rows])
    axes[0].invert_yaxis()
    case = rows[0].case
    return drawing, (
        f"Batch {case.batch}, {case.frames} frames, one reading each. The allocator does not see what CUDA "
        "or an engine takes by itself; the process figures do."
    )


def _bars(panel: Axes, rows: list[Row], values: list[float | None], marks: Marks) -> None:
    top = max(value for value in values if value is not None)
    for line, (row, value) in enumerate(zip(rows, values, strict=True)):
        if value is None:
            name_point(panel, "not measured", 0, line)
            continue
        panel.barh(line, value, height=0.62, color=marks[row.case.backend][0], alpha=0.85)
        name_point(panel, number(value), value, line)
    panel.set_xlim(0, top * 1.22)
    panel.grid(visible=False, axis="y")


def _field(row: Row, name: str) -> int | None:
    return getattr(row.measured.memory, name, None)


def _in_mib(row: Row, name: str) -> float | None:
    value = _field(row, name)
    return None if value is None else value / MIB


def break_even(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """Build time of every configuration against the inferences after which it has paid for itself."""
    rows = [row for row in headline(group) if row.case.backend != "eager" and row.record.build]
    if not rows:
        return "Not drawn: nothing but eager was built and timed at the headline shape."
    points, never = [], []
    for row in rows:
        inferences = inferences_to_break_even(row)
        if inferences is None:
            never.append(row.configuration)
        else:
            points.append((row, inferences))
    words = f"Never (not faster than eager, or not run in turn with it): {_few(never)}." if never else ""
    if not points:
        return f"Not drawn: no build has a break-even. {words}"
    points = sorted(points, key=lambda point: point[1])[:CONFIGURATIONS_SHOWN]
    drawing, axes = figure(9, 1.0 + 0.26 * len(points), 1, 2, sharey=True)
    builds = [row.record.build.cost_s if row.record.build else 0.0 for row, _ in points]
    titles = ("build, s", "inferences to break even")
    for panel, values, title in zip(axes, (builds, [value for _, value in points]), titles, strict=True):
        for line, ((row, _), value) in enumerate(zip(points, values, strict=True)):
            colour, mark = marks[row.case.backend]
            panel.plot([value], [line], mark, color=colour, markersize=6)
            name_point(panel, number(value), value, line)
        panel.margins(x=0.25)
        log_axes(panel, "x")
        panel.set_xlabel(title)
    names = labels_of(group)
    axes[0].set_yticks(range(len(points)), [names[row.configuration] for row, _ in points])
    axes[0].set_ylim(len(points) - 0.5, -0.5)
    case = rows[0].case
    caption = (
        f"Batch {case.batch}, {case.frames} frames. Break-even is the build time over the "
        "time that one inference saves against eager of the same precision. Lower is better. "
    )
    return drawing, caption + words


def ranges(group: Group, marks: Marks) -> tuple[Figure, str] | str:
    """What an engine for a range of shapes costs against one for a single shape, over length."""
    rows = [row for row in group.rows if row.measured.speedup_static]
    if not rows:
        return "Not drawn: no engine for a range of shapes was run in turn with its static baseline."
    series: dict[tuple[str, int], list[Row]] = {}
    for row in sorted(rows, key=lambda row: row.case.frames):
        series.setdefault((row.configuration, row.case.batch), []).append(row)
    drawing, (axes,) = figure(8, 3.4)
    names = labels_of(group)
    for index, ((name, batch), points) in enumerate(series.items()):
        colour, mark = marks[points[0].case.backend]
        frames = [row.case.frames for row in points]
        ratios = [1 / row.measured.speedup_static.ratio for row in points if row.measured.speedup_static]
        lines = ("-", "--", ":", "-.")
        label = f"{names[name]}, b{batch}"
        axes.plot(frames, ratios, marker=mark, color=colour, linestyle=lines[index % 4], label=label)
    axes.axhline(1, color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)))
    log_axes(axes, "x")
    axes.set_xlabel("frames")
    axes.set_ylabel("time over its static baseline's")
    legend(drawing, [axes])
    return drawing, (
        "Time of an engine for a range of batches and lengths over that of its static baseline, the engine built for "
        "the shape alone, rounds run in turn. 1 (dotted line) is no cost; options give the range."
    )


def inferences_to_break_even(row: Row) -> float | None:
    """Inferences after which the build of a timed row has paid for itself, against the eager that ran in turn.

    Returns:
        As :func:`~bench.records.schema.break_even_inferences`, against eager of the same precision or else eager fp32;
        None where neither ran in turn.
    """
    speed, build = row.measured, row.record.build
    speedup = speed.speedup_same_precision or speed.speedup_fp32
    if speedup is None or build is None:
        return None
    return break_even_inferences(build.cost_s, speedup.baseline_median_ms, speed.timing.median_ms)


def _few(names: list[str]) -> str:
    shown = ", ".join(names[:6])
    return shown if len(names) <= 6 else f"{shown} and {len(names) - 6} more"
