"""Figures of cost: memory, the machine's limit, and what a build must be used to pay for itself."""

from bench.records.rows import Group, Row
from bench.records.schema import break_even_inferences
from bench.report.figures.bars import Bar, stacked
from bench.report.figures.plot import Drawing
from bench.report.figures.scatter import Axis, scatter
from bench.report.figures.series import SHOWN, headline, keys, lines
from bench.report.figures.vega import INK, MUTED, Spec
from bench.report.text import MIB, number

_ONE, _TWO = "var(--series-0, #0072b2)", "var(--series-4, #b87800)"


def memory(group: Group) -> Drawing | str:
    """Memory of each configuration at the headline shape: the allocator's peak and the engine outside of it."""
    rows = headline(group)[:SHOWN]
    legend = keys(group, rows)
    bars = []
    for row in rows:
        found, engine = row.measured.memory, row.record.build.engine_bytes if row.record.build else None
        if found is None:
            continue
        allocated = found.allocated_peak_bytes
        if allocated is not None:
            parts = (allocated / MIB, (engine or 0) / MIB)
        else:
            other = found.device_delta_bytes if found.device_delta_bytes is not None else found.rss_delta_bytes
            if other is None:
                continue
            parts = (other / MIB, 0.0)
        process = found.process_gpu_bytes
        note = f"{number(process / MIB)} with CUDA" if process else ""
        bars.append(Bar(row, legend[row.configuration], sum(parts), parts, note))
    if not bars:
        return "Not drawn: no memory figure was recorded at the headline shape."
    bars.sort(key=lambda bar: bar.value)
    case = bars[0].row.case
    titles = (("allocator's peak, or growth of the device's or host's memory", _ONE), ("engine beside it", _TWO))
    return Drawing(
        stacked(bars, "MiB", titles),
        f"Batch {case.batch}, {case.frames} frames, one reading each. CUDA's own context comes with every process and "
        "is in the figure in brackets only.",
        parts=titles,
    )


def time_spent(group: Group) -> Drawing | str:
    """What a median is made of: the machine's floor, layers that go through memory, and the rest."""
    bars = []
    rows = [row for row in headline(group) if row.measured.roofline][:SHOWN]
    legend = keys(group, rows)
    for row in rows:
        limit = row.measured.roofline
        assert limit is not None  # noqa: S101 - narrows the type
        floor = min(limit.floor_ms, row.median_ms)
        layered = max(0.0, min(limit.layered_floor_ms, row.median_ms) - floor)
        launch = row.measured.timing.launch_median_ms
        note = f"launching takes {number(launch)}" if launch is not None and limit.bound_by == "launches" else ""
        parts = (floor, layered, max(0.0, row.median_ms - floor - layered))
        bars.append(Bar(row, legend[row.configuration], row.median_ms, parts, note))
    if not bars:
        return "Not drawn: the machine's limit was not measured with these cases."
    case = bars[0].row.case
    titles = (
        ("the network's operations at the rate of the best matrix product", _ONE),
        ("activations through memory between layers", _TWO),
        ("everything else: launches, lower rates, waiting", MUTED),
    )
    return Drawing(
        stacked(bars, "ms of one inference", titles),
        f"Batch {case.batch}, {case.frames} frames. The first two are floors that follow from the network and the "
        "machine's measured rates, not a profile: what is left is what an implementation could still save.",
        parts=titles,
    )


def roofline(group: Group) -> Drawing | str:
    """Operations per second against operations per byte, under the machine's two ceilings."""
    rows = [row for row in headline(group) if row.measured.roofline][:SHOWN]
    if not rows:
        return "Not drawn: the machine's limit was not measured with these cases."
    legend = keys(group, rows)
    places = []
    for row in rows:
        limit = row.measured.roofline
        assert limit is not None  # noqa: S101 - narrows the type
        places.append((row, limit.flops / limit.least_bytes, limit.flops / row.median_ms / 1e9))
    return Drawing(
        scatter(places, legend, Axis("operations per byte"), Axis("Tflop/s"), [*_roofs(rows, places)]),
        "Lines are the best copy and the best matrix product of this machine, in each precision. Bytes are the least "
        "that any implementation moves, so that all points of one network lie above one another.",
        tuple(legend.values()),
        numbered=True,
    )


def _roofs(rows: list[Row], places: list[tuple[Row, float, float]]) -> list[Spec]:
    """The ceilings of each precision, from a tenth of the corner to ten times the points."""
    ceilings = {row.measured.roofline.ceilings for row in rows if row.measured.roofline}
    left = min(item.flops_per_s / item.copy_bytes_per_s for item in ceilings) / 8
    right = 3 * max(x for _, x, _ in places)
    values = []
    for item in sorted(ceilings, key=lambda item: item.product):
        corner = item.flops_per_s / item.copy_bytes_per_s
        for x in (left, corner, right):
            y = min(item.flops_per_s, x * item.copy_bytes_per_s) / 1e12
            values.append({"roof": item.product, "x": x, "y": y, "name": "", "last": x == right})
    axes = {"x": {"field": "x", "type": "quantitative"}, "y": {"field": "y", "type": "quantitative"}}
    text = {"type": "text", "align": "right", "dy": -8, "color": MUTED}
    words = {"text": {"field": "roof", "type": "nominal"}}
    return [
        {
            "data": {"values": values},
            "mark": {"type": "line", "color": INK, "strokeDash": [4, 3], "strokeWidth": 1},
            "encoding": {**axes, "detail": {"field": "roof"}},
        },
        {"data": {"values": [item for item in values if item["last"]]}, "mark": text, "encoding": {**axes, **words}},
    ]


def break_even(group: Group) -> Drawing | str:
    """Build time of every configuration against the inferences after which it has paid for itself."""
    rows = [row for row in headline(group) if row.case.backend != "eager" and row.record.build]
    if not rows:
        return "Not drawn: nothing but eager was built and timed at the headline shape."
    legend = keys(group, rows)
    places, never = [], []
    for row in rows:
        inferences, build = inferences_to_break_even(row), row.record.build
        if inferences is None or build is None or build.cost_s <= 0:
            never.append(legend[row.configuration].name if row.configuration in legend else row.configuration)
        elif row.configuration in legend:
            places.append((row, build.cost_s, inferences))
    words = f" Never (not faster than eager, or not in turn with it): {'; '.join(never[:6])}." if never else ""
    if not places:
        return f"Not drawn: no build has a break-even.{words}"
    shown = {row.configuration: legend[row.configuration] for row, *_ in places}
    case = rows[0].case
    return Drawing(
        scatter(places, shown, Axis("build, s"), Axis("inferences to break even")),
        f"Batch {case.batch}, {case.frames} frames. Break-even is the build's time over what one inference saves "
        f"against eager of the same precision. Lower and further left is better.{words}",
        tuple(shown.values()),
        numbered=True,
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


def ranges(group: Group) -> Drawing | str:
    """What an engine for a range of shapes costs against one for a single shape, over length."""
    rows = [row for row in group.rows if row.measured.speedup_static]
    if not rows:
        return "Not drawn: no engine for a range of shapes ran in turn with its static baseline."

    def cost(row: Row) -> tuple[float, float | None, float | None] | None:
        found = row.measured.speedup_static
        if found is None:
            return None
        low = None if found.ci95_high is None else 1 / found.ci95_high
        return 1 / found.ratio, low, None if found.ci95_low is None else 1 / found.ci95_low

    batch = min(row.case.batch for row in rows)
    rows = [row for row in rows if row.case.batch == batch]
    found = lines(
        group, rows, ("mel frames", lambda row: row.case.frames), ("time over the static engine's", cost), log_y=False
    )
    return Drawing(
        found.spec,
        f"Batch {batch}. Time of an engine for a range of lengths over that of the engine built for the shape alone, "
        "rounds in turn; 1 is no cost.",
        found.keys,
    )
